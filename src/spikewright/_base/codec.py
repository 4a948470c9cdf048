"""Values as plain data and arrays, and back: the fields of dataclasses and their types decide.

A record is a dataclass that a declared type names, so its data are its fields by name, and what its
fields declare as a mapping is written as it is; what they declare as
`dict[str, Any]` is plain data itself. Wherever the kind of a value is left open the data
say it: `{"type": name, **fields}` is of a class of a registry, `{"map": {...}}` a mapping, and
`{"array": name}` one of the arrays, which are kept aside. Lists come back as tuples.

Nothing but the records that are declared and the classes of registries is made, of values that fit
the declared types, so that reading runs no code from a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from itertools import chain, repeat
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Generic,
    NoReturn,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

import numpy as np
from numpy.typing import NDArray

from spikewright._base import storage
from spikewright._base.arguments import memory_of
from spikewright._base.files import FileKind
from spikewright._base.schema import check, check_fields, declares_fields, hints_of
from spikewright.errors import DamagedFileError

R = TypeVar("R")
Registries = Sequence[Mapping[str, type]]
Arrays = Mapping[str, NDArray]

ADDED = MappingProxyType({"added": True})
"""Metadata of a field that files of earlier versions lack: its default is not written.

So that a graph without it has the fingerprint that it had.
"""

SAVED_AS: Mapping[str, str] = MappingProxyType({"GraphNode": "Node", "CellPart": "Part"})
"""The names in files of classes that have other names today."""


def _taken_as_sent(entries: Mapping[str, Any]) -> Any:
    """The `assumed_spikes` that an earlier file may hold: those that its heights imply today."""
    most, heights = entries.get("max_spikes_per_step"), entries.get("spike_heights", ())
    falls = most is not None and entries.get("start") is None and len(set(heights)) > 1
    return 0 if not falls else 1 if most == 1 else [most]


LEFT_OUT: Mapping[tuple[str, str], Any] = MappingProxyType(
    {
        ("BipolarIntegrateAndFire", "debt"): True,
        ("BipolarIntegrateAndFire", "assumed_spikes"): _taken_as_sent,
        ("Measured", "joules"): None,
        ("Measured", "energy_table"): None,
    }
)
"""Fields that classes had in earlier files, with the only value that they may have there.

Where that depends on the other entries, it is a function of them.
"""

_DAMAGE = (
    LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError,
    MemoryError,
)  # fmt: skip


def _is_left_out(name: str, key: str, entries: Mapping[str, Any]) -> bool:
    """Whether an entry belongs to a removed field, and has the only value that it may have."""
    if (name, key) not in LEFT_OUT:
        return False
    only = LEFT_OUT[name, key]
    return bool(entries[key] == (only(entries) if callable(only) else only))


def saved_name(kind: type) -> str:
    """The name of a class in files."""
    return SAVED_AS.get(kind.__name__, kind.__name__)


class RecordEncoder:
    """Turns values into plain data, collecting their arrays aside.

    Raises `TypeError` for what a decoder of the same registries would not read. Without registries
    any dataclass is written by its name, for keys and fingerprints. An array that is met again goes
    by the name that it has, up to so many `uses` of it.
    """

    def __init__(self, registries: Registries | None = None, uses: int = 1) -> None:
        self.arrays: dict[str, NDArray] = {}
        self._registries = registries
        self._names: dict[tuple[object, ...], list[str]] = {}
        self._uses = uses

    def encode(self, value: Any, hint: Any = Any, declared: bool = False) -> Any:
        """Plain data for a value; `declared` is one of a record's field, whose type is `hint`."""
        declared = declared and hint is not Any
        if declared and any(map(_is_plain, _options(hint))):
            return value
        if isinstance(value, np.ndarray):
            return {"array": self._keep(value)}
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, Mapping):
            (inner,) = _inside(hint, Mapping)
            items = {str(key): self.encode(one, inner, declared) for key, one in value.items()}
            return items if declared else {"map": items}
        if is_dataclass(value) and not isinstance(value, type):
            if declared and type(value) in _options(hint) and not self._is_registered(type(value)):
                return self.record(value)
            return self._marked(value)
        if isinstance(value, tuple | list):
            return [self.encode(item, inner, declared) for item, inner in _each(value, hint)]
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if self._registries:
            _refuse_unregistered(type(value))
        raise TypeError(f"a {type(value).__name__} cannot be saved: {value!r}")

    def record(self, value: Any) -> dict[str, Any]:
        """Plain data for a record."""
        return self._entries(value, declared=True)

    def _marked(self, value: Any) -> dict[str, Any]:
        """Plain data for an object of a registered class."""
        kind = type(value)
        if self._registries is not None and not self._is_registered(kind):
            _refuse_unregistered(kind)
        _check_declared(kind)
        entries = self._entries(value, declared=False)
        if "type" in entries:
            raise TypeError(f"{kind.__name__}: a field named 'type' cannot be saved")
        return {"type": saved_name(kind), **entries}

    def _is_registered(self, kind: type) -> bool:
        name = saved_name(kind)
        return any(registry.get(name) is kind for registry in self._registries or ())

    def _entries(self, value: Any, declared: bool) -> dict[str, Any]:
        given = {f.name: getattr(value, f.name) for f in _written(value)}
        if self._registries is None:
            return {name: self.encode(item) for name, item in given.items()}
        kind: type = type(value)
        hints = hints_of(kind)
        check_fields(kind, {name: _as_read(item) for name, item in given.items()})
        return {name: self.encode(item, hints[name], declared) for name, item in given.items()}

    def _keep(self, value: NDArray) -> str:
        """Collect an array in native byte order and C order; returns the name it goes by."""
        if not storage.storable(value.dtype):
            raise TypeError(
                f"an array of {value.dtype} cannot be saved; numbers of at most 64 bits can"
            )
        native = value.astype(value.dtype.newbyteorder("="), order="C", copy=False)
        used = self._names.setdefault(memory_of(native), [])
        name = used[-1] if len(used) % self._uses else f"a{len(self.arrays)}"
        used.append(name)
        self.arrays[name] = native
        return name


class RecordDecoder:
    """Rebuilds values that a `RecordEncoder` wrote, of classes of registries and declared records.

    Raises an error of data where the data describe no such value.
    """

    def __init__(self, arrays: Arrays, registries: Registries = ()) -> None:
        self._arrays = arrays
        self._registries = registries

    def decode(self, data: Any, hint: Any = Any, place: str | None = None) -> Any:
        """The value that data describe; one of a record's field of type `hint` has a `place`."""
        place = None if hint is Any else place
        options = _options(hint)
        if place is not None and any(map(_is_plain, options)):
            return data
        if isinstance(data, list):
            items = [
                self.decode(item, inner, _below(place, f"[{number}]"))
                for number, (item, inner) in enumerate(_each(data, hint))
            ]
            return next((_row(kind, items) for kind in options if _is_row(kind)), tuple(items))
        if isinstance(data, str) and get_origin(hint) is np.ndarray:
            return self._arrays[data]  # as earlier parts of evaluations name them
        if not isinstance(data, dict):
            return data
        (inner,) = _inside(hint, Mapping)
        if place is not None and any(map(_is_mapping, options)):
            return {
                key: self.decode(item, inner, _below(place, f".{key}"))
                for key, item in data.items()
            }
        if "type" in data:  # first: a dataclass may have fields named "array" and "map"
            return self._marked(data, options)
        if place is not None and (record := self._record_of(options, data)) is not None:
            return self.record(record, data, place)
        if "array" in data:
            return self._arrays[data["array"]]
        if place is not None and "map" not in data:
            return data  # which no field takes
        return {key: self.decode(item, inner) for key, item in data["map"].items()}

    def record(self, kind: type[R], data: Any, place: str = "") -> R:
        """A record of its data; entries that it does not declare are those of a later version.

        `place` is where it stands in others, for errors.
        """
        check(data, dict, place)
        owner: type = kind
        for name in _required(owner):
            if name not in data:
                raise TypeError(f"{place}.{name} is missing".removeprefix("."))
        known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
        return self._made(kind, {k: v for k, v in data.items() if k in known}, place)

    def _record_of(self, options: Sequence[Any], data: Mapping[str, Any]) -> type | None:
        """The declared record; where there are others too, one whose required fields are there."""
        others = [option for option in options if option is not NoneType]
        kinds = [kind for kind in others if isinstance(kind, type) and is_dataclass(kind)]
        fitting = [kind for kind in kinds if data.keys() >= set(_required(kind))]
        return next(iter(fitting or (kinds if kinds == others else [])), None)

    def _marked(self, data: Mapping[str, Any], options: Sequence[Any]) -> Any:
        """An object of the registered class of a name that is of a declared kind."""
        name = data["type"]
        kinds = [registry[name] for registry in self._registries if name in registry]
        if not kinds:
            raise LookupError(f"{name} is no kind of part that this version has")
        bases = tuple(option for option in options if isinstance(option, type))
        fitting = kinds if Any in options else [kind for kind in kinds if issubclass(kind, bases)]
        if not fitting:
            raise TypeError(f"{name} stands where another kind of part is declared")
        _check_declared(fitting[0])
        entries = {
            key: item
            for key, item in data.items()
            if key != "type" and not _is_left_out(name, key, data)
        }
        return self._made(fitting[0], entries, None)

    def _made(self, kind: type[R], data: Mapping[str, Any], place: str | None) -> R:
        """A dataclass of fields whose values fit their types; a record has a place."""
        owner: type = kind
        hints = hints_of(owner)
        made = {
            name: self.decode(item, hints.get(name, Any), _below(place, f".{name}"))
            for name, item in data.items()
        }
        known = {name: value for name, value in made.items() if name in hints}
        check_fields(kind, known, place)
        return kind(**made)


@dataclass(frozen=True)
class Format(Generic[R]):
    """A kind of file that holds a record, and the registries of the classes that may be in it.

    `what` is a key of `storage.SAVED`. A file holds an array once for so many `uses` of it.
    """

    what: str
    record: type[R]
    registries: Registries = ()
    uses: int = 1

    @property
    def kind(self) -> FileKind:
        """The kind of file, by which it is recognised."""
        return storage.SAVED[self.what]

    def encoded(self, value: R) -> tuple[dict[str, Any], dict[str, NDArray]]:
        """A record as plain data and arrays; raises `TypeError` for what no file holds."""
        encoder = RecordEncoder(self.registries, self.uses)
        return encoder.record(value), encoder.arrays

    def decoded(self, data: Any, arrays: Arrays, place: str | Path) -> R:
        """The record that `encoded` wrote; raises `DamagedFileError` naming `place`."""
        with describing(self.kind, place):
            return RecordDecoder(arrays, self.registries).record(self.record, data)

    def write(self, path: str | Path, value: R, *, overwrite: bool = False) -> None:
        """Write a record atomically; raises as `encoded` and `write_file` do."""
        storage.write(path, self.what, *self.encoded(value), overwrite=overwrite)

    def read(self, path: str | Path) -> R:
        """The record in a file; raises `MissingFileError` or `DamagedFileError`."""
        return self.decoded(*storage.read(path, self.what), path)


@contextmanager
def describing(kind: FileKind, place: str | Path) -> Iterator[None]:
    """A context in which data of a kind of file are read; errors say that they describe none.

    They are a `DamagedFileError` naming `place`.
    """
    try:
        yield
    except DamagedFileError:
        raise
    except _DAMAGE as error:
        raise DamagedFileError(
            f"{place}: its content does not describe {kind.name} ({type(error).__name__}: {error})."
        ) from error


def _written(value: Any) -> list[Field[Any]]:
    """The fields of a dataclass that its entry has."""
    return [
        f
        for f in fields(value)
        if f.init and not (f.metadata == ADDED and getattr(value, f.name) == f.default)
    ]


def _refuse_unregistered(kind: type) -> NoReturn:
    raise TypeError(f"{kind.__name__} is not registered, so that a file could not name it")


def _check_declared(kind: type) -> None:
    if not declares_fields(kind):
        raise TypeError(f"{kind.__name__} is not a dataclass, so that its fields are not known")


def _as_read(value: Any) -> Any:
    """A value as it is read again: lists as tuples, numbers as those of Python."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): _as_read(item) for key, item in value.items()}
    if not isinstance(value, list | tuple):
        return value
    items = map(_as_read, value)
    return type(value)(*items) if _is_row(type(value)) else tuple(items)


@cache
def _required(kind: Any) -> tuple[str, ...]:
    """The fields of a dataclass without a default."""
    return tuple(
        f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING
    )


def _below(place: str | None, step: str) -> str | None:
    return None if place is None else place + step


@cache
def _options(hint: Any) -> tuple[Any, ...]:
    """The types that a union, or a type with a condition, stands for."""
    if get_origin(hint) is Annotated:
        return _options(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return tuple(option for one in get_args(hint) for option in _options(one))
    return (hint,)


def _is_plain(hint: Any) -> bool:
    return bool(hint == dict[str, Any])


def _is_row(hint: Any) -> bool:
    """Whether a type is a `NamedTuple`, which is written as a list."""
    return hasattr(hint, "_fields")


def _row(kind: Any, items: list[Any]) -> Any:
    made = kind(*items)
    check_fields(kind, made._asdict())
    return made


def _is_mapping(hint: Any) -> bool:
    return get_origin(hint) in (dict, Mapping)


@cache
def _inside(hint: Any, kind: type) -> tuple[Any, ...]:
    """The types of what is in a list (the last of all others) or mapping of a declared type."""
    for option in _options(hint):
        if kind is Mapping and _is_mapping(option):
            return get_args(option)[1:]
        if kind is tuple and _is_row(option):
            return tuple(hints_of(option).values())
        if kind is tuple and get_origin(option) is tuple:
            return tuple(one for one in get_args(option) if one is not Ellipsis)
    return (Any,)


def _each(items: Sequence[Any], hint: Any) -> Iterator[tuple[Any, Any]]:
    """The items of a list of a declared type, each with its own type."""
    inside = _inside(hint, tuple)
    return zip(items, chain(inside, repeat(inside[-1])))  # noqa: B905
