"""A live module becomes an exported program; the module itself is left as it was."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch.nn.modules import transformer
from torch.utils import _pytree as pytree

from spikewright.errors import ReadError
from spikewright.frontends.pytorch.modes import evaluation

_EXAMPLE = "read(model, example_input=x[:2]), x being (batch, *shape)"


def export(module: Any, example_input: Any, extra: int = 0) -> Any:
    """Trace a module in evaluation mode, with the size of the batch axis free where it can be.

    The first sample is given `extra` times more.
    Raises `ReadError` when there is no usable example input or `torch.export` cannot trace it.
    """
    module = getattr(module, "_orig_mod", module)  # what torch.compile wrapped
    if isinstance(module, torch.jit.ScriptModule):
        raise ReadError(
            f"a {type(module).__name__} holds no Python code to trace. Give the module that it was "
            "compiled from, or a .pt2 file."
        )
    if example_input is None:
        raise ReadError(
            f"a {type(module).__name__} is read by tracing it, which needs an example input with a "
            f"batch axis: {_EXAMPLE}."
        )
    if any(isinstance(p, torch.nn.UninitializedParameter) for p in module.parameters()):
        raise ReadError(
            f"the {type(module).__name__} has lazy layers without weights. Run it once first."
        )
    args, kwargs = _split(module, example_input)
    _check_batches(args, kwargs)
    failure: Exception | None = None
    with evaluation(module), _plain_attention(), _flat_weights(), torch.no_grad():
        for convert in _conversions(module, (args, kwargs), extra):
            given, named = pytree.tree_map(convert, (args, kwargs))
            for dynamic in (_free_batch(module, given, named), None):
                try:
                    return torch.export.export(
                        module, given, named, dynamic_shapes=dynamic, strict=False
                    )
                except Exception as error:
                    failure = failure or error
    raise ReadError(
        f"torch.export cannot trace this {type(module).__name__}: {_first_lines(failure)} "
        f"The example input was {_describe(args, kwargs)}, its first axis taken as the batch; "
        "forward must not branch on values."
    ) from failure


def _split(module: Any, example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments of the example, as tensors in the order of `forward`."""
    if isinstance(example, Mapping):
        bound = _bind(module, (), {str(name): _tensor(value) for name, value in example.items()})
        return bound.args, bound.kwargs
    values = example if isinstance(example, tuple) else (example,)
    return tuple(_tensor(value) for value in values), {}


def _bind(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
    signature = inspect.signature(module.forward)
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ReadError(
            f"the example input does not fit {type(module).__name__}.forward{signature}: {error}."
        ) from error


def _tensor(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise ReadError(
                f"an example input of type {type(value).__name__} is not an array of numbers. "
                f"Call {_EXAMPLE}, with a tuple or {{forward argument: array}} for several inputs."
            )
        value = torch.from_numpy(np.array(array, order="C"))
    if value.is_complex():
        raise ReadError("the example input is complex; spiking networks compute with real numbers")
    return value.detach()


def _check_batches(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    tensors = [*args, *kwargs.values()]
    shapes = [tuple(tensor.shape) for tensor in tensors]
    if not tensors or not all(shapes):
        raise ReadError(f"the example input has no batch axis; call {_EXAMPLE}.")
    if len({shape[0] for shape in shapes}) > 1 or 0 in shapes[0][:1]:
        raise ReadError(
            f"the example inputs have shapes {shapes}; the first axis is the batch, which must "
            "have the same size, at least 1, in all of them."
        )


def _conversions(module: Any, example: Any, extra: int) -> Iterator[Any]:
    """Ways to give the example to the module: with its precision, then whole numbers as they are.

    A batch of one is doubled, because `torch.export` takes a size of one for a constant.
    """
    tensors = list(chain(module.parameters(), module.buffers()))
    dtype = next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)
    device = tensors[0].device if tensors else torch.device("cpu")

    def convert(tensor: Any, to: Any = dtype) -> Any:
        tensor = tensor.to(device=device, dtype=to)
        copies = extra + (len(tensor) == 1)
        return torch.cat([tensor, *[tensor[:1]] * copies]) if copies else tensor

    yield convert
    if any(not tensor.is_floating_point() for tensor in pytree.tree_leaves(example)):
        yield lambda t: convert(t, dtype if t.is_floating_point() else t.dtype)


def _free_batch(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`dynamic_shapes` that leave the first axis of every input free."""
    size = getattr(torch.export.Dim, "AUTO", None) or torch.export.Dim("batch")
    return pytree.tree_map(lambda _: {0: size}, dict(_bind(module, args, kwargs).arguments))


@contextmanager
def _flat_weights() -> Iterator[None]:
    """Quiet about the lists of weights in recurrent layers, which PyTorch itself puts back."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"The tensor attributes? self\..*_flat_weights")
        yield


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Attention and transformer layers as their own code, not as one fused operator.

    Transformers also look at the values of a mask, to find out whether it is a causal one; tracing
    cannot, and what they compute does not depend on it.
    """
    before = torch.backends.mha.get_fastpath_enabled()
    detect = getattr(transformer, "_detect_is_causal_mask", None)
    torch.backends.mha.set_fastpath_enabled(False)
    if detect is not None:
        transformer._detect_is_causal_mask = _as_told
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
        if detect is not None:
            transformer._detect_is_causal_mask = detect


def _as_told(mask: Any, is_causal: bool | None = None, size: int | None = None) -> bool:
    """Whether the caller says that the mask is causal."""
    return bool(is_causal)


def _first_lines(error: Exception | None) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:3])[:400]}"


def _describe(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    shapes = [str(tuple(tensor.shape)) for tensor in args]
    return ", ".join(shapes + [f"{name} {tuple(t.shape)}" for name, t in kwargs.items()])
