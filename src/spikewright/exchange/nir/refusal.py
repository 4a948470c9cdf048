"""The exception of writing and reading: something has no form on the other side."""

from __future__ import annotations


class NoForm(Exception):
    """An object has no form in NIR, or a node has none here: the reason, and what would help."""

    def __init__(self, reason: str, help: str = "") -> None:
        super().__init__(reason, help)
        self.reason, self.help = reason, help
