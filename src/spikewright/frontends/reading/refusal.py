"""The two ways in which all readers give a layer up."""

from __future__ import annotations


class Unreadable(Exception):
    """Raised by a reader: the reason why this layer cannot be read, and the user's options."""

    def __init__(self, reason: str, options: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.options = options


class Unknown(Exception):
    """Raised where a layer reads what was refused already: there is nothing to add to that."""
