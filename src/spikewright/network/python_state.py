"""State that a Python function reaches beside its arguments: objects, variables, classes.

A function is pure where nothing that it reaches can change: it then gives the same for the same
arguments, whoever else is called in between. What is not certain counts as state.
"""

from __future__ import annotations

import functools
import io
import queue
import socket
import threading
import types
import weakref
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from spikewright.network.python_known import (
    BUILTINS,
    CONTAINERS,
    LIBRARY,
    OUTSIDE,
    PLAIN,
    Chain,
    CodeUsage,
    all_plain,
    code_usage,
    fixed,
    foreign,
    installed,
    is_error,
    is_frozen,
    known,
    known_module,
    lasting,
    module_of,
)

_PARTS = (tuple, frozenset, types.MappingProxyType)
_LOCK, _RLOCK = type(threading.Lock()), type(threading.RLock())
# What cannot be copied, and its name.
_UNCOPIED: dict[Any, str] = {
    types.GeneratorType: "a generator", types.CoroutineType: "a coroutine",
    types.AsyncGeneratorType: "a generator", threading.Thread: "a thread", _LOCK: "a lock",
    _RLOCK: "a lock", threading.Condition: "a lock", threading.Event: "a lock",
    threading.Semaphore: "a lock", socket.socket: "a socket", io.IOBase: "a file",
    queue.Queue: "a queue", queue.SimpleQueue: "a queue", weakref.ref: "a weak reference",
}  # fmt: skip

# Of a class these are not called in a step, unless by name.
_NOT_CALLED = frozenset({
    "__init__", "__new__", "__init_subclass__", "__repr__", "__str__", "__reduce__",
    "__reduce_ex__", "__getstate__", "__setstate__", "__copy__", "__deepcopy__", "__del__",
    "__post_init__", "__set_name__", "__class_getitem__", "__setattr__", "__delattr__",
    "__eq__", "__hash__",
})  # fmt: skip
_AROUND = frozenset({"__setattr__", "__delattr__", "__dict__"})  # ways around a frozen class
_CACHED = type(functools.cache(len))
_FUNCTIONS = (np.ufunc, type(np.concatenate))
_MOST = 10_000  # objects of a container, and objects in all


class Shared(NamedTuple):
    """Something that every copy of a function would share: how it is reached, and the thing."""

    what: str
    value: Any


class PythonState:
    """The values that a function, or an object with methods, reaches beside its arguments."""

    def __init__(self) -> None:
        self.pure = True
        self.rebinds = False  # whether it gives a variable around it another value
        self.assigns = False  # whether some code assigns attributes
        self.changes = False  # whether some code changes an object, maybe one of its own
        self.functions: list[types.FunctionType] = []  # held, so that copies of them are needed
        self.methods: list[Any] = []  # held methods of objects in C
        self.held: list[Any] = []  # objects to be copied
        self.cells: list[types.CellType] = []  # variables of functions that are held
        self.kept: list[Any] = []  # objects that all copies may share
        self.shared: list[Shared] = []
        self.wrong: list[str] = []  # what cannot be copied, as predicates of the function

    @property
    def reached(self) -> set[int]:
        """The objects and variables that may change, by identity."""
        shared = (one.value for one in self.shared)
        return {id(thing) for thing in (*self.held, *self.cells, *shared)}

    def looked_at(self, value: Any) -> bool:
        """Whether a value is a container of plain values that no code of the function changes."""
        return not self.changes and isinstance(value, CONTAINERS) and all_plain(value)


def find_state(target: Any, *entries: str) -> PythonState:
    """The state that a function reaches, or the methods `entries` of an object."""
    return _StateWalk(target, entries).found


class _StateWalk:
    """Objects are met once held, and once through something shared, as copies differ in that."""

    def __init__(self, target: Any, entries: Iterable[str]) -> None:
        self.found, self._target = PythonState(), target
        self._names = set(entries)
        self._met: dict[tuple[int, bool], Any] = {}
        self._owners: dict[int, Any] = {}  # objects and classes whose methods may be called
        self._written: set[str] = set()  # attributes that code with a class at hand assigns
        self._waiting: list[tuple[Any, str | None]] = [(target, None)]
        size = (-1, -1)
        while size != (size := (len(self._met), len(self._names))):
            while self._waiting:
                self._visit(*self._waiting.pop())
            for owner in list(self._owners.values()):
                self._look_at_class(owner)
            while self._waiting:
                self._visit(*self._waiting.pop())

    def _impure(self) -> None:
        self.found.pure = False

    def _push(self, items: Iterable[Any], through: str | None) -> None:
        found = [(item, through) for item in items if not isinstance(item, PLAIN)]
        if len(self._met) + len(found) > _MOST:
            self._impure()
            self.found.wrong.append(f"reaches more than {_MOST} objects")
            return
        self._waiting += found

    def _visit(self, item: Any, through: str | None) -> None:
        key = (id(item), through is None)
        if isinstance(item, PLAIN) or key in self._met:
            return
        self._met[key] = item
        if isinstance(item, types.ModuleType):
            self.found.kept.append(item)
            self._impure()
        elif isinstance(item, types.FunctionType):
            self._function(item, through)
        elif isinstance(item, types.MethodType):
            self._method(item, through)
        elif isinstance(item, functools.partial):
            self._push((item.func, *item.args, *item.keywords.values()), through)
        elif isinstance(item, types.BuiltinFunctionType | types.MethodWrapperType):
            self._in_c(item, through)
        elif isinstance(item, type):
            if not known(item):
                self._impure()
            if not installed(item):
                self._owners[id(item)] = item
        elif isinstance(item, _CACHED):  # a copy is the function itself
            self._push((item.__wrapped__,), through or "a cached function")
        elif isinstance(item, _FUNCTIONS) and not isinstance(item, types.FunctionType):
            # Of NumPy, unless it is made of a Python function.
            if not known(item) or set("".join(getattr(item, "types", "f"))) <= set("O->"):
                self._impure()
        elif isinstance(item, _PARTS):
            self._push(item.values() if isinstance(item, types.MappingProxyType) else item, through)
        else:
            self._object(item, through)

    def _method(self, method: types.MethodType, through: str | None) -> None:
        function, owner = method.__func__, method.__self__
        self._push((owner,), through)
        if not isinstance(function, types.FunctionType):
            return self._impure()
        if isinstance(owner, type) and not installed(owner):  # a method of the class itself
            self._impure()
            assigned = sorted(code_usage(function.__code__).assigned)
            self.found.wrong += [f"writes {owner.__name__}.{name}" for name in assigned]
        name = (owner if isinstance(owner, type) else type(owner)).__name__
        self._push((function,), f"the class {name}")

    def _in_c(self, item: Any, through: str | None) -> None:
        owner = getattr(item, "__self__", None)
        if owner is None or isinstance(owner, types.ModuleType):
            if not known(item):
                self._impure()
            return
        self._impure()
        if through is None:
            self.found.methods.append(item)
        self._push((owner,), through)

    def _object(self, item: Any, through: str | None) -> None:
        found, frozen = self.found, is_frozen(item)
        if module_of(type(item)).startswith(LIBRARY) and known(type(item)):
            if not (frozen or item is self._target):
                self._impure()
            # A user's function or object may be inside.
            others = [other for value in _attributes(item) for other in foreign(value)]
            if not others:
                found.kept.append(item)
            return self._push(others, through)
        if isinstance(item, np.ndarray) and fixed(item):
            return found.kept.append(item)
        if not frozen:
            self._impure()
            if through is None:
                found.held.append(item)
            else:
                found.shared.append(Shared(through, item))
        for kind, name in _UNCOPIED.items():
            if isinstance(item, kind):
                found.wrong.append(f"holds {name}, which cannot be copied")
                return
        self._push(_inside(item), through)
        if not installed(type(item)):
            self._owners[id(item)] = item

    def _function(self, function: types.FunctionType, through: str | None) -> None:
        found, code = self.found, code_usage(function.__code__)
        cells = _contents(function)
        defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        if through is None and (cells or defaults):
            found.functions.append(function)
            found.cells += function.__closure__ or ()
        library = installed(function)
        if library and not known(function):
            self._impure()
        if not library:
            self._look_at_code(function, code)
            if not vars(function).keys() <= {"__wrapped__", "stateless"}:
                self._impure()
                found.wrong.append(f"keeps values as attributes of {function.__qualname__}")
            self._push(vars(function).values(), through)
            self._names |= code.names
            if not code.names.isdisjoint(OUTSIDE):
                self._impure()
            if not code.names.isdisjoint(_AROUND):
                self._impure()
                found.rebinds = True
        for name, value in cells.items():
            if name == "__class__":  # where super() looks
                self._owners[id(value)] = value
                continue
            if name in code.rebound:
                self._impure()
                found.rebinds = True
                if through is not None:
                    found.wrong.append(f"changes {name!r} of {through}")
            elif not (library or lasting(value)):
                self._impure()  # whoever shares the variable may give it another value
            self._push(foreign(value) if library else (value,), _via(through, name))
        for value in defaults:
            self._push((value,), _via(through, "a default"))

    def _look_at_code(self, function: types.FunctionType, code: CodeUsage) -> None:
        found, space = self.found, function.__globals__
        found.changes = found.changes or code.changes
        found.assigns = found.assigns or bool(code.assigned)
        for name in sorted(code.written):
            self._impure()
            found.wrong.append(f"writes the global {name!r}")
        if not code.imports <= {"math", "cmath", "operator"}:
            self._impure()
        if code.takes_class:
            self._written |= code.assigned
        for chain in code.chains:
            self._look_at_global(chain, space, code)

    def _look_at_global(self, chain: Chain, space: dict[str, Any], code: CodeUsage) -> None:
        name = chain[0]
        if name not in space:
            if name not in BUILTINS and not is_error(name):
                self._impure()
            return
        value, path = _resolved(space[name], chain)
        self._check_assigned(space[name], name, code)
        if isinstance(value, PLAIN):
            if len(path) == 1 or not known_module(space[name]):
                self._impure()  # a variable, which may have another value later
            return
        self._push((value,), f"the global {'.'.join(path)!r}")

    def _check_assigned(self, owner: Any, name: str, code: CodeUsage) -> None:
        """Note where code assigns an attribute of a module, class or function."""
        if not isinstance(owner, type | types.ModuleType | types.FunctionType):
            return
        for attribute in sorted(code.assigned):
            if attribute in vars(owner) or (name, attribute) in code.assigned_to:
                self._impure()
                self.found.wrong.append(f"writes {name}.{attribute}")

    def _look_at_class(self, owner: Any) -> None:
        """Methods that may be called, and values that all objects of a class share."""
        own = {} if isinstance(owner, type) else getattr(owner, "__dict__", {})
        for cls in (owner if isinstance(owner, type) else type(owner)).__mro__:
            if installed(cls):
                continue
            for name, value in list(vars(cls).items()):
                dunder = name.startswith("__") and name.endswith("__")
                if name not in self._names and (not dunder or name in _NOT_CALLED):
                    continue
                if dunder and not isinstance(value, types.FunctionType):
                    continue
                if name in self._written:
                    self._impure()
                    self.found.wrong.append(f"writes {cls.__name__}.{name}")
                    self._written.discard(name)
                functions = _functions(value)
                if isinstance(value, classmethod):
                    functions = [types.MethodType(f, cls) for f in functions]
                if functions:
                    self._push(functions, f"the class {cls.__name__}")
                elif name not in own:
                    self._push((value,), f"the class attribute {cls.__name__}.{name}")


def _via(through: str | None, name: str) -> str | None:
    return None if through is None else f"{name!r} in {through}" if name != "a default" else through


def _functions(value: Any) -> list[Any]:
    """Functions of a class's attribute."""
    if isinstance(value, staticmethod | classmethod):
        return [value.__func__]
    if isinstance(value, property):
        return [f for f in (value.fget, value.fset) if f is not None]
    return [value] if isinstance(value, types.FunctionType) else []


def _contents(function: types.FunctionType) -> dict[str, Any]:
    """Values of the variables around a function that it uses."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not bound yet
            found[name] = None
    return found


def _inside(item: Any) -> Iterable[Any]:
    """Objects in a container, or those that an object has as attributes."""
    if isinstance(item, np.ndarray):
        return item.flat if item.dtype == object else ()
    if isinstance(item, dict):
        return item.values()
    return item if isinstance(item, list | set | deque) else _attributes(item)


def _attributes(item: Any) -> list[Any]:
    found = list(getattr(item, "__dict__", {}).values())
    for cls in type(item).__mro__:
        slots = vars(cls).get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else tuple(slots)
        found += [getattr(item, name) for name in names if hasattr(item, name)]
    return found


def _resolved(value: Any, chain: Chain) -> tuple[Any, list[str]]:
    """The value of `name.attribute.attribute`, as far as it leads through modules."""
    path = [chain[0]]
    for attribute in chain[1:]:
        if not isinstance(value, types.ModuleType) or not hasattr(value, attribute):
            break
        value = getattr(value, attribute)
        path.append(attribute)
    return value, path
