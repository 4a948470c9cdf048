"""Runs an exported program in PyTorch and looks at its values."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.utils import _pytree as pytree

from spikewright.errors import ReadError
from spikewright.frontends.pytorch.arguments import inference
from spikewright.frontends.pytorch.program import (
    TorchProgram,
    by_name,
    returned,
    sizes_of,
    take_apart,
)
from spikewright.frontends.pytorch.registry import to_array
from spikewright.frontends.source import COARSEST_FIRST
from spikewright.graph import Graph, checked_inputs


def run(
    program: TorchProgram,
    graph: Graph,
    observed: Mapping[Any, str],
    inputs: Mapping[str, ArrayLike],
) -> dict[str, NDArray]:
    """Values `{node name: (batch, *shape)}` of the observed nodes for `{name: (batch, *shape)}`.

    `observed` holds the name of the graph's node by node of the program, which runs on one sample
    after the other. Raises `ReadError` when inputs are missing, unknown or of the wrong shape.
    """

    def observe(sample: Mapping[Any, NDArray]) -> dict[str, NDArray]:
        found = recorded(program, observed, sample).items()
        return {
            name: value.reshape(1, *graph.shapes[name])
            for node, value in found
            for name in [observed[node]]
        }

    return _in_batches(_checked(program.inputs, inputs), 1, observe)


def call(
    exported: Any,
    module: Any,
    graph: Graph,
    inputs: Mapping[str, ArrayLike],
    samples: int | None = None,
) -> dict[str, NDArray]:
    """Outputs `{name: (batch, *shape)}` of the model itself for `{name: (batch, *shape)}`.

    They are those that the graph has too, none where it lacks an input. `module` is the live module
    that the program was traced from: it is called in evaluation mode, and left as it was. Without
    one the whole program runs. It takes `samples` at a time, or any number where that is None.
    Raises as `run` does.
    """
    nodes = inputs_of(exported)
    if len(graph.inputs) < len(nodes):
        return {}

    def ask(chunk: Mapping[Any, NDArray]) -> dict[str, NDArray]:
        made = own_call(exported, module, chunk)
        return {name: value for name, value in made.items() if name in graph.outputs}

    given = _checked({node: graph.shapes[node.name] for node in nodes}, inputs)
    found = _in_batches(given, samples, ask)
    count = len(next(iter(given.values())))
    shapes = {name: (count, *graph.shapes[node]) for name, node in graph.outputs.items()}
    return {  # squeeze() leaves no axis to one sample
        name: value.reshape(shapes[name]) if count == 1 and value.size == math.prod(shapes[name])
        else value
        for name, value in found.items()
    }  # fmt: skip


def inputs_of(exported: Any) -> list[Any]:
    """The nodes of a program's inputs that are tensors."""
    user = exported.graph_signature.user_inputs
    nodes = [node for node in exported.graph.nodes if node.op == "placeholder"]
    return [n for n in nodes if n.name in user and isinstance(n.meta.get("val"), torch.Tensor)]


def own_call(exported: Any, module: Any, inputs: Mapping[Any, NDArray]) -> dict[str, NDArray]:
    """All outputs of a module, or of a program without one, as the framework makes them."""
    tensors = {node: _tensor(node, value) for node, value in inputs.items()}
    program = take_apart(exported)
    if module is None:
        leaves = results(program, tensors)
    else:
        args, kwargs = _arguments(program, tensors)
        with inference(module):
            leaves = pytree.tree_leaves(module(*args, **kwargs))
    return {name: to_array(value) for name, value in by_name(exported, leaves).items()}


_FAST = (torch.nn.MultiheadAttention, torch.nn.TransformerEncoderLayer)


def ran(module: Any) -> str:
    """The framework that runs a model; names fused attention, which differs under some masks."""
    parts = () if module is None else module.modules()
    fast = torch.backends.mha.get_fastpath_enabled() and any(isinstance(p, _FAST) for p in parts)
    where = " with its fast path of attention (torch.backends.mha)" if fast else ""
    return f"PyTorch {torch.__version__}{where}"


def precision_of(program: TorchProgram) -> str:
    """The coarsest precision of the numbers that a program computes."""
    values = (node.meta.get("val") for node in (*program.inputs, *program.dependent))
    found = {str(value.dtype) for value in values if isinstance(value, torch.Tensor)}
    return next((name for name in COARSEST_FIRST if f"torch.{name}" in found), "float32")


def _in_batches(
    given: Mapping[Any, NDArray],
    size: int | None,
    ask: Callable[[Mapping[Any, NDArray]], dict[str, NDArray]],
) -> dict[str, NDArray]:
    """The answers for all samples, asked for in batches of a size; None is all of them at once.

    The last batch repeats its last sample to fill up.
    """
    samples = len(next(iter(given.values())))
    size = size or max(samples, 1)
    parts: dict[str, list[NDArray]] = {}
    for start in range(0, max(samples, 1), size):
        chunk = {node: _rows(value, start, size) for node, value in given.items()}
        for name, value in ask(chunk).items():
            parts.setdefault(name, []).append(value)
    return {name: np.concatenate(values)[:samples] for name, values in parts.items()}


def _arguments(program: TorchProgram, tensors: Mapping[Any, Any]) -> Any:
    """Positional and keyword arguments of the model, nested as it was traced with."""
    exported = program.exported
    nodes = {node.name: node for node in exported.graph.nodes if node.op == "placeholder"}
    leaves = []
    for spec in exported.graph_signature.input_specs:
        if spec.kind.name == "USER_INPUT":
            node = nodes[spec.arg.name]
            leaves.append(tensors[node] if node in tensors else program.constants[node])
    return pytree.tree_unflatten(leaves, exported.call_spec.in_spec)


def _tensor(node: Any, value: NDArray) -> Any:
    like = node.meta["val"]
    return torch.tensor(value, dtype=like.dtype, device=like.device)


def random_inputs(program: TorchProgram, samples: int) -> dict[Any, NDArray]:
    """Seeded random samples by placeholder; whole numbers are zeros and ones in turn."""
    rng = np.random.default_rng(0)
    found: dict[Any, NDArray] = {}
    for node, shape in program.inputs.items():
        like = node.meta["val"]
        if like.is_floating_point():
            found[node] = rng.normal(size=(samples, *shape))
        elif like.dtype == torch.bool:
            found[node] = rng.random((samples, *shape)) < 0.5
        else:
            found[node] = np.ones((samples, *shape)) * (np.arange(samples) % 2).reshape(
                -1, *(1,) * len(shape)
            )
    return found


def sample_inputs(program: TorchProgram) -> dict[Any, Any]:
    """A seeded random input, as tensors by placeholder."""
    (size, *_) = (sizes_of(node.meta["val"])[0] for node in program.inputs)
    known = {node: tuple(map(_extent, shape)) for node, shape in program.inputs.items()}
    given = random_inputs(replace(program, inputs=known), size if isinstance(size, int) else 2)
    return {node: _tensor(node, value) for node, value in given.items()}


def _extent(size: Any) -> int:
    """A size, or one that it had while the program was traced."""
    return size if isinstance(size, int) else int(size.node.hint or 2)


def results(program: TorchProgram, inputs: Mapping[Any, Any]) -> list[Any]:
    """The results of a program, which may change values in place on the way."""
    module = program.exported.graph_module
    given = {node.name: value for node, value in inputs.items()}
    arguments = []
    for node in module.graph.nodes:
        if node.op == "placeholder":
            value = given.get(node.name, program.constants.get(node))
            arguments.append(value.clone() if isinstance(value, torch.Tensor) else value)
    with torch.no_grad():
        made = torch.fx.Interpreter(module).run(*arguments, enable_io_processing=False)
    return returned(program.exported, made)


def _rows(value: NDArray, start: int, size: int) -> NDArray:
    rows = value[start : start + size]
    return np.concatenate([rows, *[rows[-1:]] * (size - len(rows))]) if len(rows) else rows


def _checked(
    shapes: Mapping[Any, Sequence[int]], inputs: Mapping[str, ArrayLike]
) -> dict[Any, NDArray]:
    """The arrays by nodes, which have these unbatched shapes; raises `ReadError` for others."""
    named = {node.name: tuple(shape) for node, shape in shapes.items()}
    return dict(zip(shapes, checked_inputs(named, inputs, ReadError).values(), strict=True))


def recorded(
    program: TorchProgram, observed: Collection[Any], inputs: Mapping[Any, NDArray]
) -> dict[Any, NDArray]:
    """The values of the observed nodes of a program, of which only the live part runs."""
    return _Recorder(program, observed).record(inputs)


class _Recorder(torch.fx.Interpreter):
    """Runs the live part of a program and keeps the values of the observed nodes."""

    def __init__(self, program: TorchProgram, observed: Collection[Any]) -> None:
        super().__init__(program.exported.graph_module)
        self._program = program
        self._observed = observed
        self._values: dict[Any, NDArray] = {}

    def record(self, inputs: Mapping[Any, NDArray]) -> dict[Any, NDArray]:
        placeholders = [node for node in self.module.graph.nodes if node.op == "placeholder"]
        values = [self._argument(node, inputs) for node in placeholders]
        with torch.no_grad():
            self.run(*values, enable_io_processing=False)
        return self._values

    def _argument(self, node: Any, inputs: Mapping[Any, NDArray]) -> Any:
        if node in inputs:
            return _tensor(node, inputs[node])
        return self._program.constants.get(node)  # None for an input that nothing kept needs

    def run_node(self, node: Any) -> Any:
        if (node.op == "call_function" and node not in self._program.live) or node.op == "get_attr":
            return None
        if node.op == "output":
            return None
        value = super().run_node(node)
        if node in self._observed and isinstance(value, torch.Tensor):
            self._values[node] = to_array(value)
        return value
