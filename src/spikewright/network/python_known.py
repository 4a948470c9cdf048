"""What is known of Python objects and functions: that they keep no state, or never change."""

from __future__ import annotations

import builtins
import dis
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType
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


Chain = tuple[str, ...]
"""A global's name, and the attributes that are read of it one after the other."""

_GLOBALS = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_CHANGING = frozenset({"STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE", "STORE_ATTR", "DELETE_ATTR"})
_CALLS = frozenset({"CALL", "CALL_KW"})
# Methods and functions that change what they are called with.
_CHANGERS = frozenset({
    "append", "appendleft", "extend", "extendleft", "pop", "popleft", "popitem", "insert",
    "remove", "clear", "update", "setdefault", "add", "discard", "rotate", "fill", "sort",
    "reverse", "put", "itemset", "partition", "resize", "setfield", "setflags", "byteswap",
    "copyto", "place", "putmask", "fill_diagonal", "shuffle", "heappush", "heappop", "heapify",
    "insort", "insort_left", "insort_right", "setitem", "setattr", "delattr", "__setitem__",
    "__setattr__", "difference_update", "send", "throw", "intersection_update",
    "symmetric_difference_update", "next", "__next__",
})  # fmt: skip


@dataclass
class CodeUsage:
    """The names that the code of a function uses, that of functions inside it included.

    `written` are globals, `rebound` variables of functions around it, `assigned` attributes that it
    gives values, `assigned_to` those of globals as `(global, attribute)`. `changes` says whether it
    may change an object, `takes_class` whether it asks for the class of one. `names` are all
    attributes and globals by name.
    """

    chains: set[Chain] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    rebound: set[str] = field(default_factory=set)
    assigned: set[str] = field(default_factory=set)
    assigned_to: set[tuple[str, str]] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)
    changes: bool = False
    takes_class: bool = False


@lru_cache(maxsize=4096)
def code_usage(code: CodeType) -> CodeUsage:
    """The names used by a function's code, that of functions inside it included."""
    found = CodeUsage()
    for one in _nested(code):
        _read(one, found)
    found.takes_class = "__class__" in found.names or ("type",) in found.chains
    found.changes = found.changes or not _CHANGERS.isdisjoint(found.names)
    return found


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _read(code: CodeType, found: CodeUsage) -> None:
    found.names.update(code.co_names)
    found.changes = found.changes or any(
        isinstance(names, tuple) and "out" in names for names in code.co_consts
    )
    chain: Chain = ()
    for one in dis.get_instructions(code):
        name = one.opname
        if name == "EXTENDED_ARG":
            continue
        if name in _ATTRIBUTES and chain:
            chain = (*chain, str(one.argval))
            continue
        if chain:
            found.chains.add(chain)
            if name == "STORE_ATTR" and len(chain) == 1:
                found.assigned_to.add((chain[0], str(one.argval)))
        chain = (str(one.argval),) if name in _GLOBALS else ()
        if name in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            found.written.add(str(one.argval))
        elif name in ("STORE_DEREF", "DELETE_DEREF"):
            found.rebound.add(str(one.argval))
        elif name in ("STORE_ATTR", "DELETE_ATTR"):
            found.assigned.add(str(one.argval))
        elif name == "IMPORT_NAME":
            found.imports.add(str(one.argval))
        # An array may be handed over to be written into, and is so behind other arguments.
        several = name == "CALL_FUNCTION_EX" or (name in _CALLS and (one.arg or 0) >= 2)
        in_place = name.startswith("INPLACE_") or (
            name == "BINARY_OP" and one.argrepr.endswith("=")
        )
        found.changes = found.changes or name in _CHANGING or several or in_place
