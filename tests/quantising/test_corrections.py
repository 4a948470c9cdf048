"""Corrected biases under few bits: whole numbers like all others, on every engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from integers import DT, dense, given, pooled, simulated
from numpy.typing import NDArray
from test_whole_networks import counts_of, whole

import spikewright as sw
from slowly import in_turn
from spikewright import chips, engines
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
