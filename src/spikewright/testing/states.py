"""The state of a model, described so that it can be compared: before and after, or with a twin.

::

    with left_as_it_was(model):
        sw.convert(model, example_input=x)
"""

from __future__ import annotations

import functools
import hashlib
import pickle
import random
import re
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import CellType, FunctionType, MethodType
from typing import Any

import numpy as np

_PLAIN = (type(None), bool, int, float, complex, str, bytes, range, slice)
_CLOSED = {"torch", "numpy", "tensorflow", "jax", "jaxlib", *sys.stdlib_module_names}
_NAMED = ("keras.src.ops.", "keras.src.backend.common.keras_tensor", "keras.src.saving.")
_IDENTITY = re.compile(r"\d{11,}")  # such numbers name objects, in texts too: twins share none

State = dict[str, str]


def state_of(model: Any) -> State:
    """The state of a model by the paths of its parts: tensors, attributes, containers, hooks.

    Two models that were made alike have equal states; objects that are one are described as one.
    """
    if hasattr(model, "SerializeToString"):
        return {"model": hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()}
    found: State = {}
    seen: dict[int, str] = {}
    held: list[Any] = []  # an identity is that of one object as long as that is alive
    waiting = [("model", model)]
    while waiting:
        path, thing = waiting.pop()
        if isinstance(thing, _PLAIN):
            found[path] = _plain(thing)
        elif id(thing) in seen:
            found[path] = f"is {seen[id(thing)]}"
        else:
            seen[id(thing)] = path
            held.append(thing)
            found[path] = _words(thing)
            waiting += [(path + step, part) for step, part in _parts(thing)]
    return found


def state_of_process() -> State:
    """The random states of Python, NumPy, PyTorch and Keras, and PyTorch's global hooks."""
    found = {"random": _mark(random.getstate()), "numpy.random": _mark(np.random.get_state())}
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        found["torch.random"] = _mark(torch.get_rng_state().tolist())
        for name, value in vars(sys.modules["torch.nn.modules.module"]).items():
            if name.startswith("_global"):
                found[name] = _mark([_words(hook) for hook in getattr(value, "values", tuple)()])
    keras: Any = sys.modules.get("keras.src.backend.common.global_state")
    if keras is not None:
        names = ("global_seed_generator", "object_name_uids")
        globals_of_keras = {name: keras.get_global_attribute(name) for name in names}
        found |= {f"keras {path}": text for path, text in state_of(globals_of_keras).items()}
    return found


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """A line for each path at which two states differ."""
    return [
        f"{path}: {before.get(path, 'absent')} -> {after.get(path, 'absent')}"
        for path in dict.fromkeys([*before, *after])
        if before.get(path) != after.get(path)
    ]


@contextmanager
def left_as_it_was(model: Any) -> Iterator[None]:
    """A context that raises `AssertionError` where a model or a random state is another after it.

    Errors in it pass through, once the model has been looked at.
    """
    before = state_of(model) | state_of_process()
    try:
        yield
    finally:
        found = differences(before, state_of(model) | state_of_process())
        assert not found, "changed: " + "; ".join(found[:20])


def _plain(thing: Any) -> str:
    is_float = isinstance(thing, float | complex)
    return repr(thing) if is_float else _IDENTITY.sub("identity", repr(thing))


def _words(thing: Any) -> str:
    """One thing without its parts."""
    kind = type(thing)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if _is_tensor(thing):
        return f"{name} {thing.dtype} {tuple(thing.shape)} {_mark_of_tensor(thing)} " + (
            f"requires_grad={thing.requires_grad}"
        )
    if isinstance(thing, np.ndarray):
        return f"{name} {thing.dtype} {thing.shape} {_mark(thing.tobytes())}"
    if isinstance(thing, set | frozenset):
        return f"{name} of {len(thing)}: {sorted(map(_entry, thing))}"
    if isinstance(thing, list | tuple | deque | dict):
        return f"{name} of {len(thing)}"
    if isinstance(thing, FunctionType | type):
        return f"{name} {thing.__module__}.{thing.__qualname__}"
    generator = getattr(thing, "bit_generator", thing)
    for read in ("getstate", "get_state"):
        if callable(getattr(generator, read, None)):
            return f"{name} {_mark(_listed(getattr(generator, read)()))}"
    if isinstance(generator, np.random.BitGenerator):
        return f"{name} {_mark(generator.state)}"
    return name


def _parts(thing: Any) -> Iterator[tuple[str, Any]]:
    """The parts of one thing, with the step to each."""
    if _is_tensor(thing):
        yield from ((".grad", thing.grad if thing.is_leaf else None), (".hooks", _hooks(thing)))
    elif isinstance(thing, FunctionType):
        yield from ((f"<{name}>", getattr(thing, name)) for name in ("__closure__", "__defaults__"))
    elif isinstance(thing, MethodType):
        yield from ((".self", thing.__self__), (".function", thing.__func__))
    elif isinstance(thing, functools.partial):
        yield from ((".function", thing.func), (".args", thing.args), (".kwargs", thing.keywords))
    elif isinstance(thing, CellType):
        yield ".content", _content(thing)
    elif isinstance(thing, dict):
        for position, (key, value) in enumerate(thing.items()):
            yield f"[{position}: {_entry(key)}]", value
    elif isinstance(thing, list | tuple | deque):
        yield from ((f"[{position}]", value) for position, value in enumerate(thing))
    elif _is_open(thing):
        yield from _attributes(thing)


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of an object, and those of its class that a user could have written."""
    slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    own = {name: getattr(thing, name) for name in slots if hasattr(thing, name)}
    for name, value in {**own, **getattr(thing, "__dict__", {})}.items():
        if _is_lazy(thing, name):
            continue
        numbered = "hooks" in name and isinstance(value, dict)  # counted up in the whole process
        yield f".{name}", list(value.values()) if numbered else value
    for kind in type(thing).__mro__:
        if _home(kind) not in {*_CLOSED, "keras"}:
            own = {n: v for n, v in vars(kind).items() if not n.startswith("__")}
            kept = (*_PLAIN, list, dict, set)
            yield f"<{kind.__name__}>", {n: v for n, v in own.items() if isinstance(v, kept)}


def _is_open(thing: Any) -> bool:
    kind = type(thing)
    if any(base.__module__ == "torch.nn.modules.module" for base in kind.__mro__):
        return True
    return _home(kind) not in _CLOSED and not kind.__module__.startswith(_NAMED)


def _is_lazy(thing: Any, name: str) -> bool:
    """Whether an attribute of a graph is computed when it is asked for."""
    kind = type(thing)
    return _home(kind) == "spikewright" and isinstance(
        getattr(kind, name, None), functools.cached_property
    )


def _entry(thing: Any) -> str:
    return _plain(thing) if isinstance(thing, _PLAIN) else type(thing).__qualname__


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return "empty"


def _hooks(tensor: Any) -> list[Any]:
    return list((tensor._backward_hooks or {}).values())


def _is_tensor(thing: Any) -> bool:
    torch: Any = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.Tensor)


def _mark_of_tensor(tensor: Any) -> str:
    torch: Any = sys.modules["torch"]
    dense = tensor.detach().cpu().contiguous().view(-1)
    return _mark(dense.view(torch.uint8).numpy().tobytes() if dense.numel() else b"")


def _listed(state: Any) -> Any:
    return state.tolist() if _is_tensor(state) else state


def _mark(content: Any) -> str:
    whole = content if isinstance(content, bytes) else pickle.dumps(content)
    return hashlib.sha256(whole).hexdigest()[:12]


def _home(kind: type) -> str:
    return kind.__module__.partition(".")[0]
