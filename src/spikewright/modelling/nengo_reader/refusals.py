"""Errors of reading a model: they name the object, its kind, the reason and the next move."""

from __future__ import annotations

from typing import Any

from spikewright.errors import ReadError
from spikewright.modelling.nengo_reader.kinds import name_of


def refused(item: Any, what: Any, reason: str, option: str) -> ReadError:
    """The error for a part of a model that cannot be run; `item` is the object that has it."""
    return ReadError(f"{name_of(item)}: its {what} cannot be run: {reason}; {option}")
