"""A user's model is afterwards what it was, whatever reads it, calls it or fails in between.

`preserved` is the one guard of all readers and of every place that calls code of a model. It takes
a snapshot of all that can be reached from the model: noted by identity, and put back.
"""

from __future__ import annotations

import random
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import _lru_cache_wrapper, cache, partial
from operator import is_
from threading import RLock
from types import CellType, FunctionType, MemberDescriptorType, MethodType
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.frontends.preserving.states import (
    ABSENT,
    Cached,
    ClassAttributes,
    Content,
    HeldContents,
    Noted,
    TensorState,
    array_states,
    class_of,
    container_kind,
    is_generator,
    is_kind_of_tensor,
    loaded,
    of_generator,
    of_process,
    slots_in,
    slots_of,
    variable_in,
    watching,
    watching_inside,
)

__all__ = ["Snapshot", "preserved", "watching_inside"]

_ONE_AT_A_TIME = RLock()
_LONG = 100_000  # entries: what is in longer containers is not looked at
_CLOSED = {"torch", "numpy", "tensorflow", "jax", "jaxlib", *sys.stdlib_module_names}
_LIBRARIES = {*_CLOSED, "keras"}
_SETTINGS = (  # parts of Keras that no call of a model changes
    "keras.src.ops.", "keras.src.backend.common.keras_tensor", "keras.src.initializers.",
    "keras.src.saving.", "keras.src.layers.input_spec", "keras.src.dtype_policies.",
)  # fmt: skip
_OF_OTHERS = {"threading", "_thread", "queue", "multiprocessing", "concurrent", "asyncio", "_io"}
_VARIABLE = ("keras.src.backend.common.variables", "Variable")
_PARTS = {("torch.nn.modules.module", "Module"), ("keras.src.layers.layer", "Layer")}


class Snapshot:
    """The state of objects when it was taken, with all that can be reached from them.

    That is attributes, containers, closures of functions, tensors, arrays and random generators;
    beside them the random states of the process, PyTorch's global hooks and Keras's global state.
    """

    def __init__(self, objects: Iterable[Any]) -> None:
        self._noted: list[Noted] = []
        self._tensors: list[Any] = []
        self._contents: dict[int, Content] = {}
        self._classes: dict[type, _Class] = {}
        self._seen: dict[int, Any] = {}
        self._waiting: list[Any] = []
        roots = [*objects, *_of_process()]
        for root in roots:
            own = self._class(type(root))
            self._note(root, own._replace(is_open=True, is_leaf=False))
        while self._waiting:
            thing = self._waiting.pop()
            own = self._class(type(thing))
            if not own.is_leaf and id(thing) not in self._seen:
                self._note(thing, own)
        self._noted += of_process()

    def watching(self) -> AbstractContextManager[None]:
        """A context in which tensors are copied before they are written into."""
        return watching(self._tensors)

    def put_back(self) -> None:
        """Make everything what it was; an interrupt in between is raised at the end."""
        try:
            for noted in self._noted:
                noted.put_back()
        except KeyboardInterrupt:
            self.put_back()
            raise

    def changes(self, thing: Any) -> list[str]:
        """The attributes of an object that are others now, or containers of other content."""
        now = vars(thing)
        content = self._contents.get(id(now))
        if content is None:
            return []
        before = content.entries
        held = dict(zip(before[: len(before) // 2], before[len(before) // 2 :], strict=True))
        return [
            name
            for name in dict.fromkeys([*now, *held])
            if name not in now or name not in held or self._differs(now[name], held[name])
        ]

    def _differs(self, now: Any, before: Any) -> bool:
        content = self._contents.get(id(before))
        if content is None or type(now) is not type(before):
            return now is not before
        return content.differs(now)

    def _class(self, kind: type) -> _Class:
        found = self._classes.get(kind)
        if found is None:
            found = self._classes[kind] = _Class.of(kind)
        return found

    def _note(self, thing: Any, own: _Class) -> None:
        """Note one thing, and let whatever it leads to wait."""
        self._seen[id(thing)] = thing
        if own.note is not None:
            noted, leads_to = own.note(thing)
            self._noted += noted
            self._waiting += leads_to
            if own.is_tensor:
                self._tensors.append(thing)
        if own.container is not None:
            content = self._contents[id(thing)] = Content(thing, own.container)
            self._noted.append(content)
            if len(content.entries) <= _LONG:
                self._waiting += content.entries
        if own.is_open and not self._is_shared(thing, own):
            self._note_attributes(thing, own)

    def _is_shared(self, thing: Any, own: _Class) -> bool:
        """Whether an object has parts of threads or files, which others may be using meanwhile."""
        if own.is_part or not own.has_dict:
            return False
        held = object.__getattribute__(thing, "__dict__").values()
        return any(self._class(type(value)).is_of_others for value in held)

    def _note_attributes(self, thing: Any, own: _Class) -> None:
        if own.slots:
            self._noted += (slots := slots_in(thing, own.slots))
            self._waiting += [slot.value for slot in slots if slot.value is not ABSENT]
        if own.has_dict:
            self._noted.append(class_of(thing))
            self._waiting.append(object.__getattribute__(thing, "__dict__"))
        if own.is_variable and isinstance(thing._value, np.ndarray):  # replaced, not written into
            self._seen[id(thing._value)] = thing._value
        if own.is_part:
            for kind in type(thing).__mro__:
                if id(kind) not in self._seen and _home(kind) not in _LIBRARIES:
                    self._note_class(kind)

    def _note_class(self, kind: type) -> None:
        """Note the attributes of a part's own class, and the caches of the file that it is in."""
        self._seen[id(kind)] = kind
        self._noted.append(own := ClassAttributes(kind))
        self._waiting += [value for value in own.entries.values() if container_kind(type(value))]
        around = vars(sys.modules.get(kind.__module__, object))
        found = [*own.entries.values(), *around.values()]
        self._noted += [Cached(value) for value in found if is_cached(value)]


class _Class(NamedTuple):
    """The form in which objects of a class are noted.

    `note` returns what is to be put back and the objects that it leads to. Attributes are noted of
    a class that is `open`; nothing is of a `leaf`.
    """

    note: Callable[[Any], tuple[Sequence[Noted], Iterable[Any]]] | None
    container: type | None
    slots: tuple[MemberDescriptorType, ...]
    has_dict: bool
    is_tensor: bool
    is_part: bool
    is_variable: bool
    is_of_others: bool
    is_open: bool
    is_leaf: bool

    @classmethod
    def of(cls, kind: type) -> _Class:
        """The way for a class."""
        tensor, container = is_kind_of_tensor(kind), container_kind(kind)
        note = _note_tensor if tensor else _note_of(kind)
        names = {(base.__module__, base.__name__) for base in kind.__mro__}
        is_part, is_variable = not _PARTS.isdisjoint(names), _VARIABLE in names
        closed = kind.__module__.startswith(_SETTINGS) or _home(kind) in _CLOSED
        slots, has_dict = slots_of(kind), kind.__dictoffset__ != 0
        is_open = (is_part or not closed) and (has_dict or bool(slots)) and note is None
        is_leaf = note is None and container is None and not is_open
        return cls(
            note,
            container,
            slots,
            has_dict=has_dict,
            is_tensor=tensor,
            is_part=is_part,
            is_variable=is_variable,
            is_of_others=_home(kind) in _OF_OTHERS,
            is_open=is_open,
            is_leaf=is_leaf,
        )


def _note_of(kind: type) -> Callable[[Any], tuple[Sequence[Noted], Iterable[Any]]] | None:
    if is_generator(kind):
        return lambda generator: ([of_generator(generator)], ())
    if is_variable_of_tensorflow(kind):
        return lambda variable: ([HeldContents(variable.read_value, variable.assign)], ())
    return next((note for of, note in _NOTES.items() if issubclass(kind, of)), None)


def _note_tensor(tensor: Any) -> tuple[Sequence[Noted], Iterable[Any]]:
    state = TensorState(tensor)
    return [state], [*state.held, vars(tensor)]


def _note_cell(cell: CellType) -> tuple[Sequence[Noted], Iterable[Any]]:
    variable = variable_in(cell)
    return [variable], [variable.value]


_NOTES: dict[type, Callable[[Any], tuple[Sequence[Noted], Iterable[Any]]]] = {
    np.ndarray: lambda array: (array_states(array), ()),
    tuple: lambda items: ((), items),
    frozenset: lambda items: ((), items),
    CellType: _note_cell,
    FunctionType: lambda f: ((), [*(f.__closure__ or ()), f.__defaults__, f.__kwdefaults__]),
    MethodType: lambda method: ((), [method.__func__, method.__self__]),
    partial: lambda given: ((), [given.func, given.args, given.keywords]),
}


def _of_process() -> Iterator[Any]:
    """Global objects of frameworks that calls of a model may change."""
    if loaded() is not None:
        hooks = vars(sys.modules["torch.nn.modules.module"])
        yield from (value for name, value in hooks.items() if name.startswith("_global"))
    keras: Any = sys.modules.get("keras.src.backend.common.global_state")
    if keras is not None:
        yield vars(keras.GLOBAL_STATE_TRACKER)


def _home(kind: type) -> str:
    """The library that a class is from."""
    return kind.__module__.partition(".")[0]


@contextmanager
def preserved(*held: Any) -> Iterator[Snapshot]:
    """A context after which a model and its arguments are what they were, also after an error.

    That holds for everything that can be reached from them: parameters, buffers and other tensors
    with their gradients, hooks, attributes, modes, containers, closures, random generators and the
    attributes of their classes. The random states of Python, NumPy, PyTorch and Keras and
    PyTorch's global hooks are put back too. Tensors are copied only when something is written into
    them. Global variables of a user's own files, files and threads are not looked at.

    Yields the snapshot that was taken. Threads take turns.
    """
    with _ONE_AT_A_TIME:
        before = Snapshot(held)
        try:
            with before.watching():
                yield before
        finally:
            before.put_back()


def is_cached(thing: Any) -> bool:
    """Whether this is a function whose results are kept."""
    return isinstance(thing, _lru_cache_wrapper)


def is_variable_of_tensorflow(kind: type) -> bool:
    """Whether objects of a class are TensorFlow's variables, into which Keras writes there."""
    return kind.__module__.startswith("tensorflow.") and hasattr(kind, "read_value")
