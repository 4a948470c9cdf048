"""The call of a module: its arguments, the mode it runs in, and state that forward leaves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils import _pytree as pytree

from spikewright._base.arguments import readable
from spikewright._base.samples import TreePath
from spikewright.advice import advise
from spikewright.errors import ReadError, Refusal, UnsupportedLayerError
from spikewright.frontends.preserving import Snapshot, preserved
from spikewright.frontends.pytorch.registry import STATE


@dataclass(frozen=True)
class OperatorArguments:
    """The arguments of a module's call: tensors in any structure, and settings as they are.

    `misfit` says why an example that is the only argument does not hold all arguments.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    misfit: str = ""

    @property
    def tensors(self) -> list[Any]:
        """All tensors, in order."""
        leaves = pytree.tree_leaves((self.args, dict(self.kwargs)))
        return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]

    @property
    def whole(self) -> bool:
        """Whether some of them hold whole numbers."""
        return any(not tensor.is_floating_point() for tensor in self.tensors)

    def each(self, function: Any) -> OperatorArguments:
        """The same with another tensor in the place of each."""
        args, kwargs = pytree.tree_map_only(torch.Tensor, function, (self.args, dict(self.kwargs)))
        return OperatorArguments(args, kwargs, self.misfit)

    def rows(self, count: int) -> OperatorArguments:
        """The same with the first `count` samples alone."""
        return self.each(lambda tensor: tensor[:count])

    def arrays(self) -> dict[str, NDArray]:
        """The tensors as arrays `(batch, *shape)`, by their numbers in order."""
        return {str(i): _array(tensor) for i, tensor in enumerate(self.tensors)}

    def of(self, arrays: Mapping[str, NDArray]) -> OperatorArguments:
        """The same with the values of arrays that `arrays` has given, in the tensors' types."""
        values = iter(arrays.values())
        return self.each(lambda t: torch.tensor(next(values), dtype=t.dtype, device=t.device))

    def absent(self, module: Any) -> list[str]:
        """The arguments of forward that are left out, or None."""
        signature = inspect.signature(module.forward)
        bound = signature.bind(*self.args, **self.kwargs).arguments
        named = (p for p in signature.parameters.values() if p.default is None)
        return [p.name for p in named if bound.get(p.name) is None]

    def __str__(self) -> str:
        shapes = [str(tuple(tensor.shape)) for tensor in self.tensors]
        return ", ".join(shapes)


def calls_of(module: Any, example: Any) -> list[OperatorArguments]:
    """The ways in which an example gives the arguments of forward, the likeliest first.

    A list, a tuple or a mapping holds the arguments, or is the only one. Raises `ReadError` where
    it fits in no way, and where its arrays have no batch axis in common.
    """
    given = _tensors(example)
    signature = inspect.signature(module.forward)
    found, misfit = list[OperatorArguments](), ""
    for args, kwargs in _ways(given):
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            name = type(module).__name__
            misfit = misfit or f"the example input does not fit {name}.forward{signature}: {error}."
        else:
            found.append(OperatorArguments(bound.args, bound.kwargs, misfit))
    if not found:
        raise ReadError(misfit)
    _check_batches(found[0].tensors)
    return found


def shapes_of(example: Any) -> list[tuple[int, ...]]:
    """The shapes of all arrays in an example, in order."""
    leaves = pytree.tree_leaves(_tensors(example))
    return [tuple(leaf.shape) for leaf in leaves if isinstance(leaf, torch.Tensor)]


def _ways(given: Any) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    if isinstance(given, dict):
        yield (), {str(name): value for name, value in given.items()}
    elif isinstance(given, list | tuple):
        yield tuple(given), {}
    yield (given,), {}


def _tensors(value: Any, whole: bool = True) -> Any:
    """Arrays as tensors, in containers that PyTorch knows; anything else stays as it is."""
    if isinstance(value, Mapping):
        return {key: _tensors(item, False) for key, item in value.items()}
    if isinstance(value, list | tuple) and not (whole and _is_number(value)):
        items = [_tensors(item, False) for item in value]
        return items if isinstance(value, list) else _like(value, items)
    if not whole and (value is None or isinstance(value, bool | int | float | str)):
        return value
    return _tensor(value)


def _like(value: tuple[Any, ...], items: list[Any]) -> tuple[Any, ...]:
    return type(value)(*items) if hasattr(value, "_fields") else tuple(items)


def _is_number(value: Any) -> bool:
    """Whether this is a number, or nothing but numbers in lists."""
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(map(_is_number, value))
    return isinstance(value, bool | int | float)


def _tensor(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        try:
            array = np.asarray(readable(value))
        except TypeError as error:
            raise ReadError(f"the example input cannot be read: {error}") from None
        if array.dtype.kind not in "fiub":
            raise ReadError(
                f"an example input of type {type(value).__name__} is not an array of numbers. "
                f"{advise('example of a module')}, or the arguments of the module's own call."
            )
        value = torch.from_numpy(np.array(array, order="C"))
    if value.is_complex():
        raise ReadError("the example input is complex; spiking networks compute with real numbers")
    return value.detach()


def _array(tensor: Any) -> NDArray:
    short = tensor.dtype in (torch.bfloat16, torch.float16)
    array: NDArray = (tensor.float() if short else tensor).cpu().numpy().copy()
    return array


def _check_batches(tensors: Sequence[Any]) -> None:
    shapes = [tuple(tensor.shape) for tensor in tensors]
    if not tensors or not all(shapes):
        raise ReadError(f"the example input has no batch axis. {advise('example of a module')}.")
    if len({shape[0] for shape in shapes}) > 1 or 0 in shapes[0][:1]:
        raise ReadError(
            f"the example inputs have shapes {shapes}; the first axis is the batch, which must "
            "have the same size, at least 1, in all of them. Where forward takes it elsewhere, as "
            "a recurrent layer does its state, wrap the module and transpose."
        )


def variants(module: Any, call: OperatorArguments) -> Iterator[OperatorArguments]:
    """Ways to give the tensors: in the module's precision, then whole numbers as they are.

    A module with tables takes them as they are in the first place.
    """
    held = list(chain(module.parameters(), module.buffers()))
    dtype = next((t.dtype for t in held if t.is_floating_point()), torch.float32)
    device = held[0].device if held else torch.device("cpu")

    def given(tensor: Any, as_it_is: bool) -> Any:
        kept = as_it_is and not tensor.is_floating_point()
        return tensor.to(device=device, dtype=tensor.dtype if kept else dtype)

    tables = any(isinstance(part, torch.nn.Embedding) for part in module.modules())
    rows = any(tensor.dtype in (torch.int32, torch.int64) for tensor in call.tensors)
    for as_it_is in ((True, False) if tables and rows else (False, True))[: 1 + call.whole]:
        yield call.each(lambda t, k=as_it_is: given(t, k))


def input_places(exported: Any, module: Any = None) -> dict[str, TreePath]:
    """The way to each input of a program through the arguments of its call, by its node's name.

    An argument has the name that it has in the forward method, where there is a module; else that
    of its input, or its position where it holds several.
    """
    spec = exported.call_spec.in_spec
    paths = pytree.tree_flatten_with_path(
        pytree.tree_unflatten(list(range(spec.num_leaves)), spec)
    )[0]
    nodes = [node.name for node in exported.graph.nodes if node.op == "placeholder"]
    own = [
        name
        for name, given in zip(nodes, exported.graph_signature.input_specs, strict=True)
        if given.kind.name == "USER_INPUT"
    ]
    named = () if module is None else tuple(inspect.signature(module.forward).parameters.values())
    return {
        name: _place([_step(key) for key in path], name, named)
        for name, (path, _) in zip(own, paths, strict=True)
    }


def _step(key: Any) -> str | int:
    """A step of PyTorch's path through a structure."""
    for kind in ("key", "idx", "name"):
        if hasattr(key, kind):
            found = getattr(key, kind)
            return found if isinstance(found, int) else str(found)
    return str(key)


def _place(path: list[str | int], name: str, parameters: Sequence[inspect.Parameter]) -> TreePath:
    """The place of an input from its path in (args, kwargs)."""
    kind, first, *rest = path
    if kind == 1:
        return (first, *rest)
    assert isinstance(first, int)
    for index, parameter in enumerate(parameters):
        if parameter.kind is parameter.VAR_POSITIONAL:
            return (parameter.name, first - index, *rest)
        if index == first:
            return (parameter.name, *rest)
    return (first, *rest) if rest else (name,)


@contextmanager
def inference(module: Any, *arguments: Any) -> Iterator[Snapshot]:
    """A context in which a module is called as at inference, and after which it is as before.

    It returns tensors, in whatever structure; a cache or a setting among them becomes None. The
    arguments of its calls keep their values too. Yields the snapshot of module and arguments.
    """
    with preserved(module, arguments) as before, torch.no_grad():
        evaluation(module)
        module.register_forward_hook(_tensors_alone)
        yield before


def evaluation(module: Any) -> None:
    """Put a module into evaluation mode, to be used where it is `preserved`."""
    for part in module.modules():
        part.training = False


def _tensors_alone(module: Any, args: Any, output: Any) -> Any:
    return pytree.tree_map(lambda leaf: leaf if isinstance(leaf, torch.Tensor) else None, output)


_PYTORCHS = (
    "_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks", "training",
    "forward",  # replaced while a module is traced
)  # fmt: skip


def set_by_forward(module: Any, before: Snapshot) -> list[str]:
    """A list that holds the attributes which forward has set, once the module has returned.

    To be used where the module is `preserved`. Layers of PyTorch are left out: they may set their
    own attributes.
    """
    changed: list[str] = []
    parts = {
        path: part
        for path, part in module.named_modules()
        if not type(part).__module__.startswith("torch.nn.")
    }

    def note(*call: Any) -> None:
        changed[:] = [
            f"{path}.{name}".lstrip(".")
            for path, part in parts.items()
            for name in before.changes(part)
            if name not in _PYTORCHS
        ]

    module.register_forward_hook(note)
    return changed


def refuse_memory(module: Any, changed: Sequence[str], call: OperatorArguments) -> None:
    """Raise `UnsupportedLayerError` if state that forward sets changes its next result.

    The module is called twice, on random numbers.
    """
    generator = torch.Generator().manual_seed(0)

    def random(tensor: Any) -> Any:
        if not tensor.is_floating_point():
            return tensor
        return torch.randn(tensor.shape, generator=generator).to(tensor)

    given = call.each(random)
    with inference(module, given.args, given.kwargs):
        try:
            first, second = (
                pytree.tree_leaves(module(*given.args, **given.kwargs)) for _ in range(2)
            )
        except Exception as error:
            raise ReadError(
                f"the {type(module).__name__} keeps {', '.join(changed)} from call to call, and "
                f"the second call fails: {type(error).__name__}: {error}"
            ) from error
    if not all(map(_equal, first, second)):
        raise UnsupportedLayerError([Refusal(name, "attribute", *STATE) for name in changed])


def _equal(first: Any, second: Any) -> bool:
    if not isinstance(first, torch.Tensor):
        return True
    return first.shape == second.shape and torch.allclose(first, second, equal_nan=True)
