"""Defaults of each network: the values that constructors take for arguments not given."""

from __future__ import annotations

import functools
import inspect
from typing import Any, TypeVar

from spikewright._base.options import did_you_mean, suggests_keywords
from spikewright.errors import NetworkError, UnknownAttributeError
from spikewright.network.attributes import Checked, Stack

_UNTOUCHED = ("label",)
_contexts: Stack[Config] = Stack()
_parameters: dict[type, dict[str, Any]] = {}
"""Of every class with defaults its parameters, and what they are where nobody says otherwise."""


class _Default:
    """Stands for the default in force where an argument has to be written."""

    def __repr__(self) -> str:
        return "Default"

    def __reduce__(self) -> str:
        return "Default"


Default = _Default()


class Defaults:
    """The defaults that one network holds for one class, as attributes to set, read and delete.

    A parameter that it does not hold reads as the class's own default. Raises `NetworkError` for a
    parameter that the class does not have.
    """

    _kind: type
    _values: dict[str, Any]

    def __init__(self, kind: type) -> None:
        object.__setattr__(self, "_kind", kind)
        object.__setattr__(self, "_values", {})

    def _check(self, name: str) -> None:
        known = _parameters[self._kind]
        if name not in known:
            raise UnknownAttributeError(
                f"config[{self._kind.__name__}]: {self._kind.__name__} has no parameter {name!r} "
                f"with a default; there are {', '.join(sorted(known))}. "
                f"{did_you_mean(name, known)}".rstrip()
            )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked for by copying and pickling
            raise AttributeError(name)
        self._check(name)
        return self._values.get(name, _parameters[self._kind][name])

    def __setattr__(self, name: str, value: Any) -> None:
        self._check(name)
        if value is Default:
            self._values.pop(name, None)
        else:
            self._values[name] = value

    def __delattr__(self, name: str) -> None:
        self._check(name)
        self._values.pop(name, None)

    def __dir__(self) -> list[str]:
        return sorted(_parameters[self._kind])

    def __getstate__(self) -> tuple[type, dict[str, Any]]:
        return self._kind, self._values

    def __setstate__(self, state: tuple[type, dict[str, Any]]) -> None:
        object.__setattr__(self, "_kind", state[0])
        object.__setattr__(self, "_values", state[1])

    def __repr__(self) -> str:
        held = ", ".join(f"{name}={value!r}" for name, value in self._values.items())
        return f"<Defaults of {self._kind.__name__}: {held or 'none'}>"


class Config(Checked):
    """Defaults for `Ensemble`, `Node`, `Connection` and `Probe`; `config[Ensemble].radius = 2`.

    Every network has one, `network.config`, in force inside `with network:`, networks made inside
    included: the innermost network that holds a default decides, and an argument that is given
    wins. A `Config` is also a context of its own, `with config:`. `kinds` are the classes it may
    hold defaults for, all where none are given. Files do not hold defaults, which matter only when
    objects are made.
    """

    def __init__(self, *kinds: type) -> None:
        for kind in kinds:
            _check_kind(kind, list(_parameters))
        self._kinds = kinds
        self._defaults: dict[type, Defaults] = {}
        self._made = True

    def __getitem__(self, kind: type) -> Defaults:
        _check_kind(kind, list(self._kinds or _parameters))
        return self._defaults.setdefault(kind, Defaults(kind))

    def __contains__(self, kind: object) -> bool:
        return kind in (self._kinds or _parameters)

    def _held(self, kind: type) -> dict[str, Any]:
        return self._defaults[kind]._values if kind in self._defaults else {}

    def __enter__(self) -> Config:
        _contexts.items.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _contexts.items.pop()

    def __repr__(self) -> str:
        held = ", ".join(repr(d) for d in self._defaults.values() if d._values)
        return f"<Config: {held or 'no defaults'}>"


def _check_kind(kind: Any, known: list[type]) -> None:
    if kind not in known:
        names = ", ".join(k.__name__ for k in known)
        name = f"the class {kind.__name__}" if isinstance(kind, type) else repr(kind)
        raise NetworkError(f"config holds defaults for {names}, not for {name}")


no_defaults = _contexts.hidden
"""A context that hides all defaults: arguments that are not given are the classes' own."""


def handed_down(kind: type) -> dict[str, Any]:
    """The defaults in force for a class, by parameter; those of inner networks win."""
    values: dict[str, Any] = {}
    for config in _contexts.items:
        values.update(config._held(kind))
    return values


T = TypeVar("T", bound=type)


def configurable(cls: T) -> T:
    """Class decorator: arguments that are not given, or `Default`, come from the defaults in force.

    The object's `_from_defaults` names those arguments. So a default that does not apply to the
    object is ignored, while the same argument given is an error. The `TypeError` of an unknown
    argument suggests the nearest known one.
    """
    init = suggests_keywords()(cls.__init__)  # type: ignore[misc]
    parameters = list(inspect.signature(init).parameters.values())[1:]
    names = [p.name for p in parameters]
    _parameters[cls] = {
        p.name: p.default
        for p in parameters
        if p.default is not p.empty and p.name not in _UNTOUCHED
    }

    @functools.wraps(init)
    def complete(self: Any, *args: Any, **kwargs: Any) -> None:
        with_defaults(self, *args, **kwargs)
        self._made = type(self) is cls

    def with_defaults(self: Any, *args: Any, **kwargs: Any) -> None:
        held = handed_down(cls)
        asked = any(a is Default for a in args) or any(a is Default for a in kwargs.values())
        if not (held or asked) or len(args) > len(names):
            init(self, *args, **kwargs)
            return
        given = dict(zip(names, args, strict=False))
        twice = given.keys() & kwargs.keys()
        if twice:
            raise TypeError(f"{cls.__name__}() got several values for {', '.join(sorted(twice))}")
        given = {name: value for name, value in (given | kwargs).items() if value is not Default}
        used = {name: value for name, value in held.items() if name not in given}
        self._from_defaults = frozenset(used)
        try:
            init(self, **given, **used)
        except NetworkError as error:
            values = ", ".join(f"{name} = {value!r}" for name, value in used.items())
            error.add_note(f"Defaults of the networks around it: {values or 'none'}.")
            raise

    cls.__init__ = complete  # type: ignore[misc]
    return cls
