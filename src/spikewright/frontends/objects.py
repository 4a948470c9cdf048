"""Layers of a live model as keys: the name that each has in what is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any


def with_names(value: Any, model: Any, framework: str | None) -> Any:
    """A setting by layer, or names of layers, with a name in the place of each layer of the model.

    Keys that are no layers of it stay as they are: what takes them says what it does not know.
    """
    find = _NAMES.get(framework or "")
    if find is None or value is None or isinstance(value, str):
        return value
    several = isinstance(value, Mapping | Sequence | Set)
    keys: list[Any] = list(value) if several else [value]
    objects = [key for key in keys if not isinstance(key, str | type)]
    if not objects:
        return value
    names = find(model)
    if isinstance(value, Mapping):
        return {names.get(id(key), key): item for key, item in value.items()}
    found = [names.get(id(key), key) for key in keys]
    return found if several else found[0]


def _of_pytorch(model: Any) -> dict[int, str]:
    modules = getattr(model, "named_modules", dict)
    return {id(module): name for name, module in dict(modules()).items() if name}


def _of_keras(model: Any) -> dict[int, str]:
    return {id(layer): path for path, layer in _below(model, "", set())}


def _below(layer: Any, around: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """The layers inside a layer, with their paths as the reader names them."""
    held: Any = getattr(layer, "layers", None) or getattr(layer, "_layers", ())
    for inner in held:
        if id(inner) not in seen:
            seen.add(id(inner))
            path = f"{around}{inner.name}"
            yield path, inner
            yield from _below(inner, f"{path}/", seen)


_NAMES: Mapping[str, Callable[[Any], dict[int, str]]] = {
    "pytorch": _of_pytorch,
    "keras": _of_keras,
}
"""For each framework the names of a model's layers by their identity."""
