"""Small ONNX models for the tests, and the check that a reading computes what the model does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from spikewright.frontends.onnx import read
from spikewright.frontends.source import Source
from spikewright.graph import evaluate, evaluate_all
from spikewright.testing.frontends import check_call

NEWEST = onnx.defs.onnx_opset_version()


def random(*shape: int, seed: int = 0) -> NDArray:
    """Standard normal float32 values."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def model(
    nodes: Sequence[Any],
    inputs: Mapping[str, Sequence[Any]],
    outputs: Sequence[str],
    weights: Mapping[str, ArrayLike] | None = None,
    opset: int = 18,
    element: int = TensorProto.FLOAT,
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """A model; input shapes are full, a string is a symbolic extent."""
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info(n, element, list(shape)) for n, shape in inputs.items()],
        [helper.make_tensor_value_info(name, element, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(w), name) for name, w in (weights or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def node(operator: str, inputs: str, outputs: str, name: str = "", **attributes: Any) -> Any:
    """A node whose inputs and outputs are written as words; a dash is no value."""
    words = [("" if word == "-" else word) for word in inputs.split()]
    made = ["" if word == "-" else word for word in outputs.split()]
    return helper.make_node(operator, words, made, name=name, **attributes)


def single(
    operator: str,
    shape: Sequence[int] = (3, 6, 6),
    operands: Sequence[ArrayLike | None] = (),
    opset: int = 18,
    outputs: int = 1,
    before: Sequence[ArrayLike] = (),
    batch: Any = "batch",
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node `it`: inputs `before`, data of this unbatched shape, then operands."""
    constants = [*before, *operands]
    names = [f"w{i}" if c is not None else "" for i, c in enumerate(constants)]
    node = helper.make_node(
        operator,
        [*names[: len(before)], "x", *names[len(before) :]],
        [f"y{i}" for i in range(outputs)],
        name="it",
        **attributes,
    )
    weights = {n: c for n, c in zip(names, constants, strict=True) if c is not None}
    made = [f"y{i}" for i in range(outputs)]
    return model([node], {"x": (batch, *shape)}, made, weights, opset)


def reference(proto: onnx.ModelProto, feed: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Every value of a model by ONNX's own evaluator, by value name."""
    everything = onnx.ModelProto()
    everything.CopyFrom(proto)
    del everything.graph.output[:]
    names = [name for node in proto.graph.node for name in node.output if name]
    everything.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return dict(zip(names, ReferenceEvaluator(everything).run(None, dict(feed)), strict=True))


def close(a: NDArray, b: NDArray, rtol: float = 1e-5) -> None:
    """Same shape, and nowhere further apart than rtol times the largest magnitude."""
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= rtol * np.abs(b).max()


def feed_of(source: Source, batch: int = 3, seed: int = 1) -> dict[str, NDArray]:
    """Seeded random data for every input of a source."""
    shapes = source.graph.shapes
    return {
        name: random(batch, *shapes[name], seed=seed + i)
        for i, name in enumerate(source.graph.inputs)
    }


def agrees(
    proto: onnx.ModelProto,
    example: Any = None,
    batch: int = 3,
    independent: bool = True,
    transform: Callable[[NDArray], NDArray] | None = None,
    runs: bool = True,
) -> Source:
    """Read a model and compare every node with the source's activations and ONNX's own evaluator.

    Outputs are compared with the model's own call too.
    `independent=False` leaves out ONNX's evaluator, `runs=False` onnxruntime, where they depart
    from the standard. `transform` maps random data to what the model takes. Values whose batch is
    not axis 0 are compared with the activations alone, which have it there.
    """
    source = read(proto, example)
    feed = feed_of(source, batch)
    if transform is not None:
        feed = {name: transform(value) for name, value in feed.items()}
    values = evaluate_all(source.graph, feed)
    activations = source.activations(feed) if runs else values
    assert set(source.graph.outputs.values()) <= set(activations) <= set(values)
    for name, value in activations.items():
        close(values[name], value)
    if runs:
        check_call(source, feed, 1e-5)
    if independent:
        expected = reference(proto, feed)
        for name, value in evaluate(source.graph, feed).items():
            if value.shape == expected[name].shape:
                close(value, expected[name])
            else:
                assert value.size == expected[name].size
    return source
