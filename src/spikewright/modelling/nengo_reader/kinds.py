"""The kinds, names and seeds of a user's objects: Nengo is never imported."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from spikewright.errors import (
    BuildError,
    NetworkError,
    ReadError,
    SimulationError,
    SpikewrightError,
)

PACKAGES = frozenset({"nengo", "nengo_dl"})
"""Top-level packages whose classes are known by name."""


def _known(cls: type) -> bool:
    place = cls.__module__.split(".")
    return place[0] in PACKAGES and "tests" not in place


def kind(item: Any) -> str:
    """Name of the first class of Nengo's that `item` is an instance of; "" where there is none.

    For objects with structure (networks, ensembles, connections): a user's subclass is one too.
    """
    return next((cls.__name__ for cls in type(item).__mro__ if _known(cls)), "")


def own_kind(item: Any) -> str:
    """Name of the class that defines an object's equation; "" for an equation of a user's class.

    For neuron types, synapses, solvers and the like: a subclass without methods, or only with those
    of construction and display, computes the same as Nengo's class.
    """
    for cls in type(item).__mro__:
        if _known(cls):
            return cls.__name__
        if any(_computes(name, member) for name, member in vars(cls).items()):
            return ""
    return ""


def _computes(name: str, member: Any) -> bool:
    made = callable(member) or isinstance(member, property | staticmethod | classmethod)
    return made and (not name.startswith("__") or name == "__call__")


def is_a(item: Any, name: str) -> bool:
    """Whether an object is an instance of Nengo's class of that name."""
    return any(cls.__name__ == name and _known(cls) for cls in type(item).__mro__)


def whole(item: Any) -> Any:
    """The object that a view such as `ensemble[:2]` is of, or the object itself."""
    return item.obj if is_a(item, "ObjView") else item


def name_of(item: Any) -> str:
    """The name of an object in messages: its label, or its place in memory as Nengo writes it."""
    label = getattr(item, "label", None)
    return f"<{kind(item) or type(item).__name__} {label!r}>" if label else repr(item)


T = TypeVar("T")


def same_fields(
    cls: type[T],
    theirs: Any,
    read: Callable[[Any], Any] = lambda v: v,
    leaving: tuple[str, ...] = (),
) -> T:
    """An instance of the dataclass `cls` with the values of `theirs` under the same names.

    But for those in `leaving`.
    """
    given = {
        field.name: read(getattr(theirs, field.name))
        for field in fields(cls)  # type: ignore[arg-type]
        if hasattr(theirs, field.name) and field.name not in leaving
    }
    return cls(**given)


def refused(item: Any, what: Any, reason: str, option: str) -> ReadError:
    """The error for a part of a model that cannot be run; `item` is the object that has it."""
    return ReadError(f"{name_of(item)}: its {what} cannot be run: {reason}; {option}")


MOST = int(np.iinfo(np.int32).max)
_ORDER = ("connections", "ensembles", "networks", "nodes", "probes")

Seeds = dict[Any, int]


def fresh_seed() -> int:
    """A random seed."""
    return int(np.random.SeedSequence().generate_state(1)[0] % MOST)


def seeds_of(model: Any, seed: int) -> Seeds:
    """The seed of every object of `model`, which has `seed` itself."""
    found: Seeds = {model: seed}
    rng = np.random.RandomState(seed)
    for name in _ORDER:
        for item in getattr(model, name):
            drawn = int(rng.randint(MOST))
            own = getattr(item, "seed", None)
            found[item] = drawn if own is None else int(own)
    for inner in model.networks:
        found.update(seeds_of(inner, found[inner]))
    return found


def draw_seed(rng: np.random.RandomState) -> int:
    """The next seed of a simulator's processes."""
    return int(rng.randint(MOST))


_CALLER = "spikewright.engines.replay"  # the module that calls a user's function
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
