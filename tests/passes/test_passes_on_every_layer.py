"""The standard passes on every registered layer in every surrounding, and on random graphs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from pass_graphs import (
    apply,
    assert_names_lead_somewhere,
    assert_same_outputs,
    contexts,
    random_graphs,
)

from spikewright.errors import PassError
from spikewright.graph import CANONICAL, Graph, GraphNode, evaluate_all, to_text
from spikewright.graph.layers import Activation, BatchNormalization, Input, ScaleShift
from spikewright.passes import STANDARD, FoldBatchNorm, MergeAffine, run
from spikewright.testing.layers import LayerExample, layer_examples

every_example = pytest.mark.parametrize("example", layer_examples(), ids=lambda e: e.id)


@every_example
def test_every_pass_keeps_the_values_of_every_layer(example: LayerExample) -> None:
    """Each standard pass by itself, wherever its stage allows it, and all of them in order."""
    for where, graph in contexts(example):
        for step in STANDARD:
            try:
                step.requires.check(graph)
            except ValueError:
                continue
            apply(step, graph)
        done, trace = run(graph)

        assert_same_outputs(graph, done)
        assert_names_lead_somewhere(graph, done)
        CANONICAL.check(done)
        assert len(done) <= len(graph), where
        assert {line.pass_name for line in trace} == {step.name for step in STANDARD}


IDENTITIES = {
    "identity", "activation-linear", "reshape-same", "permute-same", "pad-nothing", "crop-nothing",
    "upsample-nothing", "average-of-one", "maximum-of-one", "adaptive-average-same",
    "global-average-none", "add-one", "concatenate-one", "scale-shift-neither", "slice-whole",
    "tile-once", "broadcast-same", "pad-edge-nothing", "sum-none", "multiply-one",
    "maximum-of-only", "minimum-of-only",
}  # fmt: skip


@every_example
def test_between_activations_only_identities_and_normalisations_change(
    example: LayerExample,
) -> None:
    """Every other layer, without weights beside it, comes out as it went in."""
    if isinstance(example.layer, Input):
        return
    relu = Activation("relu")
    inputs = [GraphNode(f"x{i}", Input(shape)) for i, shape in enumerate(example.shapes)]
    acts = [GraphNode(f"act{i}", relu, (node.name,)) for i, node in enumerate(inputs)]
    layer = GraphNode("a", example.layer, tuple(node.name for node in acts))
    graph = Graph((*inputs, *acts, layer, GraphNode("end", relu, ("a",))), {"y": "end"})
    done, _ = run(graph)

    if example.id in IDENTITIES:
        assert dict(done.aliases) == {"a": "act0"}
    elif isinstance(example.layer, BatchNormalization):
        assert isinstance(done["a"].layer, ScaleShift)
    else:
        assert to_text(done) == to_text(graph)


many = settings(max_examples=75, deadline=None, derandomize=True)


@many
@given(graph=random_graphs())
def test_each_pass_keeps_the_outputs_of_random_graphs(graph: Graph) -> None:
    """Branches, joins, outputs anywhere: each pass in turn keeps values and names."""
    for step in STANDARD:
        graph = apply(step, graph).graph


@many
@given(graph=random_graphs())
def test_a_second_run_finds_nothing_to_do(graph: Graph) -> None:
    """The passes reach a point where none of their rules applies, and each removes what it can."""
    once, _ = run(graph)
    twice, trace = run(once)

    assert [line.text for line in trace] == ["nothing to do"] * len(STANDARD)
    assert to_text(twice) == to_text(once)


@many
@given(graph=random_graphs())
def test_nodes_that_stay_keep_their_values(graph: Graph) -> None:
    """A name that is still a node has the value that it had: what `verify` compares."""
    done, _ = run(graph)
    x = np.random.default_rng(0).normal(size=(4, *graph.shapes["x"]))
    before, after = evaluate_all(graph, {"x": x}), evaluate_all(done, {"x": x})
    scale = max(float(np.abs(value).max()) for value in before.values())

    for name, value in after.items():
        np.testing.assert_allclose(value, before[name], rtol=0, atol=1e-9 * scale)


def test_random_graphs_exercise_every_rule() -> None:
    """The property tests above are not vacuous: every kind of change occurs in them."""
    found: set[str] = set()

    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    @given(graph=random_graphs())
    def collect(graph: Graph) -> None:
        found.update(line.text.split("'")[0] for line in run(graph)[1])

    collect()
    for text in (
        "dropped: an identity",
        "dropped: a linear activation is an identity",
        "BatchNormalization folded into ",
        "became a scale and shift: no weights beside it can take it in",
        "merged with the scale and shift ",
        "ScaleShift folded into ",
        "merged with the affine layer ",
    ):
        assert text in found


def test_the_order_of_the_standard_passes_is_their_contract() -> None:
    """Each pass ensures what the next one requires; out of order they are refused."""
    for before, after in pairwise(STANDARD):
        assert set(after.requires.rules) <= set(before.ensures.rules)
    graph = next(g for e in layer_examples() if e.id == "identity" for _, g in contexts(e))

    for step in (FoldBatchNorm(), MergeAffine()):
        with pytest.raises(PassError, match="identities must have been dropped"):
            step(graph)
