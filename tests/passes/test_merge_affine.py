"""Merging affine layers: one test a rule, and where they must stay apart."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pass_graphs import apply, chain, kinds

import spikewright as sw
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    BatchNormalization,
    Convolution,
    Layer,
    ScaleShift,
)
from spikewright.passes import FoldBatchNorm, MergeAffine, Pass

RNG = np.random.default_rng(8)
IMAGE = (4, 5, 6)
relu = Activation("relu")


def some(*shape: int) -> NDArray:
    """Random values."""
    return RNG.normal(size=shape)


def conv(pad: int = 0, bias: bool = True, groups: int = 1) -> Convolution:
    """Four channels to four, two by two."""
    weight, none = some(4, 4 // groups, 2, 2), (1, 1)
    return Convolution(weight, some(4) if bias else None, none, ((pad, 0),) * 2, none, groups)


CHANNELS = ScaleShift(some(4, 1, 1), some(4, 1, 1))

SCALES: dict[str, tuple[ScaleShift, ScaleShift]] = {
    "both": (CHANNELS, ScaleShift(some(4, 1, 1), some(4, 1, 1))),
    "scalars": (ScaleShift(some(), some()), ScaleShift(some(), some())),
    "scales": (ScaleShift(some(6)), ScaleShift(some(4, 1, 1))),
    "shifts": (ScaleShift(shift=some(6)), ScaleShift(shift=some(5, 1))),
    "scale after shift": (ScaleShift(shift=some(4, 1, 1)), ScaleShift(some(4, 1, 1))),
    "shift after scale": (ScaleShift(some(4, 1, 1)), ScaleShift(shift=some(6))),
    "of different axes": (CHANNELS, ScaleShift(some(5, 1), some(1, 6))),
    "nothing and both": (ScaleShift(), CHANNELS),
    "both and nothing": (CHANNELS, ScaleShift()),
}


@pytest.mark.parametrize("case", SCALES)
def test_rule_1_merges_scales_and_shifts(case: str) -> None:
    """s2 (s1 x + t1) + t2, with any of the four missing and any shapes."""
    first, second = SCALES[case]
    result = apply(MergeAffine(), chain(IMAGE, ("a", first), ("b", second), ("act", relu)))

    assert kinds(result.graph) == {"b": "ScaleShift", "act": "Activation"}
    assert dict(result.graph.aliases) == {"a": "b"}
    assert result.notes[0].text == "merged with the scale and shift 'a' before it"


def test_rule_1_keeps_missing_parts_missing() -> None:
    """Two scales make a scale, not a scale and a shift of zeros."""
    merged = apply(
        MergeAffine(), chain(IMAGE, ("a", ScaleShift(some(6))), ("b", ScaleShift(some())))
    )

    assert set(merged.graph["b"].layer.arrays()) == {"scale"}


AFTER: dict[str, tuple[Layer, Layer]] = {
    "convolution": (conv(), CHANNELS),
    "padded convolution": (conv(pad=1), CHANNELS),
    "grouped convolution without bias": (conv(bias=False, groups=2), CHANNELS),
    "scalar": (conv(), ScaleShift(some(), some())),
    "scale": (conv(), ScaleShift(some(4, 1, 1))),
    "shift": (conv(bias=False), ScaleShift(shift=some(4, 1, 1))),
    "affine": (Affine(some(6, 6), some(6)), ScaleShift(some(6), some(6))),
}


@pytest.mark.parametrize("case", AFTER)
def test_rule_2_merges_a_scale_into_the_weights_before(case: str) -> None:
    """Per output channel, or the same for all: into weights and bias."""
    layer, scale = AFTER[case]
    result = apply(MergeAffine(), chain(IMAGE, ("w", layer), ("s", scale), ("act", relu)))

    assert kinds(result.graph) == {"s": layer.kind, "act": "Activation"}
    assert dict(result.graph.aliases) == {"w": "s"}


def test_rule_2_makes_no_bias_for_a_scale() -> None:
    """A layer without bias that is scaled still has none."""
    graph = chain(IMAGE, ("w", conv(bias=False)), ("s", ScaleShift(some(4, 1, 1))))

    assert set(apply(MergeAffine(), graph).graph["s"].layer.arrays()) == {"weight"}


BEFORE: dict[str, tuple[Layer, Layer]] = {
    "convolution": (CHANNELS, conv()),
    "grouped convolution without bias": (CHANNELS, conv(bias=False, groups=2)),
    "scale before padding": (ScaleShift(some(4, 1, 1)), conv(pad=1)),
    "affine": (ScaleShift(RNG.uniform(0.5, 2.0, 6), some(6)), Affine(some(3, 6), some(3))),
    "scalar": (ScaleShift(some(), some()), Affine(some(3, 6))),
}


@pytest.mark.parametrize("case", BEFORE)
def test_rule_3_merges_a_scale_into_the_weights_after(case: str) -> None:
    """As of an input that is normalised before the first layer."""
    scale, layer = BEFORE[case]
    result = apply(MergeAffine(), chain(IMAGE, ("s", scale), ("w", layer)))

    assert kinds(result.graph) == {"w": layer.kind}
    assert dict(result.graph.aliases) == {"s": "w"}


@pytest.mark.parametrize("pass_", [MergeAffine(), FoldBatchNorm()])
@pytest.mark.parametrize("spread", [10.0, 1e5])
def test_inputs_of_different_units_are_scaled_before_weights(pass_: Pass, spread: float) -> None:
    """Weights are held relative to the largest of a channel: those of features in large units would
    be a few bits in a network, and what it computes off by more than rounding explains.
    """
    units = np.geomspace(1.0, spread, 6)
    normalising: dict[str, Layer] = {
        "merge affine": ScaleShift(1 / units, np.ones(6)),
        "fold batch norm": BatchNormalization(np.ones(6), some(6), some(6), units**2, 1e-3, -1),
    }
    layer = normalising[pass_.name]
    graph = chain((6,), ("s", layer), ("w", Affine(some(3, 6), some(3))))
    result = apply(pass_, graph).graph

    kept = {"s": "ScaleShift", "w": "Affine"}
    assert kinds(result) == ({"w": "Affine"} if spread < 16 else kept)
    x = np.random.default_rng(0).normal(size=(4, 6)) * units
    assert sw.convert(graph).verify({"x": x})

    behind = chain((6,), ("r", relu), ("s", layer), ("w", Affine(some(3, 6), some(3))))
    assert kinds(apply(pass_, behind).graph) == {"r": "Activation", "w": "Affine"}


def test_rule_3_merges_into_every_reader() -> None:
    """All readers have weights: each takes the scale in."""
    steps = (("s", CHANNELS), ("a", conv()), ("b", conv(), ("s",)), ("sum", Add(), ("a", "b")))
    result = apply(MergeAffine(), chain(IMAGE, *steps))

    assert kinds(result.graph) == {"a": "Convolution", "b": "Convolution", "sum": "Add"}
    assert result.graph.aliases["s"] == "a"


def test_rule_3_follows_a_rule_that_made_room_for_it() -> None:
    """Rules apply until none does: a reader that merges away first is no obstacle."""
    steps = (
        ("s", CHANNELS), ("a", conv()), ("t", ScaleShift(some()), ("s",)), ("b", conv()),
        ("sum", Add(), ("a", "b")),
    )  # fmt: skip
    result = apply(MergeAffine(), chain(IMAGE, *steps))

    assert kinds(result.graph) == {"a": "Convolution", "b": "Convolution", "sum": "Add"}


@pytest.mark.parametrize(
    ("first", "second", "merged"),
    [
        ((5, 4), (3, 5), True),  # 12 weights instead of 35
        ((4, 4), (4, 4), True),
        ((2, 10), (10, 2), False),  # a bottleneck: 100 instead of 40
        ((2, 4), (4, 2), True),  # 16 instead of 16
        ((3, 8), (5, 3), False),  # 40 instead of 39
    ],
)
def test_rule_4_merges_unless_the_product_is_larger(
    first: tuple[int, int], second: tuple[int, int], merged: bool
) -> None:
    """A low-rank bottleneck is worth keeping; otherwise one layer is better than two."""
    a, b = Affine(some(*first), some(first[0])), Affine(some(*second), some(second[0]))
    result = apply(MergeAffine(), chain((first[1],), ("a", a), ("b", b)))

    assert kinds(result.graph) == ({"b": "Affine"} if merged else {"a": "Affine", "b": "Affine"})
    assert dict(result.graph.aliases) == ({"a": "b"} if merged else {})


@pytest.mark.parametrize("biases", [(False, False), (True, False), (False, True)])
def test_rule_4_with_missing_biases(biases: tuple[bool, bool]) -> None:
    """W2 b1 + b2, with either missing; none from none."""
    a, b = (Affine(some(4, 4), some(4) if bias else None) for bias in biases)
    result = apply(MergeAffine(), chain((3, 4), ("a", a), ("b", b)))

    assert ("bias" in result.graph["b"].layer.arrays()) == any(biases)


def test_merged_weights_are_float64() -> None:
    """A product of float32 matrices is taken in float64 and kept so."""
    a, b = (Affine(np.float32(some(4, 4)), np.float32(some(4))) for _ in range(2))
    result = apply(MergeAffine(), chain((4,), ("a", a), ("b", b)))

    assert {v.dtype for v in result.graph["b"].layer.arrays().values()} == {np.dtype(np.float64)}


EVERYTHING = ScaleShift(some(*IMAGE))
APART: dict[str, list] = {
    "shift before padding": [("s", CHANNELS), ("w", conv(pad=1))],
    "scale of every value before weights": [("s", EVERYTHING), ("w", conv())],
    "scale of every value after weights": [("w", Affine(some(6, 6))), ("s", EVERYTHING)],
    "scale along another axis": [("s", ScaleShift(some(5, 1))), ("w", conv())],
    "activation between": [("a", Affine(some(6, 6))), ("act", relu), ("b", Affine(some(6, 6)))],
    "affine and convolution": [("a", Affine(some(6, 6))), ("w", conv())],
    "convolutions": [("a", conv()), ("b", conv())],
    "affine that is read twice": [
        ("a", Affine(some(6, 6))), ("b", Affine(some(6, 6))), ("sum", Add(), ("a", "b")),
    ],
    "scale that is read twice": [
        ("s", CHANNELS), ("t", ScaleShift(some())), ("sum", Add(), ("s", "t")),
    ],
    "one reader without weights": [
        ("s", CHANNELS), ("w", Affine(some(6, 6))), ("sum", Add(), ("s", "w")),
    ],
    "a scale that nothing before or after takes": [("act", relu), ("s", CHANNELS), ("end", relu)],
}  # fmt: skip


@pytest.mark.parametrize("case", APART)
def test_layers_stay_apart_where_merging_is_not_exact(case: str) -> None:
    """Nothing fires, nothing is noted, nothing is renamed."""
    graph = chain(IMAGE, *APART[case])
    result = apply(MergeAffine(), graph)

    assert kinds(result.graph) == kinds(graph)
    assert result.notes == ()
    assert dict(result.graph.aliases) == {}


@pytest.mark.parametrize(
    "steps",
    [
        [("a", Affine(some(6, 6))), ("b", Affine(some(6, 6)))],
        [("a", CHANNELS), ("b", ScaleShift(some()))],
        [("a", conv()), ("b", CHANNELS)],
        [("a", CHANNELS), ("b", conv())],
    ],
)
def test_outputs_keep_their_values(steps: list) -> None:
    """A value that is an output is not merged away."""
    result = apply(MergeAffine(), chain(IMAGE, *steps, outputs={"y": "b", "z": "a"}))

    assert set(kinds(result.graph)) == {"a", "b"}
    assert result.notes == ()
