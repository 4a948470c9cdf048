"""Training where channels are several neurons: those neurons are what is trained and counted."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.training.test_reconstruction import QUICK
from tests.training.test_rounded import DT, KINDS, converted, reference, rounded, tensors
from tests.training.test_training_budgets import spikes_of
from tests.training.trainings import STEPS, assert_same_run, trained

import spikewright as sw
from spikewright.choosing.fission import Copies
from spikewright.training.gradients.spiking import sent
from spikewright.training.sites import sites_of


def divided(family: str, steps: int, **changes: Any) -> tuple[sw.Conversion, NDArray]:
    """A random network under a cap in which some channels of every layer are several."""
    conversion, x = converted(family, 3, steps)
    split = conversion.again(
        **{"max_spikes_per_step": 1, **changes},
        scale_firing_rates=sw.MinimumError(steps),
        fission=sw.Fission(steps, extra=1.0),
        calibration=x,
    )
    assert max(counts.max() for counts in split.resolved["fission"].values()) > 2
    return split, x


CORRECTED: dict[str, dict[str, Any]] = {
    "corrected": {"initial_voltage": sw.VoltageCorrection(4)},
    "steps corrected": {"bias_correction": sw.StepCorrection(4)},
}


@pytest.mark.parametrize(
    ("kind", "family", "cap", "start"),
    [
        (KINDS[0], "averages", 1, "half"),
        (KINDS[1], "dense", 2, "zero"),
        (KINDS[2], "maxima", 1, "corrected"),
        (KINDS[3], "dense", 2, "half"),
        (KINDS[4], "averages", 2, "steps corrected"),
    ],
)
def test_every_copy_sends_what_it_does_in_the_engine(
    kind: Any, family: str, cap: int, start: str
) -> None:
    """And a channel's value is the mean of its copies; starts and thresholds are the channels'."""
    steps = 4
    conversion, x = divided(
        family,
        steps,
        spiking={"relu": kind},
        max_spikes_per_step=cap,
        **CORRECTED.get(start, {"initial_voltage": start}),
    )
    found = sent(rounded(conversion, steps), tensors(conversion, x))
    run, copies = reference(conversion, x, steps), Copies.in_network(conversion)
    for name, population in run.populations.items():
        assert population.totals.any()
        np.testing.assert_array_equal(found.all[name].numpy(), population.totals)
        layer = conversion.populations()[name]
        net = run.layer_means()[name] * steps * layer.rate_scale * DT
        split = copies.splits.get(name)
        if split is not None:
            counts = split.copies.reshape(-1, *(1,) * (len(layer.shape) - 1 - split.axis))
            net = split.mean(net) * counts
        np.testing.assert_allclose(found.net[name].numpy(), net, atol=1e-9)


@pytest.mark.parametrize("family", ["dense", "maxima"])
def test_in_one_step_the_rounded_network_is_the_spiking_one(family: str) -> None:
    """Hermite's identity: m copies round to m times as many levels.

    They start at half a spike: below it a copy owes charge, and none sends less than nothing.
    """
    conversion, x = divided(family, 1)
    values, _ = rounded(conversion, 1)(tensors(conversion, x))
    (output,) = conversion.graph.outputs.values()
    wanted = reference(conversion, x, 1).predict("mean")
    np.testing.assert_allclose(values[output].detach().numpy(), wanted, atol=1e-9)


@pytest.mark.parametrize("start", ["half", 0.3])
def test_starts_of_channels_are_found_again(start: Any) -> None:
    """From those of their copies, for layers with copies and without."""
    conversion, _ = divided("averages", 3, initial_voltage=start)
    wanted = 0.5 if start == "half" else start
    for name, site in sites_of(conversion, DT).items():
        np.testing.assert_allclose(site.start, wanted, err_msg=name)
        assert (site.split is not None) == (name in conversion.resolved["fission"])


@pytest.fixture(scope="module")
def capped(conversion: sw.Conversion, digits: tuple[Any, Any]) -> sw.Conversion:
    """The trained network of digits with half as many neurons again, in numbers."""
    some = digits[0][:200]
    given = {"scale_firing_rates": sw.MinimumError(STEPS), "max_spikes_per_step": 1}
    made = conversion.again(**given, fission=sw.Fission(STEPS), calibration=some)
    return made.again(fission=made.resolved["fission"])


@pytest.mark.slow
@pytest.mark.parametrize("scales", ["scales", "neuron_scales"])
def test_weights_go_home_and_the_neurons_stay(
    capped: sw.Conversion, digits: tuple[Any, Any], scales: str
) -> None:
    """The source's model with the trained weights and the numbers in `resolved` sends the same."""
    x = digits[0]
    given = ("weights", "biases", scales, "initial_voltage")
    result = trained(capped, x[:300], trainable=given)
    made = result.conversion
    counts = capped.resolved["fission"]
    assert made.network.n_neurons == capped.network.n_neurons
    for name, wanted in counts.items():
        np.testing.assert_array_equal(made.resolved["fission"][name], wanted)
    assert result.history[-1].loss < result.history[0].loss
    model = deepcopy(capped._model.live.model)  # type: ignore[union-attr]
    again = sw.convert(result.write_back(model), example_input=x[:1], **made.resolved)
    assert_same_run(made, again, x[:50])


@pytest.mark.slow
def test_budgets_count_every_copy(capped: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """Spikes and rates that the training measures are those of the reference engine.

    Of a budget between nine tenths and all are sent.
    """
    x, held = digits[0][:400], digits[0][900:]
    result = trained(capped, x, validation=held, epochs=1, keep="last")
    measured = result.history[0].held_back
    run = result.conversion.run(held, steps=STEPS, engine="reference", progress=False)
    assert measured.spikes == pytest.approx(spikes_of(result.conversion, held), rel=1e-3)
    for name, rate in run.firing_rates().items():
        assert measured.rates[name] == pytest.approx(rate, rel=1e-2)
    budget = 0.6 * spikes_of(capped, held)
    made = trained(capped, x, spikes=budget, validation=held).conversion
    assert 0.9 * budget <= spikes_of(made, held) <= budget


def test_reconstruction_keeps_the_copies(capped: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """Biases are stated for channels, and no weight changes."""
    made = capped.reconstruct(digits[0][:300], **QUICK)
    assert made.network.n_neurons == capped.network.n_neurons
    for name, biases in made.resolved["bias_correction"].items():
        assert biases.shape[0] in (1, len(capped.resolved["fission"].get(name, biases)))
        assert np.any(biases)
