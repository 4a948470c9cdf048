"""`Conversion.on`: a network under the bits of every chip that has a profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from integers import DT, dense, given, pooled, residual, simulated
from test_whole_networks import converted, counts_of, whole

import spikewright as sw
from slowly import in_turn
from spikewright import chips, engines
from spikewright.errors import ChipError, ConversionError
from spikewright.graph.whole_weights import most
from spikewright.quantising import bits_of

STEPS = 24
SPIKING = [name for name in chips.names() if chips.profile(name).arithmetic.activation_bits is None]


def on(graph: Any, chip: Any) -> tuple[sw.Conversion, Any]:
    """A conversion with rules for scales, under a chip's bits, and its input."""
    x = given(graph)
    rule = sw.MinimumError(steps=8, spikes_per_step=1)
    plain = sw.convert(graph, spiking=True, scale_firing_rates=rule, calibration=x)
    return plain.on(chip), x


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
    with pytest.raises(ChipError, match=r"akida1 sends values of 4 bits.*twin="):
        on(dense(1), "akida1")
    with pytest.raises(ChipError, match=r"no chip is named 'spek'\. Did you mean 'speck'"):
        on(dense(1), "spek")
    bare = {
        "name": "bare", "title": "Bare", "placement": "whole", "limits": {}, "sources": {},
    }  # fmt: skip
    with pytest.raises(ChipError, match=r"bare says nothing of weights.*weight_bits"):
        bits_of(chips.profile(bare))
    with pytest.raises(ConversionError, match=r"this one has rates. *Convert with spiking=True"):
        sw.convert(dense(1)).on("speck")
    signed = sw.convert(dense(1), spiking={"relu": sw.SignedIntegrateAndFire()})
    with pytest.raises(ConversionError, match=r"SignedIntegrateAndFire.*sw.IntegrateAndFire"):
        signed.on("speck")


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
    assert conversion.again(weights=None).arguments["weights"] is None
    assert converted(dense(6), bits_of(chips.profile("loihi1")), x).arguments["weights"].chip
