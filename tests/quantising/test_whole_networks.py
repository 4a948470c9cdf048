"""Networks with weights of few bits compute in whole numbers, spike by spike, on every engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from integers import GRAPHS, dense, given, pooled, simulated
from numpy.typing import NDArray

import spikewright as sw
from slowly import in_turn
from spikewright import engines
from spikewright.errors import ConversionError
from spikewright.graph import Graph
from spikewright.lower import NeuronChoice, Options
from spikewright.lower.populations import Roles, as_scale, resolve
from spikewright.quantising import WholeNetwork, quantise

STEPS = 24
CHIP = sw.Quantised(
    8, "layer", exponents=0, bias_bits=8, threshold_bits=16, state_bits=16, voltage_floor=1.0
)
SETTINGS = {
    "8 bits": sw.Quantised(),
    "4 bits a layer": sw.Quantised(4, "layer"),
    "2 bits": sw.Quantised(2),
    "a chip": CHIP,
    "one spike": replace(CHIP, spikes=1),
    "reset to zero": replace(CHIP, spikes=1, reset="zero", threshold_exponent=2, exponents=6),
    "a leak": replace(CHIP, decay=4, voltage_floor=None),
    "saturating": replace(CHIP, bits=4, state_bits=5, bias_bits=None, voltage_floor=None),
    "no debt": sw.Quantised(voltage_floor=0.0),
}


def converted(graph: Graph, settings: sw.Quantised, x: NDArray) -> sw.Conversion:
    """With scales for eight steps of at most one spike."""
    rule = sw.MinimumError(steps=8, spikes_per_step=1)
    return sw.convert(graph, spiking=True, scale_firing_rates=rule, calibration=x, weights=settings)


def whole(conversion: sw.Conversion) -> tuple[WholeNetwork, dict[str, Any]]:
    """The rounded graph behind a conversion, and its scales."""
    scales = conversion.resolved["scale_firing_rates"]
    roles = Roles(conversion.canonical)
    cap = conversion.arguments["weights"].spikes
    options = Options(NeuronChoice(True, cap), scale_firing_rates=scales)
    found = quantise(roles, resolve(roles, options), conversion.arguments["weights"])
    return found, {name: as_scale(value) for name, value in scales.items()}


def counts_of(conversion: sw.Conversion, x: NDArray, engine: str) -> dict[str, NDArray]:
    """Spikes of every population in every step."""
    layers = list(conversion.populations())
    run = conversion.run(x, steps=STEPS, engine=engine, record=layers, progress=False)
    return {
        name: np.rint(run.recorded[name] * conversion.populations()[name].rate_scale * 0.001)
        for name in layers
    }


@pytest.mark.parametrize(
    ("name", "graph", "engine"), in_turn(SETTINGS, GRAPHS, engines.available())
)
def test_every_engine_computes_in_whole_numbers(graph: str, name: str, engine: str) -> None:
    """Spikes in every step are those of integers, simulated here, from the rounded weights."""
    source = GRAPHS[graph](len(name))
    x = given(source)
    conversion = converted(source, SETTINGS[name], x)
    found, scales = whole(conversion)
    expected = simulated(found.roles.graph, found.choices.types, scales, x, STEPS)

    counts = counts_of(conversion, x, engine)
    assert set(counts) == set(expected.counts)
    for layer, spikes in counts.items():
        np.testing.assert_array_equal(spikes, expected.counts[layer], err_msg=layer)
    assert sum(spikes.sum() for spikes in counts.values()) > 100
    if name == "saturating":
        assert expected.saturated > 0
    if SETTINGS[name].voltage_floor is not None:
        assert expected.floored > 0


@pytest.mark.parametrize(("name", "graph"), in_turn(SETTINGS, GRAPHS))
def test_weights_have_the_bits_that_were_asked_for(graph: str, name: str) -> None:
    """Per channel, or per layer, of one step; there are several of them, and zeros."""
    source, settings = GRAPHS[graph](1), SETTINGS[name]
    found, _ = whole(converted(source, settings, given(source)))
    for node in found.roles.graph:
        weight = getattr(node.layer, "weight", None)
        if weight is None or node.inputs == ("x",):
            continue
        target = Roles(source).absorbing(node.name)
        assert target is not None
        numbers = found.choices.types[target].threshold
        assert numbers.max() < 2**31 and np.all(numbers == np.rint(numbers))
        if settings.per == "layer":
            assert numbers.ndim == 0
    assert found.notes


def test_maxima_pass_whole_numbers_on() -> None:
    """A gate passes spikes, so that what arrives behind it is whole."""
    source = pooled(3, largest=True)
    conversion = converted(source, sw.Quantised(), x := given(source))
    lines = [e.text for e in conversion.trace if "computes in whole numbers" in e.text]
    assert len(lines) == 3
    assert [("from outside" in line) for line in lines] == [True, False, False]
    runs = [counts_of(conversion, x, engine) for engine in engines.available()]
    for run in runs[1:]:
        for layer, spikes in run.items():
            np.testing.assert_array_equal(spikes, runs[0][layer])


@pytest.mark.parametrize("name", SETTINGS)
def test_files_hold_the_bits(tmp_path: Path, name: str) -> None:
    """Network and arguments come back: the same spikes, and the same made again."""
    source = dense(2)
    conversion = converted(source, SETTINGS[name], x := given(source))
    conversion.save(path := tmp_path / "whole")
    loaded = sw.load(path)
    assert loaded.arguments["weights"] == SETTINGS[name]
    for other in (loaded, loaded.again()):
        for layer, spikes in counts_of(other, x, "reference").items():
            np.testing.assert_array_equal(spikes, counts_of(conversion, x, "reference")[layer])


def test_rules_see_the_rounded_weights() -> None:
    """Scales for weights of two bits are not those for the weights of the model."""
    source = dense(4)
    x = given(source, 50)
    rule = sw.MinimumError(steps=8, spikes_per_step=1)
    plain = sw.convert(source, spiking=True, scale_firing_rates=rule, calibration=x)
    few = converted(source, sw.Quantised(2), x)
    first, second = (c.resolved["scale_firing_rates"]["relu2"] for c in (plain, few))
    assert np.abs(first / second - 1).max() > 0.05


def test_many_bits_are_the_model() -> None:
    """Sixteen bits change next to no spike, two change many."""
    source = dense(6)
    x = given(source, 50)
    plain = sw.convert(source, spiking=True, scale_firing_rates=1000.0).run(
        x, steps=64, progress=False
    )
    gaps = []
    for bits in (2, 8, 16):
        few = sw.convert(
            source, spiking=True, scale_firing_rates=1000.0, weights=sw.Quantised(bits)
        ).run(x, steps=64, progress=False)
        gaps.append(float(np.abs(few.predict() - plain.predict()).mean()))
    assert gaps[2] < gaps[1] / 4 < gaps[0] / 16 or gaps[2] < 0.01
    assert gaps[0] > 0.05


def test_rate_networks_have_rounded_weights_alone() -> None:
    """Without spikes there is no threshold; weights are whole numbers of a step all the same."""
    source = dense(7)
    x = given(source)
    exact = sw.convert(source).run(x, steps=1, progress=False).predict()
    few = sw.convert(source, weights=sw.Quantised(3)).run(x, steps=1, progress=False)
    assert 0.01 < np.abs(few.predict() - exact).max() < 2.0


@pytest.mark.parametrize(
    "field, value",
    [
        ("bits", 1), ("bits", 17), ("bits", 2.5), ("bits", True), ("per", "neuron"),
        ("state_bits", 3), ("bias_bits", 0), ("threshold_bits", 40), ("exponents", -1),
        ("spikes", 0), ("decay", -1), ("reset", "hard"), ("voltage_floor", -1.0),
        ("voltage_floor", float("nan")), ("dt", 0.0), ("bits", None), ("bias_exponents", None),
        ("above", True), ("above", 1),
    ],
)  # fmt: skip
def test_numbers_that_no_chip_has_are_refused(field: str, value: Any) -> None:
    """The error names the field and the value."""
    with pytest.raises(ConversionError, match=rf"Quantised.{field}.*{str(value)[:3]}"):
        sw.Quantised(**{field: value})


def test_other_arguments_are_refused() -> None:
    """Weights are None or Quantised, and a chip's rules want neurons that obey them."""
    with pytest.raises(ConversionError, match=r"weights.*got 8.*sw.Quantised\(bits=8\)"):
        sw.convert(dense(0), weights=8)
    signed = {"relu": sw.SignedIntegrateAndFire()}
    with pytest.raises(ConversionError, match=r"relu0.*SignedIntegrateAndFire.*state_bits"):
        sw.convert(dense(0), spiking=signed, weights=CHIP)
    sw.convert(dense(0), spiking=signed, weights=sw.Quantised())
