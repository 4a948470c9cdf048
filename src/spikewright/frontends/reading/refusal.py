"""The one refusal of all readers."""

from __future__ import annotations


class Unreadable(Exception):
    """Raised by a reader: the reason why this layer cannot be read, and the user's options."""

    def __init__(self, reason: str, options: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.options = options
