"""Softmax, normalisations, products: where neurons stand, what is named how, whole attention."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layer_graphs import errors_over_time, slope
from numpy.typing import NDArray

import spikewright as sw
from spikewright.engines.native.kernel_selection import choose_kernel
from spikewright.engines.operators import Apply
from spikewright.errors import ConversionError
from spikewright.graph import Graph, GraphNode, evaluate, evaluate_all
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    Broadcast,
    Concatenate,
    Constant,
    GlobalAveragePool,
    Input,
    LayerNormalization,
    MatMul,
    Maximum,
    Multiply,
    Permute,
    Reshape,
    ScaleShift,
    Sum,
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
        GraphNode("x", Input((TOKENS - 1, 8))),
        GraphNode("embed", dense(WIDTH, 8), ("x",), "embed"),
        GraphNode("token", Constant(rng.normal(size=(1, WIDTH)))),
        GraphNode("tokens", Concatenate(0), ("token", "embed")),
        GraphNode("placed", ScaleShift(shift=rng.normal(size=(TOKENS, WIDTH))), ("tokens",)),
        GraphNode("norm1", norm(), ("placed",), "norm1", "LayerNorm"),
    ]
    for part in ("query", "key", "value"):
        nodes += [
            GraphNode(part, dense(WIDTH, WIDTH), ("norm1",), part),
            GraphNode(f"{part}.split", Reshape((TOKENS, HEADS, WIDTH // HEADS)), (part,)),
            GraphNode(f"{part}.heads", Permute((1, 0, 2)), (f"{part}.split",)),
        ]
    factor = np.array(1.0 / np.sqrt(WIDTH // HEADS))
    nodes += [
        GraphNode("products", MatMul(transpose_b=True), ("query.heads", "key.heads")),
        GraphNode("scores", ScaleShift(factor), ("products",)),
        GraphNode("attention", Activation("softmax"), ("scores",), "attention", "Softmax"),
        GraphNode("mixed", MatMul(), ("attention", "value.heads"), "mixed"),
        GraphNode("moved", Permute((1, 0, 2)), ("mixed",)),
        GraphNode("joined", Reshape((TOKENS, WIDTH)), ("moved",)),
        GraphNode("project", dense(WIDTH, WIDTH), ("joined",), "project"),
        GraphNode("residual1", Add(), ("placed", "project")),
        GraphNode("norm2", norm(), ("residual1",), "norm2"),
        GraphNode("widen", dense(2 * WIDTH, WIDTH), ("norm2",), "widen"),
        GraphNode("gelu", Activation("gelu"), ("widen",), "gelu"),
        GraphNode("narrow", dense(WIDTH, 2 * WIDTH), ("gelu",), "narrow"),
        GraphNode("residual2", Add(), ("residual1", "narrow")),
        GraphNode("norm3", norm(), ("residual2",), "norm3"),
        GraphNode("mean", GlobalAveragePool((0,)), ("norm3",), "mean"),
        GraphNode("head", dense(4, WIDTH), ("mean",), "head"),
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


def test_a_block_of_attention_computes_the_same_without_spikes() -> None:
    """Layer by layer, within the rounding of weights."""
    graph = attention()
    found = sw.convert(graph).verify(rtol=1e-6)
    assert {"norm1", "attention", "mixed", "gelu", "head"} <= set(found)


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


def test_choices_reach_the_neurons_behind_a_function_by_its_name() -> None:
    """Scale, synapse and start are given by the source's name, as for activations."""
    scales = {"norm1": 100.0, "mixed": 200.0, "norm2": 300.0, "gelu": 400.0, "norm3": 500.0}
    for spiking in (True, False):
        conversion = sw.convert(attention(), spiking=spiking, scale_firing_rates=scales)
        found = {name: float(e.rate_scale) for name, e in conversion.populations().items()}
        assert found == scales
    synapses = {**dict.fromkeys(scales), "norm1": 0.005}
    conversion = sw.convert(attention(), spiking=True, synapse=synapses)
    leaving = [
        c.synapse
        for c in conversion.network.all_connections
        if getattr(c.pre_obj, "ensemble", None) is conversion.layers["norm1"]
    ]
    assert leaving == [sw.Lowpass(0.005)] * 3


def test_a_function_s_neurons_may_be_of_another_type() -> None:
    """A `spiking` dict names functions by their kind."""
    chosen = {"LayerNormalization": sw.RegularSpiking(sw.Elementwise("linear"))}
    conversion = sw.convert(attention(), spiking=chosen)
    kinds = {n: type(e.neuron_type).__name__ for n, e in conversion.populations().items()}
    assert kinds["norm1"] == "RegularSpiking"
    assert kinds["mixed"] == "SignedIntegrateAndFire"
    assert conversion.trace.guarantee == "approximated"
    with pytest.raises(ConversionError, match="no such activation"):
        sw.convert(attention(), spiking={"GroupNormalization": sw.SignedIntegrateAndFire()})


def test_one_spike_a_step_of_either_sign_carries_functions_too() -> None:
    """A cap holds in every population, behind functions as well, and values within it converge."""
    graph = attention()
    x = _x(graph)
    values = evaluate_all(graph, x)
    names = ["norm1", "mixed", "norm2", "gelu", "norm3"]
    scales = {name: 1000.0 / (1.5 * float(np.abs(values[name]).max())) for name in names}
    conversion = sw.convert(graph, spiking=True, max_spikes_per_step=1, scale_firing_rates=scales)
    run = conversion.run(x, 1024, progress=False)
    errors = errors_over_time(conversion, x)

    assert list(conversion.populations()) == names
    assert all(p.totals.max() <= 1024 for p in run.populations.values())
    assert slope(errors) < -0.8, errors
    assert errors[-1] < 0.05


def test_a_function_on_the_output_needs_no_neurons() -> None:
    """Its running value is read out as it is: exactly f of what has arrived."""
    nodes = (
        GraphNode("x", Input((2, 6))),
        GraphNode("cells", Activation("tanh"), ("x",)),
        GraphNode("norm", LayerNormalization((-1,), 1e-3, np.full(6, 2.0), np.ones(6)), ("cells",)),
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
        GraphNode("x", Input((6,))),
        GraphNode("relu", Activation("relu"), ("x",)),
        GraphNode("end", Activation(output), ("relu",), "end"),
    )
    graph = Graph(nodes, {"y": "end"})
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=200.0)
    assert list(conversion.populations()) == ["relu"]
    errors = errors_over_time(conversion, _x(graph))
    assert slope(errors) < -0.8


def test_products_of_a_value_with_itself_and_of_several_ranks() -> None:
    """One value may be read twice; unbatched shapes of different rank broadcast."""
    nodes = (
        GraphNode("x", Input((3, 4))),
        GraphNode("cells", Activation("tanh"), ("x",)),
        GraphNode("top", Input((4,))),
        GraphNode("square", Multiply(), ("cells", "cells", "top")),
        GraphNode("wide", Broadcast((2, 3, 4)), ("square",)),
        GraphNode("end", Affine(np.random.default_rng(0).normal(size=(5, 4))), ("wide",)),
    )
    graph = Graph(nodes, {"y": "end"})
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=200.0)
    errors = errors_over_time(conversion, _x(graph))
    assert slope(errors) < -0.8, errors
    assert max(sw.convert(graph).verify(rtol=1e-6).values()) < 1e-6


def test_negative_residual_sums_are_not_clipped() -> None:
    """A sum of two branches below zero arrives below zero: no neuron stands in between."""
    nodes = (
        GraphNode("x", Input((4,))),
        GraphNode("left", Activation("tanh"), ("x",)),
        GraphNode("right", Activation("leaky_relu", {"negative_slope": 0.5}), ("x",)),
        GraphNode("sum", Add(), ("left", "right")),
        GraphNode("end", ScaleShift(np.array(2.0)), ("sum",)),
    )
    graph = Graph(nodes, {"y": "end"})
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=100.0)
    x = {"x": np.array([[-1.0, -2.0, -0.5, 3.0]])}
    run = conversion.run(x, steps=1000, engine="reference", progress=False)
    np.testing.assert_allclose(run.predict("mean"), evaluate(graph, x)["y"], atol=0.05)
    assert list(conversion.populations()) == ["left", "right"]


def test_maxima_of_several_inputs_pass_counts_on() -> None:
    """What maximum and minimum send of spikes of one height are whole numbers of that height."""
    nodes = (
        GraphNode("x", Input((6,))),
        GraphNode("one", Activation("relu"), ("x",)),
        GraphNode("two", Activation("tanh"), ("x",)),
        GraphNode("most", Maximum(), ("one", "two")),
        GraphNode("end", Affine(np.ones((2, 6))), ("most",)),
    )
    conversion = sw.convert(Graph(nodes, {"y": "end"}), spiking=True, scale_firing_rates=250.0)
    x = {"x": np.random.default_rng(0).normal(size=(2, 6))}
    output = conversion.run(x, steps=50, dt=0.001, engine="reference", progress=False).output
    assert isinstance(output, np.ndarray)
    np.testing.assert_allclose(output / 4.0, np.rint(output / 4.0), atol=1e-9)


@pytest.mark.parametrize("spiking", [False, True])
def test_a_conversion_with_functions_survives_a_file(spiking: bool, tmp_path: Path) -> None:
    """Loaded again it computes the same to the last bit, and verifies."""
    graph = attention()
    conversion = sw.convert(graph, spiking=spiking, scale_firing_rates=300.0)
    conversion.save(tmp_path / "block.sw")
    loaded = sw.load(tmp_path / "block.sw")
    x = _x(graph, 2)
    runs = [c.run(x, steps=12, engine="reference", progress=False) for c in (conversion, loaded)]
    np.testing.assert_array_equal(runs[0].output, runs[1].output)
    assert max(loaded.verify().values()) < 1e-5
    assert loaded.trace.guarantee == conversion.trace.guarantee


def test_batch_order_and_block_change_nothing() -> None:
    """The reference engine gives a sample the same bits in any company."""
    graph = attention()
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=300.0)
    x = _x(graph, 5)["x"]
    whole = conversion.run(x, steps=20, engine="reference", progress=False).output
    order = [3, 1, 4, 0, 2]
    shuffled = conversion.run(
        x[order], steps=20, engine="reference", batch_size=2, progress=False
    ).output
    assert isinstance(whole, np.ndarray)
    np.testing.assert_array_equal(shuffled, whole[order])


def test_functions_of_attention_have_native_kernels() -> None:
    """Normalisations, products of matrices and shares: no region ends at one of them."""
    network = sw.convert(attention(), spiking=True).network
    program = sw.engines.compile_network(network, 0.001, 0, "float32")
    everything = dict.fromkeys(range(len(program.shapes)), "values")
    applied = [op for op in program.operators if isinstance(op, Apply)]
    assert len(applied) == 6
    for op in applied:
        found = choose_kernel(op, everything, program)  # type: ignore[arg-type]
        assert found.kind == "values"
        assert found.text == f"{type(op.node.output).__name__} of running means"


def test_a_constant_added_to_one_number_a_sample() -> None:
    """A value without axes has its constant too."""
    nodes = (
        GraphNode("x", Input((3,)), ()),
        GraphNode("sum", Sum((0,)), ("x",)),
        GraphNode("y", ScaleShift(shift=np.array(0.5)), ("sum",)),
    )
    graph = Graph(nodes, {"y": "y"})
    x = np.random.default_rng(0).normal(size=(4, 3))

    rates = sw.convert(graph, spiking=False).run(x, steps=1, progress=False).output[:, -1]

    np.testing.assert_allclose(rates, x.sum(1) + 0.5)
