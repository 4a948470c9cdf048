"""The names that the code of a Python function uses, reads and writes."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType

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
class Code:
    """Of a function's code and of the functions inside it.

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
def code_of(code: CodeType) -> Code:
    """The names used by a function's code, that of functions inside it included."""
    found = Code()
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


def _read(code: CodeType, found: Code) -> None:
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
