"""`Conversion.train`: a better network for few steps, the same for a seed, and what it refuses."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch
from trainings import STEPS, moved_arrays, trained

import spikewright as sw
from spikewright.errors import ConversionError, SimulationError, TrainingError
from spikewright.training.history import THRESHOLDS
from spikewright.training.options import Trainable


def spikes(conversion: sw.Conversion, x: Any) -> float:
    """All spikes of a short run."""
    run = conversion.run(x[:50], steps=STEPS, progress=False)
    return sum(counts.sum() for counts in run.spike_counts().values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "cap", "share"),
    [("auto", None, 0.5), ("time", 1, 0.97)],
)
def test_outputs_come_closer_to_the_source(
    conversion: sw.Conversion, digits: tuple[Any, Any], method: str, cap: int | None, share: float
) -> None:
    """Without labels: on samples that it never saw, the trained network is nearer to its source.

    In two steps of one spike there is little room: a value is one of three.
    """
    x = digits[0]
    before = conversion.replace(max_spikes_per_step=cap)
    after = trained(before, x[:800], method=method, epochs=12, learning_rate=5e-3).conversion
    rule = sw.MinimumError(STEPS, spikes_per_step=1)
    chosen = before.replace(scale_firing_rates=rule, calibration=x[:500])
    (wanted,) = conversion.source.call({conversion.graph.inputs[0]: x[800:]}).values()
    gaps = [
        np.square(c.run(x[800:], steps=STEPS, progress=False).predict("mean") - wanted).mean()
        for c in (chosen, after)
    ]
    assert gaps[1] < share * gaps[0]


def test_larger_scales_send_more_spikes_of_the_same_weights(
    conversion: sw.Conversion, digits: tuple[Any, Any]
) -> None:
    """Twice the scales are half the thresholds, by layer; a factor of 1 changes no spike."""
    x = digits[0]
    result = trained(conversion, x[:200], epochs=1)
    sent = []
    for factor in (1.0, 2.0):
        made = result.scaled(factor)
        assert made.history is result.history
        assert not moved_arrays(made.conversion.graph, result.conversion.graph)
        for name, ensemble in made.conversion.populations().items():
            before = result.conversion.populations()[name].rate_scale
            np.testing.assert_allclose(ensemble.rate_scale, factor * before)
        ratios, halved = (
            [change.value for change in t.changes if change.name == THRESHOLDS]
            for t in (result, made)
        )
        np.testing.assert_allclose(halved, np.array(ratios) / factor)
        sent.append(spikes(made.conversion, x))
    assert sent[0] == spikes(result.conversion, x)
    assert sent[1] > 1.5 * sent[0]
    for wrong, why in ((0.0, "must be above 0, got 0.0"), (np.nan, "finite numbers, got nan")):
        with pytest.raises(ConversionError, match=f"scale_firing_rates .*{why}"):
            result.scaled(wrong)


def test_thresholds_and_starts_begin_as_they_are(
    conversion: sw.Conversion, digits: tuple[Any, Any]
) -> None:
    """With "kept" thresholds those of the conversion stay, where they are not trained."""
    x = digits[0][:200]
    rule = sw.Percentile(90.0, per="channel")
    own = conversion.replace(scale_firing_rates=rule, initial_voltage=0.3, calibration=x)
    how = {"epochs": 1, "validation": 0.0, "trainable": "biases"}
    for thresholds, same in (("kept", True), ("chosen", False)):
        made = trained(own, x, thresholds=thresholds, **how).conversion
        for name, ensemble in own.populations().items():
            after = made.populations()[name]
            assert np.allclose(after.rate_scale, ensemble.rate_scale, rtol=1e-6) == same, name
            if same:
                np.testing.assert_allclose(after.initial_voltage, 0.3, rtol=1e-6)


GROUPS = {"weight": "weights", "gamma": "weights", "bias": "biases", "beta": "biases"}
"""Arrays that are trained, and in which group; statistics of a normalisation are in none."""


@pytest.mark.parametrize("group", get_args(Trainable))
def test_only_what_is_named_is_trained(
    conversion: sw.Conversion, digits: tuple[Any, Any], group: str
) -> None:
    """Every other group stays as it was, to the last bit; scales are of channels or of neurons."""
    how = {"epochs": 1, "validation": 0.0, "trainable": (group,)}
    made = trained(conversion, digits[0][:200], **how).conversion
    moved = moved_arrays(conversion.graph, made.graph)
    changed = {GROUPS.get(field, field) for _, field in moved}
    rule = sw.MinimumError(STEPS, spikes_per_step=1)
    chosen = conversion.replace(scale_firing_rates=rule, calibration=digits[0][:200])
    before = {name: ensemble.rate_scale for name, ensemble in chosen.populations().items()}
    after = {name: ensemble.rate_scale for name, ensemble in made.populations().items()}
    if any(not np.allclose(after[name], scale, rtol=1e-6) for name, scale in before.items()):
        wider = any(np.shape(after[name]) != np.shape(scale) for name, scale in before.items())
        changed.add("neuron_scales" if wider else "scales")
    if made.arguments["initial_voltage"] != "half":
        changed.add("initial_voltage")
    assert changed == {group}


def test_pruned_weights_stay_zero() -> None:
    """Of weights those that are not zero change: energy is counted by these alone."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 20), torch.nn.ReLU(), torch.nn.Linear(20, 4))
    with torch.no_grad():
        for layer in (model[0], model[2]):
            layer.weight.mul_(torch.rand_like(layer.weight) < 0.5)
    x = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    before = sw.convert(model, spiking=True, example_input=x[:1])
    after = trained(before, x, epochs=1, keep="last").conversion
    for node in before.graph:
        for field, array in node.layer.arrays().items():
            now = after.graph[node.name].layer.arrays()[field]
            assert not np.array_equal(now, array)
            assert field != "weight" or not now[array == 0].any()


def test_equal_arguments_give_equal_weights(
    conversion: sw.Conversion, digits: tuple[Any, Any]
) -> None:
    """For a seed, to the last bit; another seed gives another network."""
    first, second, other = (
        trained(conversion, digits[0][:200], seed=seed, epochs=1).conversion.graph
        for seed in (3, 3, 4)
    )
    assert not moved_arrays(first, second)
    assert moved_arrays(first, other)


def test_a_timeout_ends_a_training(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """Of very many epochs only some are done, and the result is whole."""
    history = trained(conversion, digits[0], epochs=10_000, timeout=1.0).history
    assert 1 <= len(history) < 1000


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"steps": 0}, "steps must be None or a whole number from 1, got 0"),
        ({"epochs": 0}, "epochs must be a whole number from 1, got 0"),
        ({"learning_rate": -1.0}, 'learning_rate must be a number above 0, or "chosen", got -1.0'),
        ({"learning_rate": "best"}, "learning_rate must be a number above 0, or .*got 'best'"),
        ({"timeout": 0}, "timeout must be None or a number above 0, got 0"),
        ({"validation": 1.0}, "validation must be samples, or a share of .* below 1, got 1.0"),
        ({"spikes": -5}, "spikes must be None or a number above 0, got -5"),
        ({"spikes": 5, "validation": 0.0}, "spikes: is measured on samples that are held back"),
        ({"keep": "first"}, "keep must be one of 'best', 'last', got 'first'"),
        ({"loss": "mse"}, "loss must be one of 'both', 'imitation', got 'mse'"),
        ({"method": "magic"}, "method must be one of .*got 'magic'"),
        ({"trainable": ("weight",)}, "trainable must name some of"),
        ({"learning_rate": 1e30}, "the loss is (nan|inf).*smaller learning_rate"),
    ],
)
def test_settings_that_no_training_can_have(
    conversion: sw.Conversion, digits: tuple[Any, Any], how: dict[str, Any], message: str
) -> None:
    """Each is refused by name, with its value."""
    with pytest.raises(TrainingError, match=message):
        trained(conversion, digits[0][:200], **how)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spiking": False}, "sends no counts.*spiking=True"),
        ({"synapse": 0.01}, "synapse=None"),
        ({"initial_voltage": "uniform"}, 'initial_voltage="half"'),
        ({"spiking": {"relu": sw.PoissonSpiking(sw.RectifiedLinear())}}, "sends no counts"),
    ],
)
def test_networks_that_do_not_send_rounded_values(
    conversion: sw.Conversion, digits: tuple[Any, Any], changes: Any, message: str
) -> None:
    """They are refused by the layer's name, with the next move."""
    with pytest.raises(TrainingError, match=message):
        trained(conversion.replace(**changes), digits[0][:200])


def test_data_that_does_not_fit(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """Labels out of range, NaN and a generator at its end."""
    x, y = digits
    with pytest.raises(SimulationError, match="labels of output"):
        trained(conversion, x[:50], y[:50] + 7)
    with pytest.raises(SimulationError, match="NaN"):
        trained(conversion, np.full_like(x[:50], np.nan))
    with pytest.raises(SimulationError, match="shape"):
        trained(conversion, x[:50, ..., :3])
    with pytest.raises(SimulationError, match=r"validation: .*labels of output"):
        trained(conversion, x[:50], validation=(x[50:60], y[50:60] + 7))
