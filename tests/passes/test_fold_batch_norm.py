"""Folding batch normalisation: one test a rule, and where it must not fold."""

from __future__ import annotations

import numpy as np
import pytest
from pass_graphs import apply, chain, kinds

from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    AveragePool,
    BatchNormalization,
    Convolution,
    ConvolutionTranspose,
    Layer,
    Reshape,
)
from spikewright.passes import FoldBatchNorm

RNG = np.random.default_rng(6)
IMAGE = (4, 5, 6)
relu = Activation("relu")


def _norm(n: int, axis: int = 0, centred: bool = False) -> BatchNormalization:
    gamma, beta, mean = RNG.normal(size=(3, n))
    if centred:
        beta, mean = np.zeros((2, n))
    return BatchNormalization(gamma, beta, mean, RNG.uniform(0.5, 2.0, n), 1e-3, axis)


def _conv(
    out: int, channels: int = 4, pad: int = 0, bias: bool = True, groups: int = 1,
    last: bool = False,
) -> Convolution:  # fmt: skip
    weight = RNG.normal(size=(out, channels // groups, 2, 3))
    padding = ((pad, pad), (pad, 0))
    shift = RNG.normal(size=out) if bias else None
    return Convolution(weight, shift, (1, 2), padding, (1, 1), groups, last)


def _dense(out: int, n: int, bias: bool = True) -> Affine:
    return Affine(RNG.normal(size=(out, n)), RNG.normal(size=out) if bias else None)


def _transposed(groups: int = 1, bias: bool = True, last: bool = False) -> ConvolutionTranspose:
    weight = RNG.normal(size=(4, 6 // groups, 2, 3))
    shift = RNG.normal(size=6) if bias else None
    edges = ((1, 0), (0, 2))
    return ConvolutionTranspose(weight, shift, (2, 1), edges, (1, 0), (1, 2), groups, last)


BEFORE: dict[str, tuple[tuple[int, ...], Layer, int]] = {
    "convolution": (IMAGE, _conv(6), 0),
    "convolution without bias": (IMAGE, _conv(6, bias=False), 0),
    "padded convolution": (IMAGE, _conv(6, pad=1), -3),
    "grouped convolution": (IMAGE, _conv(6, groups=2), 0),
    "channels last": ((5, 6, 4), _conv(6, last=True), -1),
    "transposed convolution": (IMAGE, _transposed(), 0),
    "grouped transposed convolution": (IMAGE, _transposed(2, bias=False), 0),
    "transposed convolution, channels last": ((5, 6, 4), _transposed(2, last=True), 2),
    "affine": ((4,), _dense(6, 4), 0),
    "affine without bias": ((4,), _dense(6, 4, bias=False), -1),
    "affine on the last of several axes": ((3, 2, 4), _dense(6, 4), 2),
}


@pytest.mark.parametrize("case", BEFORE)
def test_rule_1_folds_into_the_weights_before(case: str) -> None:
    """The layer before takes the normalisation in; the node is named after the normalisation."""
    shape, layer, axis = BEFORE[case]
    graph = chain(shape, ("w", layer), ("bn", _norm(6, axis)), ("act", relu))
    result = apply(FoldBatchNorm(), graph)

    assert kinds(result.graph) == {"bn": layer.kind, "act": "Activation"}
    assert dict(result.graph.aliases) == {"w": "bn"}
    assert result.graph["bn"].inputs == ("x",)
    assert result.graph["bn"].source_kind == "SourceBatchNormalization"
    assert result.notes[0].text == "BatchNormalization folded into 'w' before it"


def test_rule_1_is_the_published_formula() -> None:
    """W' = W gamma / sigma and b' = (b - mean) gamma / sigma + beta, float64."""
    layer, norm = _dense(6, 4), _norm(6)
    folded = apply(FoldBatchNorm(), chain((4,), ("w", layer), ("bn", norm))).graph["bn"].layer
    ratio = norm.gamma / np.sqrt(norm.variance + norm.epsilon)

    np.testing.assert_allclose(folded.arrays()["weight"], layer.weight * ratio[:, None], rtol=1e-13)
    expected = (layer.arrays()["bias"] - norm.mean) * ratio + norm.beta
    np.testing.assert_allclose(folded.arrays()["bias"], expected, rtol=1e-12, atol=1e-14)


def test_weights_of_a_fold_are_float64_whatever_the_source() -> None:
    """Folding in float32 would cost the precision that verification needs."""
    single = Affine(np.float32(RNG.normal(size=(6, 4))), np.float32(RNG.normal(size=6)))
    result = apply(FoldBatchNorm(), chain((4,), ("w", single), ("bn", _norm(6))))

    assert {a.dtype for a in result.graph["bn"].layer.arrays().values()} == {np.dtype(np.float64)}


def test_rule_1_folds_a_chain_of_normalisations() -> None:
    """Each folds into what the one before left."""
    graph = chain(IMAGE, ("w", _conv(6)), ("bn1", _norm(6)), ("bn2", _norm(6)))
    result = apply(FoldBatchNorm(), graph)

    assert kinds(result.graph) == {"bn2": "Convolution"}
    assert dict(result.graph.aliases) == {"w": "bn2", "bn1": "bn2"}


AFTER: dict[str, tuple[tuple[int, ...], Layer, int]] = {
    "convolution": (IMAGE, _conv(6), 0),
    "convolution without bias": (IMAGE, _conv(6, bias=False), 0),
    "grouped convolution": (IMAGE, _conv(6, groups=2), 0),
    "depthwise convolution": (IMAGE, _conv(8, groups=4), 0),
    "channels last": ((5, 6, 4), _conv(6, last=True), -1),
    "affine": ((4,), _dense(6, 4), 0),
    "affine without bias": ((4,), _dense(6, 4, bias=False), 0),
    "affine on the last of several axes": ((3, 2, 4), _dense(6, 4), 2),
}


@pytest.mark.parametrize("case", AFTER)
def test_rule_2_folds_into_the_weights_after(case: str) -> None:
    """The layer after takes the normalisation in and keeps its own name."""
    shape, layer, axis = AFTER[case]
    graph = chain(shape, ("act", relu), ("bn", _norm(4, axis)), ("w", layer))
    result = apply(FoldBatchNorm(), graph)

    assert kinds(result.graph) == {"act": "Activation", "w": layer.kind}
    assert dict(result.graph.aliases) == {"bn": "w"}
    assert result.notes[0].text == "BatchNormalization folded into 'w' after it"


def test_rule_2_folds_into_every_layer_that_reads_it() -> None:
    """Several readers: each takes the whole normalisation in, or none does."""
    steps = (("act", relu), ("bn", _norm(4)), ("a", _conv(6), ("bn",)), ("b", _conv(6), ("bn",)))
    result = apply(FoldBatchNorm(), chain(IMAGE, *steps, ("sum", Add(), ("a", "b"))))

    assert kinds(result.graph) == {
        "act": "Activation", "a": "Convolution", "b": "Convolution", "sum": "Add",
    }  # fmt: skip
    assert result.graph.aliases["bn"] == "a"
    assert result.notes[0].text == "BatchNormalization folded into 'a', 'b' after it"


def test_rule_2_folds_a_scale_through_zero_padding() -> None:
    """Zero times a scale is zero: without a shift, padding is no obstacle."""
    steps = (("act", relu), ("bn", _norm(4, centred=True)), ("w", _conv(6, pad=1)))
    result = apply(FoldBatchNorm(), chain(IMAGE, *steps))

    assert kinds(result.graph) == {"act": "Activation", "w": "Convolution"}


NOT_FOLDED: dict[str, list] = {
    "shift before zero padding": [("act", relu), ("bn", _norm(4)), ("w", _conv(6, pad=1))],
    "nothing with weights beside it": [("act", relu), ("bn", _norm(4)), ("end", relu)],
    "another axis than the channels": [("w", _conv(4)), ("bn", _norm(4, axis=1)), ("end", relu)],
    "spatial axis before a convolution": [("act", relu), ("bn", _norm(6, -1)), ("w", _conv(6))],
    "one reader without weights": [
        ("act", relu), ("bn", _norm(4)), ("w", _conv(4)),
        ("pool", AveragePool((2, 3), (1, 2), ((0, 0), (0, 0))), ("bn",)),
        ("sum", Add(), ("w", "pool")),
    ],
    "one reader with padding": [
        ("act", relu), ("bn", _norm(4)), ("a", _conv(6)), ("b", _conv(6, pad=1), ("bn",)),
        ("flat", Reshape((48,)), ("a",)), ("dense", _dense(2, 48)),
        ("flat2", Reshape((108,)), ("b",)), ("dense2", _dense(2, 108)),
        ("sum", Add(), ("dense", "dense2")),
    ],
    "producer that is read elsewhere": [
        ("w", _conv(4)), ("bn", _norm(4)), ("sum", Add(), ("w", "bn")),
    ],
    "after an input": [("bn", _norm(4))],
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_FOLDED)
def test_rule_3_leaves_a_scale_and_shift(case: str) -> None:
    """Where folding is not exact, the same values remain as a `ScaleShift` under the same name."""
    result = apply(FoldBatchNorm(), chain(IMAGE, *NOT_FOLDED[case]))

    assert result.graph["bn"].layer.kind == "ScaleShift"
    assert dict(result.graph.aliases) == {}
    assert [note.layer for note in result.notes] == ["bn"]


def test_a_producer_that_is_an_output_keeps_its_value() -> None:
    """Folding into it would change what the output says."""
    graph = chain(IMAGE, ("w", _conv(6)), ("bn", _norm(6)), outputs={"y": "bn", "raw": "w"})

    assert kinds(apply(FoldBatchNorm(), graph).graph) == {"w": "Convolution", "bn": "ScaleShift"}


def test_a_normalised_output_is_not_folded_away() -> None:
    """Its value is wanted, so it cannot become part of the layer after it."""
    graph = chain(IMAGE, ("act", relu), ("bn", _norm(4)), ("w", _conv(6)), outputs={"y": "bn"})

    assert kinds(apply(FoldBatchNorm(), graph).graph)["bn"] == "ScaleShift"


def test_nothing_fires_without_batch_normalisation() -> None:
    """Other affine layers are another pass's matter."""
    result = apply(FoldBatchNorm(), chain((4,), ("a", _dense(3, 4)), ("b", _dense(2, 3))))

    assert kinds(result.graph) == {"a": "Affine", "b": "Affine"}
    assert result.notes == ()


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_the_bound_holds_for_statistics_of_any_size(size: float) -> None:
    """Small variances make large factors; the bound is relative to the values along the way."""
    n = 6
    norm = BatchNormalization(
        RNG.normal(size=n), RNG.normal(size=n), size * RNG.normal(size=n),
        size**2 * RNG.uniform(0.5, 2.0, n), 1e-12, 0,
    )  # fmt: skip
    layer = Convolution(size * _conv(6).weight, None, (1, 1), ((0, 0), (0, 0)), (1, 1))

    assert kinds(apply(FoldBatchNorm(), chain(IMAGE, ("w", layer), ("bn", norm))).graph) == {
        "bn": "Convolution"
    }
