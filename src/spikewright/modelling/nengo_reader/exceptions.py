"""Errors as Nengo's users catch them: also instances of its classes, if Nengo is loaded."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from spikewright.errors import (
    BuildError,
    NetworkError,
    ReadError,
    SimulationError,
    SpikewrightError,
)

_CALLER = "spikewright.engines.recalling"  # the module that calls a user's function
_NAMES = {NetworkError: "BuildError", ReadError: "BuildError", BuildError: "BuildError",
          SimulationError: "SimulationError"}  # fmt: skip


@contextmanager
def as_nengos() -> Iterator[None]:
    """Raise Spikewright's errors as instances of Nengo's class too.

    Errors of a user's own function are passed on as they are.
    """
    try:
        yield
    except SpikewrightError as error:
        if error.__cause__ is not None and _is_users(error.__cause__):
            raise error.__cause__  # noqa: B904 - Nengo passes on what a user's function raises
        raise _both(type(error), _NAMES.get(type(error), "NengoException"), str(error)) from error


def _is_users(error: BaseException) -> bool:
    """Whether an error comes from the called function, not from its return value."""
    if isinstance(error, SpikewrightError):
        return False
    frames = [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)]
    inner = [name for name in frames[1:] if name != _CALLER]
    return not inner or not inner[-1].startswith("spikewright")


def nengos_warning() -> type[Warning]:
    """The class of Nengo's warnings where Nengo has been loaded."""
    return _theirs("NengoWarning") or UserWarning


def closed(message: str) -> Exception:
    """The error of a closed simulator that is used."""
    return _both(SimulationError, "SimulatorClosed", message)


def invalid(message: str, attribute: str, owner: Any) -> Exception:
    """The error for an invalid argument."""
    theirs = _theirs("ValidationError")
    if theirs is None:
        return SimulationError(message)
    error: Exception = _class(SimulationError, theirs)(message, attribute, owner)
    return error


def _both(ours: Any, name: str, message: str) -> Exception:
    theirs = _theirs(name)
    return ours(message) if theirs is None else _class(ours, theirs)(message)


def _theirs(name: str) -> Any:
    loaded = sys.modules.get("nengo.exceptions")
    return getattr(loaded, name, None)


@lru_cache
def _class(ours: Any, theirs: Any) -> Any:
    """A class with both bases; Nengo's comes first, since it takes the arguments."""
    return type(theirs.__name__, (theirs, ours), {"__module__": theirs.__module__})
