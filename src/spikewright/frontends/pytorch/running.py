"""Runs an exported program in PyTorch and looks at its values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from spikewright.errors import ReadError
from spikewright.frontends.pytorch.call import to_array
from spikewright.frontends.pytorch.layout import Layout
from spikewright.frontends.pytorch.program import Program
from spikewright.graph import Graph


def run(
    program: Program,
    graph: Graph,
    observed: Mapping[Any, tuple[str, Layout]],
    inputs: Mapping[str, ArrayLike],
) -> dict[str, NDArray]:
    """Values `{node name: (batch, *shape)}` of the observed nodes for `{name: (batch, *shape)}`.

    `observed` holds the name of the graph's node, and its layout, by node of the program.

    A program of fixed batch size runs on as many samples at a time; the last run repeats the last
    sample to fill up. Raises `ReadError` when inputs are missing, unknown or of the wrong shape.
    """
    given, samples = _checked(program, graph, inputs)
    size = program.batch.fixed or max(samples, 1)
    parts: dict[str, list[NDArray]] = {}
    for start in range(0, max(samples, 1), size):
        chunk = {node: _rows(value, start, size) for node, value in given.items()}
        for node, value in _Recorder(program, observed).record(chunk).items():
            name, layout = observed[node]
            parts.setdefault(name, []).append(layout.batch_first(value, graph.shapes[name]))
    return {name: np.concatenate(values)[:samples] for name, values in parts.items()}


def sample_inputs(program: Program) -> dict[Any, Any]:
    """A seeded random input, as tensors by placeholder."""
    generator = torch.Generator().manual_seed(0)
    samples = program.batch.fixed or 2
    return {
        node: torch.randn(samples, *shape, generator=generator).to(node.meta["val"])
        for node, shape in program.inputs.items()
    }


def results(program: Program, inputs: Mapping[Any, Any]) -> list[Any]:
    """The tensors that a program returns, whatever it does to values in place on the way."""
    module = program.exported.graph_module
    given = {node.name: value for node, value in inputs.items()}
    arguments = []
    for node in module.graph.nodes:
        if node.op == "placeholder":
            value = given.get(node.name, program.constants.get(node))
            arguments.append(value.clone() if isinstance(value, torch.Tensor) else value)
    with torch.no_grad():
        returned = torch.fx.Interpreter(module).run(*arguments, enable_io_processing=False)
    specs = program.exported.graph_signature.output_specs
    return [
        value
        for value, spec in zip(returned, specs, strict=True)
        if spec.kind.name == "USER_OUTPUT" and isinstance(value, torch.Tensor)
    ]


def _rows(value: NDArray, start: int, size: int) -> NDArray:
    rows = value[start : start + size]
    return np.concatenate([rows, *[rows[-1:]] * (size - len(rows))]) if len(rows) else rows


def _checked(
    program: Program, graph: Graph, inputs: Mapping[str, ArrayLike]
) -> tuple[dict[Any, NDArray], int]:
    nodes = {node.name: node for node in program.inputs}
    if set(nodes) != set(inputs):
        raise ReadError(f"the inputs are {list(nodes)}, got {list(inputs)}")
    arrays = {node: np.asarray(inputs[name]) for name, node in nodes.items()}
    for node, array in arrays.items():
        if array.shape[1:] != program.inputs[node] or not array.ndim:
            expected = ", ".join(["batch", *map(str, program.inputs[node])])
            raise ReadError(f"input {node.name!r} must be ({expected}), got shape {array.shape}")
    sizes = {len(array) for array in arrays.values()}
    if len(sizes) > 1:
        raise ReadError(f"inputs have different numbers of samples: {sorted(sizes)}")
    return arrays, sizes.pop()


class _Recorder(torch.fx.Interpreter):
    """Runs the live part of a program and keeps the values of the observed nodes."""

    def __init__(self, program: Program, observed: Collection[Any]) -> None:
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
            like = node.meta["val"]
            return torch.tensor(inputs[node], dtype=like.dtype, device=like.device)
        return self._program.constants.get(node)  # None for an input that nothing kept needs

    def run_node(self, node: Any) -> Any:
        if (node.op == "call_function" and node not in self._program.live) or node.op == "get_attr":
            return None
        if node.op == "output":
            return None
        value = super().run_node(node)
        if node in self._observed:
            self._values[node] = to_array(value)
        return value
