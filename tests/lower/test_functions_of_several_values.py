"""Softmax, normalisations, products: where neurons stand, what is named how, whole attention."""

from __future__ import annotations

import numpy as np
import pytest
from layer_graphs import errors_over_time, slope
from numpy.typing import NDArray

import spikewright as sw
from spikewright.graph import Graph, Node
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    Concatenate,
    Constant,
    GlobalAveragePool,
    Input,
    LayerNormalization,
    MatMul,
    Permute,
    Reshape,
    ScaleShift,
)

TOKENS, WIDTH, HEADS = 5, 12, 3


def attention(seed: int = 0) -> Graph:
    """A block of a transformer: class token, positions, attention of three heads, GELU MLP."""
    rng = np.random.default_rng(seed)

    def dense(out: int, inner: int) -> Affine:
        return Affine(rng.normal(size=(out, inner)) / np.sqrt(inner), 0.1 * rng.normal(size=out))

    def norm() -> LayerNormalization:
        scale, shift = rng.uniform(0.5, 1.5, WIDTH), 0.2 * rng.normal(size=WIDTH)
        return LayerNormalization((-1,), 1e-6, scale, shift)

    nodes = [
        Node("x", Input((TOKENS - 1, 8))),
        Node("embed", dense(WIDTH, 8), ("x",), "embed"),
        Node("token", Constant(rng.normal(size=(1, WIDTH)))),
        Node("tokens", Concatenate(0), ("token", "embed")),
        Node("placed", ScaleShift(shift=rng.normal(size=(TOKENS, WIDTH))), ("tokens",)),
        Node("norm1", norm(), ("placed",), "norm1", "LayerNorm"),
    ]
    for part in ("query", "key", "value"):
        nodes += [
            Node(part, dense(WIDTH, WIDTH), ("norm1",), part),
            Node(f"{part}.split", Reshape((TOKENS, HEADS, WIDTH // HEADS)), (part,)),
            Node(f"{part}.heads", Permute((1, 0, 2)), (f"{part}.split",)),
        ]
    factor = np.array(1.0 / np.sqrt(WIDTH // HEADS))
    nodes += [
        Node("products", MatMul(transpose_b=True), ("query.heads", "key.heads")),
        Node("scores", ScaleShift(factor), ("products",)),
        Node("attention", Activation("softmax"), ("scores",), "attention", "Softmax"),
        Node("mixed", MatMul(), ("attention", "value.heads"), "mixed"),
        Node("moved", Permute((1, 0, 2)), ("mixed",)),
        Node("joined", Reshape((TOKENS, WIDTH)), ("moved",)),
        Node("project", dense(WIDTH, WIDTH), ("joined",), "project"),
        Node("residual1", Add(), ("placed", "project")),
        Node("norm2", norm(), ("residual1",), "norm2"),
        Node("widen", dense(2 * WIDTH, WIDTH), ("norm2",), "widen"),
        Node("gelu", Activation("gelu"), ("widen",), "gelu"),
        Node("narrow", dense(WIDTH, 2 * WIDTH), ("gelu",), "narrow"),
        Node("residual2", Add(), ("residual1", "narrow")),
        Node("norm3", norm(), ("residual2",), "norm3"),
        Node("mean", GlobalAveragePool((0,)), ("norm3",), "mean"),
        Node("head", dense(4, WIDTH), ("mean",), "head"),
    ]
    return Graph(tuple(nodes), {"y": "head"})


def _x(graph: Graph, batch: int = 4) -> dict[str, NDArray]:
    rng = np.random.default_rng(1)
    return {name: rng.normal(size=(batch, *graph.shapes[name])) for name in graph.inputs}


def test_a_block_of_attention_converges() -> None:
    """Norm, attention, norm, MLP and both residual sums: the error falls as one over the steps."""
    graph = attention()
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=500.0)
    errors = errors_over_time(conversion, _x(graph))

    assert slope(errors) < -0.8, errors
    assert errors[-1] < 0.02
    assert conversion.trace.guarantee == "convergent"


def test_neurons_stand_where_weights_read() -> None:
    """Softmax goes straight into the product that reads it; what weights read is spikes."""
    conversion = sw.convert(attention(), spiking=True, scale_firing_rates=500.0)

    assert list(conversion.populations()) == ["norm1", "mixed", "norm2", "gelu", "norm3"]
    layers = conversion.layers
    assert isinstance(layers["attention"], sw.Node)
    assert layers["attention"].label == "attention"
    assert isinstance(layers["norm1"], sw.Ensemble)
    assert layers["norm1"].label == "norm1"
    entry = next(e for e in conversion.trace if e.layer == "attention")
    assert entry.status == "convergent"
    assert "t f(m_t) - (t-1) f(m_(t-1))" in entry.text


def test_a_function_on_the_output_needs_no_neurons() -> None:
    """Its running value is read out as it is: exactly f of what has arrived."""
    nodes = (
        Node("x", Input((2, 6))),
        Node("cells", Activation("tanh"), ("x",)),
        Node("norm", LayerNormalization((-1,), 1e-3, np.full(6, 2.0), np.ones(6)), ("cells",)),
    )
    graph = Graph(nodes, {"y": "norm"})
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=200.0)
    assert list(conversion.populations()) == ["cells"]
    x = _x(graph, 1)
    with conversion.network:
        cells = sw.Probe(conversion.layers["cells"].neurons)
        read = sw.Probe(conversion.layers["norm"])
    with sw.Simulator(conversion.network, engine="reference") as sim:
        sim.run_steps(40, {conversion.inputs["x"]: x["x"][0]})
    mean = sim.data[cells].mean(axis=0)[None]
    expected = nodes[2].layer.evaluate(mean)[0]
    np.testing.assert_allclose(sim.data[read].mean(axis=0), expected, rtol=1e-5)


@pytest.mark.parametrize("output", ["softmax", "gelu", "log_softmax", "hard_sigmoid"])
def test_an_activation_on_the_output_is_applied_to_what_is_read_out(output: str) -> None:
    """No neurons stand there; the mean that is read out is its argument."""
    nodes = (
        Node("x", Input((6,))),
        Node("relu", Activation("relu"), ("x",)),
        Node("end", Activation(output), ("relu",), "end"),
    )
    graph = Graph(nodes, {"y": "end"})
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=200.0)
    assert list(conversion.populations()) == ["relu"]
    errors = errors_over_time(conversion, _x(graph))
    assert slope(errors) < -0.8
