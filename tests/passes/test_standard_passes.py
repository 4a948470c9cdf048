"""The standard pipeline on whole networks, and the trace it leaves."""

from __future__ import annotations

import numpy as np
from pass_graphs import assert_names_lead_somewhere, assert_same_outputs, chain

from spikewright.graph import evaluate_all, to_text
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    BatchNormalization,
    Convolution,
    GlobalAveragePool,
    Identity,
    ScaleShift,
)
from spikewright.passes import run

RNG = np.random.default_rng(9)


def _conv(out: int, channels: int, size: int = 3) -> Convolution:
    pad = ((size // 2,) * 2,) * 2
    return Convolution(RNG.normal(size=(out, channels, size, size)), None, (1, 1), pad, (1, 1))


def _norm(n: int) -> BatchNormalization:
    gamma, beta, mean = RNG.normal(size=(3, n))
    return BatchNormalization(gamma, beta, mean, RNG.uniform(0.5, 2.0, n), 1e-3, 0)


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
        ("fc1", Affine(RNG.normal(size=(5, 4)), RNG.normal(size=5))),
        ("linear", Activation("linear")),
        ("fc2", Affine(RNG.normal(size=(2, 5)), RNG.normal(size=2))),
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
    x = {"x": RNG.normal(size=(2, 3, 5, 5))}
    before, after = evaluate_all(graph, x), evaluate_all(done, x)

    np.testing.assert_allclose(after["bn"], before["bn"], rtol=0, atol=1e-9)
    assert not np.allclose(after["bn"], before["conv"])


def test_a_network_that_needs_nothing_is_left_as_it_is() -> None:
    """Every pass says that it had nothing to do."""
    graph = chain((3,), ("a", Affine(RNG.normal(size=(4, 3)))), ("b", Activation("relu")))
    done, trace = run(graph)

    assert to_text(done) == to_text(graph)
    assert [str(line) for line in trace] == [
        f"{name} [3 -> 3 nodes]: nothing to do"
        for name in ("drop identities", "fuse activations", "fold batch norm", "merge affine")
    ]


def test_a_pipeline_of_no_passes_is_the_graph_itself() -> None:
    """`run` adds nothing of its own."""
    graph = chain((3,), ("b", Activation("relu")))

    assert run(graph, ()) == (graph, ())
