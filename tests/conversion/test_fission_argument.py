"""`convert(..., fission=)`: what it means for numbers, files, other arguments and the source."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conversion.test_fission import (
    CORRECTED,
    FISSION,
    STEPS,
    Branches,
    X,
    answers,
    conversion,
)

import spikewright as sw
from spikewright.errors import ConversionError

WHAT = {
    **CORRECTED,
    "biases": {"bias_correction": sw.BiasCorrection(STEPS)},
    "steps of channels": {"bias_correction": sw.StepCorrection(STEPS, per="channel")},
    "starts and steps": {**CORRECTED["starts"], **CORRECTED["steps"]},
}


def spikes(made: sw.Conversion) -> dict[str, Any]:
    """Counts by layer."""
    return made.run(X, steps=STEPS, progress=False).spike_counts()


def assert_same(one: sw.Conversion, other: sw.Conversion) -> None:
    """Every spike of both is the same, and there are some."""
    wanted, found = spikes(one), spikes(other)
    assert wanted.keys() == found.keys()
    assert sum(counts.sum() for counts in wanted.values()) > 0
    for name, counts in wanted.items():
        np.testing.assert_array_equal(found[name], counts)


@pytest.mark.parametrize("what", WHAT)
def test_numbers_make_the_same_network_of_the_model_without_data(what: str) -> None:
    """`resolved` holds no rule; numbers of neurons are stated by channel, as all else is."""
    made = conversion(**WHAT[what], fission=FISSION)
    numbers = made.resolved
    plain = conversion().populations()
    assert numbers["calibration"] is None
    for name, counts in numbers["fission"].items():
        assert counts.shape == plain[name].shape[:1]
        assert made.populations()[name].shape[0] == counts.sum() > len(counts)
    assert_same(made, conversion(**numbers))


@pytest.mark.parametrize("what", ["nothing", "starts and steps"])
def test_files_and_pickles_hold_it(what: str, tmp_path: Path) -> None:
    """Loaded without the model, it sends the same, and is verified against the graph as read."""
    made = conversion(**WHAT[what], fission=FISSION)
    made.save(tmp_path / "made.sw")
    for other in (sw.load(tmp_path / "made.sw"), pickle.loads(pickle.dumps(made))):
        assert_same(made, other)
        assert_same(made, other.again())
        assert other.verify(X)


def test_neurons_are_taken_away_again(tmp_path: Path) -> None:
    """`again(fission=None)` is the conversion without; of a file the one with its numbers."""
    made = conversion(fission=FISSION)
    assert_same(made.again(fission=None), conversion())
    made.save(tmp_path / "made.sw")
    loaded = sw.load(tmp_path / "made.sw")
    assert_same(loaded.again(fission=None), conversion())
    assert_same(loaded.again(fission=FISSION, calibration=X), made)


def test_other_arguments_are_chosen_anew_with_it() -> None:
    """Thresholds for other steps are those of the model; channels that become several follow."""
    made = conversion(fission=FISSION).again(scale_firing_rates=sw.MinimumError(1))
    wanted = conversion(scale_firing_rates=sw.MinimumError(1), fission=FISSION)
    assert_same(made, wanted)
    plain = conversion(scale_firing_rates=sw.MinimumError(1)).resolved["scale_firing_rates"]
    for name, scales in made.resolved["scale_firing_rates"].items():
        np.testing.assert_array_equal(scales, plain[name])


def test_numbers_of_neurons_may_be_given() -> None:
    """By the name of a layer; Hermite's starts keep the mean of their channel's."""
    name = next(iter(conversion().populations()))
    counts = np.array([1, 2, 1, 3, 1, 1])
    made = conversion(fission={name: counts})
    starts = made.populations()[name].initial_voltage.reshape(-1)
    np.testing.assert_allclose(starts, [0.5, 0.25, 0.75, 0.5, 1 / 6, 0.5, 5 / 6, 0.5, 0.5])
    assert made.network.n_neurons == conversion().network.n_neurons + 3 * 36
    (told,) = (entry.text for entry in made.trace if entry.stage == "fission")
    assert told == "2 of 6 channels became 5, 108 neurons more"


def test_the_source_is_the_model() -> None:
    """The graph is the one that was read, and every layer agrees with it."""
    made = conversion(fission=FISSION)
    assert {n.name for n in made.graph} == {n.name for n in conversion().graph}
    compared = {one.layer for one in made.verify(X).differences}
    assert set(made.resolved["fission"]) <= compared


def test_it_is_trained_as_it_runs() -> None:
    """Numbers of neurons stay; a rule splits anew for the thresholds that training begins with."""
    made = conversion(fission=FISSION)
    told = made.again(fission=made.resolved["fission"])
    fitted, anew = (c.reconstruct(X, steps=STEPS, epochs=2, progress=False) for c in (told, made))
    shapes = {name: e.shape for name, e in made.populations().items()}
    assert {name: e.shape for name, e in fitted.populations().items()} == shapes
    assert anew.network.n_neurons <= 1.5 * conversion().network.n_neurons
    for found in (fitted, anew):
        for name, counts in found.resolved["fission"].items():
            assert found.populations()[name].shape[0] == counts.sum()
    module = made.torch_module(STEPS)
    found = module(X[:3]).detach().numpy()
    np.testing.assert_allclose(found, answers(made)[:3], rtol=1e-4, atol=1e-5)


def test_it_is_diagnosed_as_it_runs() -> None:
    """Losses and spikes are those of the network with copies."""
    made = conversion(fission=FISSION)
    found = made.diagnose(X, steps=STEPS, progress=False)
    plain = conversion().diagnose(X, steps=STEPS, progress=False)
    assert 0 < found.loss.value < plain.loss.value
    sent = sum(counts.mean() for counts in spikes(made).values())
    assert found.spikes == pytest.approx(sent)


def test_a_sweep_takes_it() -> None:
    """At every scale channels are split for that scale."""
    found = sw.sweep(
        Branches().eval(), X, example_input=X[:1], scales=[200.0, 400.0], steps=[STEPS],
        neurons=[{"relu": sw.BipolarIntegrateAndFire()}], max_spikes_per_step=1,
        calibration=X, fission=FISSION, progress=False,
    )  # fmt: skip
    assert len({p.setting for p in found.points}) == 2 and not found.failed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fission": 4}, "it is None, sw.Fission or .* got 4"),
        ({"fission": FISSION, "max_spikes_per_step": None, "scale_firing_rates": 5.0},
         "Raise scale_firing_rates"),
        ({"fission": FISSION, "spiking": False, "max_spikes_per_step": None,
          "scale_firing_rates": 1.0}, "sends no rounded sum of its input"),
        ({"fission": FISSION, "initial_voltage": "uniform"}, "copies need theirs apart"),
        ({"fission": {"nowhere": [1]}}, "no layer whose channels can be several of that name"),
        ({"fission": {"relu": [2, 1]}}, "from 1 to 65536 for each of 6 channels"),
        ({"fission": {"relu": [0, 1, 1, 1, 1, 2]}}, "from 1 to 65536 for each of 6 channels"),
        ({"fission": {"relu": [1, 1, 1, 1, 1, 10**12]}}, "from 1 to 65536 for each of 6 channels"),
        ({"fission": FISSION, "calibration": None, "scale_firing_rates": 5.0}, "none was given"),
        ({"fission": FISSION, "scale_firing_rates": sw.EnergyBudget(STEPS, spikes=500)},
         "a budget is kept by moving the thresholds"),
        ({"fission": {"relu": [2] * 6}, "initial_voltage": "uniform"}, "copies need theirs apart"),
        ({"fission": FISSION, "bias_correction": {
            "relu": np.ones((9, 1, 1)), "relu_1": np.ones(()), "relu_2": np.ones(())}},
         "has 6 channels, and shape .9, 1, 1. none for each"),
    ],
)  # fmt: skip
def test_refusals(given: dict[str, Any], message: str) -> None:
    """Whatever no network could be made with is refused, and says what would do."""
    with pytest.raises(ConversionError, match=message):
        conversion(**given)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"extra": -1}, "Fission.extra': it must be a number of neurons .* got -1"),
        ({"steps": 0}, "Fission.steps': it must be a whole number from 1, got 0"),
        ({"dt": 0}, "Fission.dt': it must be a number above 0, got 0"),
    ],
)
def test_parameters_without_a_meaning_are_refused(how: dict[str, Any], message: str) -> None:
    """With the parameter and its value."""
    with pytest.raises(ConversionError, match=message):
        sw.Fission(**{"steps": STEPS, **how})
