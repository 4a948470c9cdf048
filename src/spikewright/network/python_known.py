"""Python objects and functions that are known: they keep nothing, or never change."""

from __future__ import annotations

import builtins
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

PLAIN = (
    bool, int, float, complex, str, bytes, range, type(None), type(...), type(NotImplemented),
    np.generic, np.dtype, property, staticmethod, classmethod,
    types.MemberDescriptorType, types.GetSetDescriptorType,
)  # fmt: skip
CONTAINERS = (list, dict, set, np.ndarray)
LIBRARY = ("spikewright", "nengo")  # their objects keep state in the network alone
_KNOWN = ("numpy", "scipy", "math", "cmath", "operator", "_operator", *LIBRARY)
_UNKNOWN = ("numpy.random", "numpy.testing", "scipy.io", "spikewright.testing", "nengo.utils")
_STANDARD = frozenset(sys.stdlib_module_names) - {"__main__"}
BUILTINS = frozenset({
    "abs", "all", "any", "bool", "bytes", "complex", "dict", "divmod", "enumerate", "filter",
    "float", "frozenset", "int", "isinstance", "issubclass", "len", "list", "map", "max", "min",
    "object", "pow", "range", "reversed", "round", "set", "slice", "sorted", "str", "sum",
    "super", "tuple", "zip",
})  # fmt: skip
# Functions of NumPy that read and write files, or set how it computes.
OUTSIDE = frozenset({
    "DataSource", "dump", "errstate", "fromfile", "fromregex", "genfromtxt", "load", "loadtxt",
    "memmap", "open_memmap", "save", "savetxt", "savez", "savez_compressed", "seterr", "seterrcall",
    "setbufsize", "tofile",
})  # fmt: skip


def module_of(item: Any) -> str:
    """The name of the module that a function or class is of, or nothing."""
    return str(getattr(item, "__module__", None) or "")


def _within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def known(item: Any) -> bool:
    """Whether a function or class is of a package whose functions keep nothing."""
    module, name = module_of(item), getattr(item, "__name__", "")
    if module == "builtins":
        return name in BUILTINS or isinstance(item, type)
    if isinstance(item, np.ufunc):  # which says no module in older versions
        return True
    return name not in OUTSIDE and _within(module, _KNOWN) and not _within(module, _UNKNOWN)


def installed(item: Any) -> bool:
    """Whether a function or class is none of a user's: its code is not looked at."""
    top = module_of(item).split(".")[0]
    return top in _STANDARD or (
        _within(top, _KNOWN) and not _within(module_of(item), _UNKNOWN[-2:])
    )


def known_module(item: Any) -> bool:
    """Whether something is a module of a known package."""
    name = getattr(item, "__name__", "")
    return isinstance(item, types.ModuleType) and _within(name, _KNOWN)


def foreign(value: Any) -> list[Any]:
    """The parts of a value of the library's that may be a user's."""
    if isinstance(value, list | tuple | dict | types.MappingProxyType):
        inside = value if isinstance(value, list | tuple) else value.values()
        return [other for one in inside for other in foreign(one)]
    plain = isinstance(value, (*PLAIN, *CONTAINERS))
    return [] if plain or (known(type(value)) and not callable(value)) else [value]


def lasting(value: Any) -> bool:
    """Whether a variable with this value is one that nobody gives another value."""
    return callable(value) or isinstance(value, types.ModuleType)


def fixed(array: np.ndarray[Any, Any]) -> bool:
    """Whether nobody can write into an array."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base  # type: ignore[assignment]
    return array is None or isinstance(array, bytes)


def is_frozen(item: Any) -> bool:
    """Whether an object is of a frozen dataclass, whose attributes keep their values."""
    parameters = vars(type(item)).get("__dataclass_params__")  # a plain subclass is none
    return parameters is not None and bool(parameters.frozen)


def all_plain(value: Any) -> bool:
    """Whether a container holds values that cannot change, or arrays."""
    if isinstance(value, np.ndarray):
        return value.dtype != object
    inside: Iterator[Any] = iter(value.values() if isinstance(value, dict) else value)
    return all(isinstance(item, (*PLAIN, np.ndarray)) for item in inside)


def is_error(name: str) -> bool:
    """Whether a name of Python's own is that of an exception."""
    kind = getattr(builtins, name, None)
    return isinstance(kind, type) and issubclass(kind, BaseException)
