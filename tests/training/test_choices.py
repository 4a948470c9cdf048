"""What a user may choose of a training: loss, metric, epoch, device, method."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from trainings import STEPS, trained

import spikewright as sw
from spikewright.errors import BuildError, SimulationError
from spikewright.training.gradients import fitting
from spikewright.training.gradients.straight_through import StraightThroughNetwork
from spikewright.training.gradients.validation import Validator, spread_of
from spikewright.training.quantized_layers import quantized_layers_of, trained_graph


def weights(result: Any) -> Any:
    """The first weights of a trained network."""
    return next(
        node.layer.weight for node in result.conversion.graph if hasattr(node.layer, "weight")
    )


def test_imitation_looks_at_no_label(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """Of both losses labels move weights; of imitation alone they do not."""
    x, y = digits[0][:128], digits[1][:128]
    wrong = (y + 1) % 10
    for loss in ("both", "imitation"):
        right, other = (
            trained(conversion, x, labels, loss=loss, epochs=1, keep="last")
            for labels in (y, wrong)
        )
        assert np.array_equal(weights(right), weights(other)) == (loss == "imitation")


@pytest.mark.slow
def test_the_best_epoch_by_a_metric(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """A metric decides in place of accuracy; with "last" the last epoch is kept."""
    x, y = digits[0][:200], digits[1][:200]

    def worse(outputs: Any, y: Any) -> Any:
        return (outputs.argmax(axis=1) != y).astype(float)

    how = {"validation": (digits[0][800:], digits[1][800:]), "learning_rate": 5e-3, "epochs": 3}
    good, bad, last = (
        trained(conversion, x, y, **how, **more)
        for more in ({}, {"metric": worse}, {"keep": "last"})
    )
    for result in (good, bad):
        for epoch in result.history:
            assert 0 < epoch.held_back.accuracy < 1
    assert all(e.held_back.score is None for e in good.history)
    for epoch in bad.history:
        assert epoch.held_back.score == pytest.approx(1 - epoch.held_back.accuracy)
    assert bad.kept != good.kept
    assert last.kept == 3
    with pytest.raises(SimulationError, match="metric must be a function"):
        trained(conversion, x, y, metric="accuracy")


def test_devices(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """One that is not there is said to be missing; torch's own object names one, too."""
    assert trained(conversion, digits[0][:64], device=torch.device("cpu"), epochs=1).history
    with pytest.raises(BuildError, match="device 'nowhere'"):
        trained(conversion, digits[0][:64], device="nowhere")


@pytest.mark.parametrize(("cap", "steps"), [(None, STEPS), (1, 3)])
def test_time_is_taken_where_it_is_measured_to_matter(
    conversion: sw.Conversion,
    digits: tuple[Any, Any],
    cap: int | None,
    steps: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With "auto" as soon as timing is a quarter of the distance, then always; never at first.

    Nothing is measured where the rounded network is the spiking one: without a cap, in one step.
    """
    shares = iter([0.1, 0.3])
    monkeypatch.setattr(Validator, "timing", lambda self, samples: next(shares))
    before = conversion.replace(max_spikes_per_step=cap)
    history = trained(before, digits[0][:200], steps=steps, epochs=4).history
    matters = cap is not None and steps > 1
    found = [epoch.way for epoch in history]
    assert found == (["rounding", "rounding", "time", "time"] if matters else 4 * ["rounding"])


def differences() -> tuple[sw.Conversion, Any]:
    """A network of small differences of large values, whose neurons never take a spike back."""
    torch.manual_seed(0)
    first, second = torch.nn.Linear(8, 32), torch.nn.Linear(32, 16)
    with torch.no_grad():
        first.bias.fill_(3.0)
        weights = torch.randn(16, 16)
        second.weight.copy_(torch.cat([weights, 0.1 * torch.randn(16, 16) - weights], 1))
    relu = torch.nn.ReLU()
    model = torch.nn.Sequential(first, relu, second, relu, torch.nn.Linear(16, 4))
    x = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    made = sw.convert(model, spiking=True, example_input=torch.from_numpy(x[:1]))
    return made.replace(max_spikes_per_step=1), x


def test_the_measured_share_of_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spiking network's distance from the rounded one over that from the source."""
    seen = []
    timing = Validator.timing

    def noted(self: Any, samples: Any) -> float:
        (loss,) = self.losses.values()
        seen.append((timing(self, samples), samples, loss.spread))
        return seen[-1][0]

    monkeypatch.setattr(Validator, "timing", noted)
    monkeypatch.setattr(fitting, "_TIMING", 2.0)
    before, x = differences()
    how = {"steps": 4, "epochs": 2, "learning_rate": 1e-9, "keep": "last"}
    made = trained(before, x, **how).conversion
    ((share, samples, unit),) = seen
    (x,) = samples.x.values()
    (wanted,) = made.source.call({made.graph.inputs[0]: x}).values()
    network = StraightThroughNetwork(trained_graph(made), quantized_layers_of(made, 0.001), 4)
    values, _ = network({made.graph.inputs[0]: torch.from_numpy(x)})
    rounded = values[next(iter(made.graph.outputs.values()))]
    spiking = made.run(x, steps=4, engine="reference", progress=False).predict()
    apart, whole = (distance(spiking, other, unit) for other in (rounded.detach().numpy(), wanted))
    assert apart > 0.01 * whole
    assert share == pytest.approx(apart / whole, rel=0.02)


def distance(made: Any, wanted: Any, unit: float) -> float:
    """Divergence of softmax plus the mean square error in a unit, as imitation has it."""
    logs = [torch.from_numpy(np.asarray(v, np.float64)).log_softmax(-1) for v in (made, wanted)]
    divergence = torch.nn.functional.kl_div(*logs, reduction="batchmean", log_target=True)
    return float(divergence) + float(np.square(made - wanted).mean() / unit)


def test_squares_are_in_units_of_the_variance_of_all_samples() -> None:
    """A mean over values, however samples are divided; of values that are alike their square."""
    values = torch.from_numpy(np.random.default_rng(0).normal(3.0, 2.0, (50, 4)))
    variance = float(values.var(0, unbiased=False).mean())
    assert spread_of([values[:20], values[20:]]) == pytest.approx(variance)
    assert spread_of([torch.full((1, 3), 2.0)]) == spread_of([torch.full((7, 3), 2.0)]) == 4.0
    assert spread_of([torch.zeros(5, 2)]) == 1.0
