"""Chips as bits, and biases that are corrected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from integers import DT, dense, given, pooled, residual, simulated
from numpy.typing import NDArray
from test_whole_networks import converted, counts_of, whole

import spikewright as sw
from slowly import in_turn
from spikewright import chips, engines
from spikewright.errors import ChipError, ConversionError
from spikewright.graph.whole_weights import most
from spikewright.quantising import bits_of

STEPS, FIRST = 24, 8
CORRECTIONS = {
    "of all steps": sw.BiasCorrection(FIRST),
    "of each step": sw.StepCorrection(FIRST),
    "of each channel": sw.StepCorrection(FIRST, per="channel"),
    "numbers": 0.37,
}
BITS = {
    "8 bits": sw.Quantised(),
    **{name: bits_of(chips.profile(name)) for name in ("speck", "loihi1", "truenorth")},
}


def corrected(graph: Any, bits: sw.Quantised, correction: Any, x: NDArray) -> sw.Conversion:
    """A conversion with scales for eight steps, and a correction of its biases."""
    rule = sw.MinimumError(steps=FIRST, spikes_per_step=1)
    return sw.convert(
        graph,
        spiking=True,
        scale_firing_rates=rule,
        calibration=x,
        weights=bits,
        bias_correction=correction,
    )


def numbers(ensemble: sw.Ensemble, values: Any) -> NDArray:
    """Currents of neurons as charges."""
    kind = ensemble.neuron_type
    assert isinstance(kind, sw.FixedPointIntegrateAndFire)
    found = np.asarray(values * ensemble.rate_scale * DT * kind.threshold)
    np.testing.assert_allclose(found, np.rint(found), atol=1e-6)
    return np.rint(found)


def each_step(ensemble: sw.Ensemble) -> NDArray:
    """The charge of the biases that each of the first steps has of its own, `(STEPS, *shape)`."""
    found = np.zeros((STEPS, *ensemble.shape))
    if ensemble.noise is not None:
        found[:FIRST] = numbers(ensemble, ensemble.noise.values)
    return found


@pytest.mark.parametrize(("bits", "correction"), in_turn(BITS, CORRECTIONS))
def test_corrected_biases_are_whole_numbers(bits: str, correction: str) -> None:
    """Spikes are those of integers, biases included; none has more bits than there are."""
    settings = BITS[bits]
    for graph in (dense(11), pooled(12)):
        x = given(graph)
        conversion = corrected(graph, settings, CORRECTIONS[correction], x)
        plain = corrected(graph, settings, None, x)
        added = {}
        for name, ensemble in conversion.populations().items():
            before = numbers(plain.populations()[name], plain.populations()[name].bias)
            now, each = numbers(ensemble, ensemble.bias), each_step(ensemble)
            added[name] = np.broadcast_to(now - before, ensemble.shape) + each
            if settings.bias_bits is not None:
                largest = most(settings.bias_bits) * 2**settings.bias_exponents
                assert np.abs(now + each).max() <= largest
        assert any(np.any(charge) for charge in added.values())
        found, scales = whole(conversion)
        expected = simulated(found.roles.graph, found.choices.types, scales, x, STEPS, added)
        for engine in engines.available():
            for layer, spikes in counts_of(conversion, x, engine).items():
                np.testing.assert_array_equal(spikes, expected.counts[layer], err_msg=engine)


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_corrected_biases_come_back(tmp_path: Path, correction: str) -> None:
    """From a file, and made again from the arguments that were resolved."""
    graph = dense(13)
    x = given(graph)
    conversion = corrected(graph, sw.Quantised(), CORRECTIONS[correction], x)
    conversion.save(path := tmp_path / "corrected")
    resolved = corrected(graph, sw.Quantised(), conversion.resolved["bias_correction"], x)
    wanted = counts_of(conversion, x, "reference")
    for other in (sw.load(path), resolved):
        for layer, spikes in counts_of(other, x, "reference").items():
            np.testing.assert_array_equal(spikes, wanted[layer])


def test_a_bias_that_has_no_bits_is_the_largest() -> None:
    """A correction beyond the bits of a chip ends at the largest number there is."""
    graph = dense(14)
    x = given(graph)
    conversion = corrected(graph, BITS["speck"], 1e6, x)
    for ensemble in conversion.populations().values():
        assert numbers(ensemble, ensemble.bias).max() == 127


@pytest.mark.parametrize("bits", BITS)
def test_corrected_starts_are_whole_numbers(bits: str) -> None:
    """`sw.VoltageCorrection` too, and its numbers make the same network again."""
    graph = dense(15)
    x = given(graph)
    rule = sw.MinimumError(steps=FIRST, spikes_per_step=1)
    how: Any = {"spiking": True, "scale_firing_rates": rule, "calibration": x}
    how["weights"] = BITS[bits]
    conversion = sw.convert(graph, **how, initial_voltage=sw.VoltageCorrection(FIRST))
    resolved = {n: conversion.resolved[n] for n in ("initial_voltage", "scale_firing_rates")}
    again = sw.convert(graph, **{**how, **resolved, "calibration": None})
    several = 0
    for name, ensemble in conversion.populations().items():
        kind: Any = ensemble.neuron_type
        start: Any = ensemble.initial_voltage
        np.testing.assert_allclose(start * kind.threshold, np.rint(start * kind.threshold), 1e-12)
        np.testing.assert_array_equal(start, again.populations()[name].initial_voltage)
        several += len(np.unique(start)) > 3
    assert several


STEPS = 24
SPIKING = [name for name in chips.names() if chips.profile(name).arithmetic.activation_bits is None]


def on(graph: Any, chip: Any) -> tuple[sw.Conversion, Any]:
    """A conversion with rules for scales, under a chip's bits, and its input."""
    x = given(graph)
    rule = sw.MinimumError(steps=8, spikes_per_step=1)
    plain = sw.convert(graph, spiking=True, scale_firing_rates=rule, calibration=x)
    return plain.for_chip(chip), x


@pytest.mark.parametrize(("chip", "engine"), in_turn(SPIKING, engines.available()))
def test_every_chip_is_simulated_in_integers(chip: str, engine: str) -> None:
    """Spikes in every step are those of integers, on every engine."""
    for make in (dense, pooled, residual):
        conversion, x = on(make(3), chip)
        found, scales = whole(conversion)
        expected = simulated(found.roles.graph, found.choices.types, scales, x, STEPS)
        for layer, spikes in counts_of(conversion, x, engine).items():
            np.testing.assert_array_equal(spikes, expected.counts[layer], err_msg=layer)


@pytest.mark.parametrize("chip", SPIKING)
def test_numbers_fit_the_bits_of_the_chip(chip: str) -> None:
    """Weights, biases and thresholds as whole numbers, none beyond what the profile has."""
    conversion, _ = on(pooled(4), chip)
    has = chips.profile(chip).arithmetic
    found, scales = whole(conversion)
    for name, kind in found.choices.types.items():
        assert isinstance(kind, sw.FixedPointIntegrateAndFire)
        threshold = kind.threshold
        if has.threshold_bits is not None:
            power = 0 if has.threshold_exponents is None else has.threshold_exponents[0]
            assert threshold.max() <= (2**has.threshold_bits - 1) * 2**power
            assert np.all(threshold % 2**power == (has.spikes_above == "yes"))
        if has.state_bits is not None:
            assert threshold.max() <= most(has.state_bits)
        if has.bias_bits is not None:
            ensemble = conversion.populations()[name]
            bias = ensemble.bias * ensemble.rate_scale * DT * threshold
            largest = 0 if has.bias_exponents is None else has.bias_exponents[1]
            assert np.abs(bias).max() < (most(has.bias_bits) + 0.5) * 2**largest
        assert has.spikes is None or kind.most_spikes is not None
        assert kind.state_bits == has.state_bits
        assert (kind.reset == "zero") == (has.resets == ("zero",))
    assert any(f"bits of {chip}" in entry.text for entry in conversion.trace)
    assert set(scales) == set(found.choices.types)


def test_the_last_layer_has_a_cap_of_its_own() -> None:
    """Xylo sends 31 spikes a step inside, and one from its last neurons."""
    conversion, _ = on(dense(5), "xylo_audio2")
    caps = [e.neuron_type.most_spikes for e in conversion.populations().values()]
    assert caps == [31, 31, 1]


def test_a_profile_of_the_users_own(tmp_path: Path) -> None:
    """From a file, as a mapping, as an object: the same numbers."""
    entry = {"source": "me"}
    content = {
        "name": "mine", "title": "Mine", "placement": "whole", "limits": {},
        "sources": {"me": {"citation": "measured", "certainty": "assumption"}},
        "arithmetic": {
            "weight_bits": {"value": 3, **entry}, "state_bits": {"value": 10, **entry},
            "floor": {"value": "zero", **entry}, "spikes": {"value": 2, **entry},
        },
    }  # fmt: skip
    text = (
        'name = "mine"\ntitle = "Mine"\nplacement = "whole"\n[sources.me]\n'
        'citation = "measured"\ncertainty = "assumption"\n[limits]\n[arithmetic]\n'
        'weight_bits = { value = 3, source = "me" }\nstate_bits = { value = 10, source = "me" }\n'
        'floor = { value = "zero", source = "me" }\nspikes = { value = 2, source = "me" }\n'
    )
    (tmp_path / "mine.toml").write_text(text)
    expected = sw.Quantised(
        3, "layer", exponents=0, state_bits=10, voltage_floor=0.0, spikes=2, chip="mine"
    )
    for chip in (content, chips.profile(content), tmp_path / "mine.toml"):
        assert on(dense(1), chip)[0].arguments["weights"] == expected


def test_what_runs_no_spiking_network_is_refused() -> None:
    """Chips that send values, profiles without weights, rates, and neurons that a chip lacks."""
    with pytest.raises(ChipError, match=r"akida1 sends values of 4 bits.*fits"):
        on(dense(1), "akida1")
    with pytest.raises(ChipError, match=r"no chip is named 'spek'\. Did you mean 'speck'"):
        on(dense(1), "spek")
    bare = {
        "name": "bare", "title": "Bare", "placement": "whole", "limits": {}, "sources": {},
    }  # fmt: skip
    with pytest.raises(ChipError, match=r"bare says nothing of weights.*weight_bits"):
        bits_of(chips.profile(bare))
    with pytest.raises(ConversionError, match=r"this one has rates. *Convert with spiking=True"):
        sw.convert(dense(1)).for_chip("speck")
    signed = sw.convert(dense(1), spiking={"relu": sw.SignedIntegrateAndFire()})
    with pytest.raises(ConversionError, match=r"SignedIntegrateAndFire.*sw.IntegrateAndFire"):
        signed.for_chip("speck")


def test_it_is_a_conversion_like_any_other(tmp_path: Path) -> None:
    """Evaluated, with energy under the chip's own table; saved and loaded; changed; not trained."""
    conversion, x = on(dense(6), "loihi1")
    y = np.arange(len(x)) % 4
    found = conversion.evaluate(x, y, steps=16, progress=False)
    names = {r.name for r in found.records}
    assert {"accuracy", "spikes per neuron", "energy"} <= names
    tables = {r.how["table"] for r in found.records if r.name == "energy"}
    assert chips.profile("loihi1").energy in tables
    conversion.save(path := tmp_path / "on")
    again = sw.load(path).evaluate(x, y, steps=16, progress=False, source=False)
    first = [r.value for r in found.records if r.name == "accuracy"]
    assert first == [r.value for r in again.records if r.name == "accuracy"]
    assert conversion.replace(weights=None).arguments["weights"] is None
    assert converted(dense(6), bits_of(chips.profile("loihi1")), x).arguments["weights"].chip
