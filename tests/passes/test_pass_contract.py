"""The contract of passes, the standard ones, and averages in place of maxima."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from pass_graphs import assert_names_lead_somewhere, assert_same_outputs, chain, inputs_of, kinds

from spikewright.errors import PassError
from spikewright.graph import CANONICAL, IMPORTED, Graph, GraphNode, evaluate, evaluate_all, to_text
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    AveragePool,
    BatchNormalization,
    Convolution,
    GlobalAveragePool,
    GlobalMaxPool,
    Identity,
    Input,
    Layer,
    MaxPool,
    ScaleShift,
)
from spikewright.passes import STANDARD, AverageMaxPools, Note, Pass, PassResult, run

DRAWING = np.random.default_rng(9)


def _conv(out: int, channels: int, size: int = 3) -> Convolution:
    pad = ((size // 2,) * 2,) * 2
    return Convolution(DRAWING.normal(size=(out, channels, size, size)), None, (1, 1), pad, (1, 1))


def _norm(n: int) -> BatchNormalization:
    gamma, beta, mean = DRAWING.normal(size=(3, n))
    return BatchNormalization(gamma, beta, mean, DRAWING.uniform(0.5, 2.0, n), 1e-3, 0)


def test_a_residual_network_becomes_convolutions_sums_and_activations() -> None:
    """Normalised input, residual block with a projection, dropout, two linear layers at the end."""
    relu = Activation("relu")
    graph = chain(
        (3, 6, 6),
        ("scale", ScaleShift(np.array(1 / 255))),
        ("conv1", _conv(4, 3)), ("bn1", _norm(4)), ("relu1", relu),
        ("conv2", _conv(4, 4)), ("bn2", _norm(4)), ("relu2", relu),
        ("conv3", _conv(4, 4)), ("bn3", _norm(4)),
        ("skip", _conv(4, 4, 1), ("relu1",)), ("bn4", _norm(4)),
        ("add", Add(), ("bn3", "bn4")), ("relu3", relu),
        ("pool", GlobalAveragePool((1, 2))), ("dropout", Identity()),
        ("fc1", Affine(DRAWING.normal(size=(5, 4)), DRAWING.normal(size=5))),
        ("linear", Activation("linear")),
        ("fc2", Affine(DRAWING.normal(size=(2, 5)), DRAWING.normal(size=2))),
        ("softmax", Activation("softmax")),
    )  # fmt: skip
    done, trace = run(graph)

    assert_same_outputs(graph, done)
    assert_names_lead_somewhere(graph, done)
    bn = "stride=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1), groups=1, channels_last=False)"
    one = bn.replace("(1, 1), (1, 1)", "(0, 0), (0, 0)")
    assert to_text(done).splitlines() == [
        "x: [3,6,6] = Input(shape=(3, 6, 6), whole=False)",
        f"bn1: [4,6,6] = Convolution(weight=[4,3,3,3], bias=[4], {bn} <- x",
        "relu1: [4,6,6] = Activation(function='relu', parameters={}) <- bn1",
        f"bn2: [4,6,6] = Convolution(weight=[4,4,3,3], bias=[4], {bn} <- relu1",
        "relu2: [4,6,6] = Activation(function='relu', parameters={}) <- bn2",
        f"bn3: [4,6,6] = Convolution(weight=[4,4,3,3], bias=[4], {bn} <- relu2",
        f"bn4: [4,6,6] = Convolution(weight=[4,4,1,1], bias=[4], {one} <- relu1",
        "add: [4,6,6] = Add() <- bn3, bn4",
        "relu3: [4,6,6] = Activation(function='relu', parameters={}) <- add",
        "pool: [4] = GlobalAveragePool(axes=(1, 2), keepdims=False) <- relu3",
        "fc2: [2] = Affine(weight=[2,4], bias=[2]) <- pool",
        "softmax: [2] = Activation(function='softmax', parameters={}) <- fc2",
        "output y = softmax",
    ]
    assert [str(line) for line in trace] == [
        "drop identities [20 -> 18 nodes] 'dropout': dropped: an identity",
        "drop identities [20 -> 18 nodes] 'linear': dropped: a linear activation is an identity",
        "fuse activations [18 -> 18 nodes]: nothing to do",
        "fuse normalizations [18 -> 18 nodes]: nothing to do",
        "fold batch norm [18 -> 14 nodes] 'bn1': BatchNormalization folded into 'conv1' before it",
        "fold batch norm [18 -> 14 nodes] 'bn2': BatchNormalization folded into 'conv2' before it",
        "fold batch norm [18 -> 14 nodes] 'bn3': BatchNormalization folded into 'conv3' before it",
        "fold batch norm [18 -> 14 nodes] 'bn4': BatchNormalization folded into 'skip' before it",
        "merge affine [14 -> 12 nodes] 'scale': ScaleShift folded into 'bn1' after it",
        "merge affine [14 -> 12 nodes] 'fc2': merged with the affine layer 'fc1' before it",
    ]
    assert all(line.exact for line in trace)
    assert dict(done.aliases) == {
        "dropout": "pool", "linear": "fc2", "conv1": "bn1", "conv2": "bn2", "conv3": "bn3",
        "skip": "bn4", "scale": "bn1", "fc1": "fc2",
    }  # fmt: skip


def test_the_survivor_has_the_value_of_the_layer_it_is_named_after() -> None:
    """`bn1` still means the normalised value, not the convolution's."""
    graph = chain((3, 5, 5), ("conv", _conv(4, 3)), ("bn", _norm(4)), ("act", Activation("relu")))
    done, _ = run(graph)
    x = {"x": DRAWING.normal(size=(2, 3, 5, 5))}
    before, after = evaluate_all(graph, x), evaluate_all(done, x)

    np.testing.assert_allclose(after["bn"], before["bn"], rtol=0, atol=1e-9)
    assert not np.allclose(after["bn"], before["conv"])


def test_a_network_that_needs_nothing_is_left_as_it_is() -> None:
    """Every pass says that it had nothing to do."""
    graph = chain((3,), ("a", Affine(DRAWING.normal(size=(4, 3)))), ("b", Activation("relu")))
    done, trace = run(graph)

    assert to_text(done) == to_text(graph)
    assert [str(line) for line in trace] == [
        f"{name} [3 -> 3 nodes]: nothing to do"
        for name in (
            "drop identities",
            "fuse activations",
            "fuse normalizations",
            "fold batch norm",
            "merge affine",
        )
    ]


def test_a_pipeline_of_no_passes_is_the_graph_itself() -> None:
    """`run` adds nothing of its own."""
    graph = chain((3,), ("b", Activation("relu")))

    assert run(graph, ()) == (graph, ())


IMAGE = (3, 7, 6)
PAD = ((1, 0), (0, 1))
relu = Activation("relu")


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)), "AveragePool"),
        (MaxPool((3, 2), (2, 1), PAD, (1, 1), ceil_mode=True), "AveragePool"),
        (MaxPool((2, 2), (1, 2), PAD, (1, 1), channels_last=True), "AveragePool"),
        (GlobalMaxPool((1, 2)), "GlobalAveragePool"),
        (GlobalMaxPool((0,), keepdims=True), "GlobalAveragePool"),
    ],
)
def test_a_maximum_becomes_the_mean_over_the_same_windows(layer: Layer, kind: str) -> None:
    """Same name, same shape, a mean over the input that each window covers, noted as inexact."""
    graph = chain(IMAGE, ("pool", layer), ("act", relu))
    result = AverageMaxPools()(graph)

    assert kinds(result.graph) == {"pool": kind, "act": "Activation"}
    assert result.graph.shapes["pool"] == graph.shapes["pool"]
    assert [(note.layer, note.exact) for note in result.notes] == [("pool", False)]
    assert_names_lead_somewhere(graph, result.graph)
    x = inputs_of(graph)
    assert not np.allclose(evaluate(graph, x)["y"], evaluate(result.graph, x)["y"])


def test_a_constant_input_has_one_maximum_and_mean() -> None:
    """Padding counts in neither, so that a constant stays what it is at the edges too."""
    graph = chain(IMAGE, ("pool", MaxPool((3, 2), (2, 1), PAD, (1, 1), ceil_mode=True)))
    outputs = evaluate(AverageMaxPools()(graph).graph, {"x": np.full((1, *IMAGE), 2.5)})

    np.testing.assert_allclose(outputs["y"], 2.5)


def test_other_pools_are_left_alone() -> None:
    """A dilated maximum has no average of its kind, an average is one already."""
    dilated = MaxPool((2, 2), (1, 1), ((0, 0), (0, 0)), (2, 2))
    average = AveragePool((2, 2), (1, 1), ((0, 0), (0, 0)))
    result = AverageMaxPools()(chain(IMAGE, ("a", dilated), ("b", average)))

    assert kinds(result.graph) == {"a": "MaxPool", "b": "AveragePool"}
    assert result.notes == ()


def test_it_is_not_a_standard_pass() -> None:
    """Nothing inexact happens unless it was asked for."""
    assert not any(isinstance(step, AverageMaxPools) for step in STANDARD)


RNG = np.random.default_rng(4)


@dataclass(frozen=True)
class Custom(Pass):
    """A pass that does what it is given."""

    does: Callable[[Graph], Graph]
    name = "custom"
    requires = IMPORTED
    ensures = CANONICAL

    def rewrite(self, graph: Graph) -> PassResult:
        """Whatever the test wants."""
        return PassResult(self.does(graph))


def _graph() -> Graph:
    dense = Affine(RNG.normal(size=(3, 3)), RNG.normal(size=3))
    return chain((3,), ("dense", dense), ("relu", Activation("relu")), dropout="relu")


def _with(graph: Graph, *nodes: GraphNode, **changes: dict) -> Graph:
    fields = {"nodes": nodes or graph.nodes, "outputs": graph.outputs, "aliases": graph.aliases}
    return Graph(**{**fields, **changes})  # type: ignore[arg-type]


def _write(graph: Graph) -> Graph:
    graph["dense"].layer.arrays()["weight"][:] = 0.0
    return graph


def _replace_input(graph: Graph) -> Graph:
    return _with(graph, GraphNode("x", Input((3,))), GraphNode("z", Input((3,))), *graph.nodes[1:])


def _fail(graph: Graph) -> Graph:
    raise KeyError("oops")


BROKEN: dict[str, tuple[Callable[[Graph], Graph], str]] = {
    "writes into an array": (_write, "read-only"),
    "adds an input": (_replace_input, r"the inputs were .* and became .* a pass must keep them"),
    "renames an output": (lambda g: _with(g, outputs={"q": "relu"}), "the outputs were"),
    "drops an output": (lambda g: chain((3,), ("relu", Activation("relu"))), r"names \['dense'"),
    "changes a shape": (
        lambda g: chain((3,), ("relu", Affine(np.ones((4, 3))))), r"the outputs .*\(4,\)"),
    "loses an alias": (lambda g: _with(g, aliases={}), r"names \['dropout'\] are neither nodes"),
    "leaks an identity": (
        lambda g: _with(g, *g.nodes, GraphNode("i", Identity(), ("relu",)), outputs={"y": "i"}),
        r"not canonical.*'i' \(Identity\)"),
    "raises": (_fail, "oops"),
    "returns nothing": (lambda g: None, "NoneType"),  # type: ignore[dict-item,return-value]
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_pass_that_breaks_its_contract_is_named(case: str) -> None:
    """The error names the pass and what it broke, and keeps the cause."""
    does, message = BROKEN[case]

    with pytest.raises(PassError, match=f"(?s)pass 'custom'.*{message}") as caught:
        Custom(does)(_graph())
    assert caught.value.__cause__ is not None


def test_a_pass_that_keeps_its_contract_passes() -> None:
    """The broken passes above fail for what they break: doing nothing is allowed."""
    graph = _graph()
    result = Custom(lambda g: g)(graph)

    assert [node.name for node in result.graph] == [node.name for node in graph]
    assert result.notes == ()


def test_the_arrays_of_the_graph_that_came_in_stay_writable() -> None:
    """Read-only is what the pass sees; the caller's arrays are the caller's."""
    graph = _graph()
    Custom(lambda g: g)(graph)

    graph["dense"].layer.arrays()["weight"][0, 0] = 7.0
    assert graph["dense"].layer.arrays()["weight"][0, 0] == 7.0


def test_a_pass_refuses_a_graph_of_an_earlier_stage() -> None:
    """What a pass requires is checked before it runs."""

    @dataclass(frozen=True)
    class Late(Pass):
        name = "late"
        requires = CANONICAL
        ensures = CANONICAL

        def rewrite(self, graph: Graph) -> PassResult:
            raise AssertionError("must not run")

    with pytest.raises(PassError, match=r"pass 'late' \(the first pass\): the graph is not canon"):
        Late()(chain((3,), ("i", Identity())))


def test_a_failure_in_a_pipeline_names_the_passes_before() -> None:
    """The history belongs to the message: the fault is often one pass earlier."""
    passes = (Custom(lambda g: g), Custom(lambda g: g), Custom(_fail))

    with pytest.raises(PassError) as caught:
        run(_graph(), passes)
    assert str(caught.value) == "pass 'custom' (after 'custom', 'custom'): 'oops'"


def test_a_user_s_pass_runs_and_is_traced() -> None:
    """`run` takes any passes; each of their notes becomes a line, silence a line of its own."""

    @dataclass(frozen=True)
    class Rounds(Pass):
        name = "round"
        requires = IMPORTED
        ensures = IMPORTED

        def rewrite(self, graph: Graph) -> PassResult:
            return PassResult(graph, (Note("dense", "weights rounded", exact=False),))

    graph, trace = run(_graph(), (Rounds(), Custom(lambda g: g)))

    assert [node.name for node in graph] == ["x", "dense", "relu"]
    assert [str(line) for line in trace] == [
        "round [3 -> 3 nodes] 'dense': weights rounded (approximated)",
        "custom [3 -> 3 nodes]: nothing to do",
    ]
    assert [line.exact for line in trace] == [False, True]
