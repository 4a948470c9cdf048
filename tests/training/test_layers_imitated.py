"""Imitation layer by layer: the distance of every layer from the source's, beside the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from trainings import STEPS, trained

import spikewright as sw
from spikewright.graph import evaluate_all
from spikewright.training.gradients.judge import NetworkJudge
from spikewright.training.gradients.losses import layers_apart, spreads
from spikewright.training.gradients.teacher import Teacher


def nothing(made: Any, y: Any) -> Any:
    """A loss that says nothing about the outputs."""
    return 0.0 * made.sum()


def apart(made: sw.Conversion, x: Any, source: sw.Conversion) -> dict[str, float]:
    """The mean square error of every layer over the variance that the source's values have."""
    (name,) = source.graph.inputs
    values = evaluate_all(source.canonical, {name: x})
    means = made.run(x, steps=STEPS, progress=False).layer_means()
    return {
        layer: float(np.square(mean - values[layer]).mean() / values[layer].var(axis=0).mean())
        for layer, mean in means.items()
    }


def test_layers_alone_bring_every_layer_nearer(
    conversion: sw.Conversion, digits: tuple[Any, Any]
) -> None:
    """Where the loss says nothing, all that is learned is from layers; without them nothing is.

    Neurons that begin at zero send half a spike too few: that can be learned of every layer alone.
    """
    x, unseen = digits[0][:200], digits[0][900:]
    before = conversion.again(initial_voltage="zero")
    how = {"loss": nothing, "trainable": "initial_voltage", "batch_size": 16, "validation": 0.0}
    still, near = (
        trained(before, x, layers=weight, learning_rate=2e-2, **how).conversion
        for weight in (0.0, 1.0)
    )
    assert {float(np.max(e.initial_voltage)) for e in still.populations().values()} == {0.0}
    first, after = (apart(made, unseen, conversion) for made in (still, near))
    assert first.keys() == after.keys() == conversion.populations().keys()
    assert all(after[name] < 0.5 * first[name] for name in first)


def test_a_mean_over_layers_in_units_of_variance() -> None:
    """The mean square error of a layer over its variance, a mean over the layers that are named."""
    rng = np.random.default_rng(0)
    wanted = {n: torch.from_numpy(rng.normal(3.0, s, (50, 4))) for n, s in (("a", 1.0), ("b", 9.0))}
    made = {n: w + w.std() * torch.from_numpy(rng.normal(size=(50, 4))) for n, w in wanted.items()}
    parts = [
        float(((made[n] - w) ** 2).mean() / w.var(0, unbiased=False).mean())
        for n, w in wanted.items()
    ]
    of = spreads([{n: w[:20] for n, w in wanted.items()}, {n: w[20:] for n, w in wanted.items()}])
    assert float(layers_apart(made, wanted, of)) == pytest.approx(np.mean(parts))
    assert float(layers_apart(made, wanted, {"b": of["b"]})) == pytest.approx(parts[1])
    one, ones = torch.full((1, 3), 2.0), torch.full((7, 3), 2.0)  # in units of their mean square
    assert spreads([{"a": one}]) == spreads([{"a": ones}]) == {"a": 4.0}
    assert spreads([{"a": torch.zeros(5, 2)}]) == {"a": 1.0}


def test_the_source_is_run_once_a_batch(
    conversion: sw.Conversion, digits: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its outputs are among the values of its layers; the loss that is shown is without these."""
    seen, shown = [], []
    values, loss = Teacher.values, NetworkJudge.loss

    def counted(self: Any, inputs: Any) -> Any:
        seen.append(len(next(iter(inputs.values()))))
        return values(self, inputs)

    def noted(self: Any, batch: Any, way: Any) -> Any:
        found = loss(self, batch, way)
        shown.append((found[0].item(), found[1].item()))
        return found

    monkeypatch.setattr(Teacher, "values", counted)
    monkeypatch.setattr(NetworkJudge, "loss", noted)
    batches = [digits[0][:64], digits[0][64:128]]
    (epoch,) = trained(conversion, batches, epochs=1, layers=2.0).history
    assert seen == [64, 64, 64, 64]  # the first two for the units of squares
    assert epoch.loss == pytest.approx(np.mean([outputs for outputs, _ in shown]))
    assert all(beside > 0 for _, beside in shown)
