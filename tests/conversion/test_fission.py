"""`sw.Fission`: channels become several, which send what one with more levels would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.graph import evaluate_all
from spikewright.passes.split_channels import Split, SplitChannels

STEPS = 3
RNG = np.random.default_rng(0)
X = RNG.random((40, 2, 6, 6)).astype(np.float32)
FISSION = sw.Fission(STEPS)


class Branches(nn.Module):
    """Channels read by a convolution, a sum, a pooling and a grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.c, self.out = nn.Conv2d(6, 6, 3, padding=1, groups=3), nn.Linear(54, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Four outputs."""
        y = torch.relu(self.a(x))
        z = torch.relu(self.b(y) + y)
        z = torch.relu(self.c(z))
        return self.out(torch.flatten(nn.functional.avg_pool2d(z, 2), 1))


def conversion(**given: Any) -> sw.Conversion:
    """A random network with one spike of either sign a step."""
    torch.manual_seed(0)
    usual = {
        "spiking": {"relu": sw.BipolarIntegrateAndFire()}, "max_spikes_per_step": 1,
        "scale_firing_rates": sw.MinimumError(STEPS), "calibration": X,
    }  # fmt: skip
    return sw.convert(Branches().eval(), example_input=X[:1], **{**usual, **given})


def answers(made: sw.Conversion, steps: int = STEPS, **how: Any) -> Any:
    """The mean outputs."""
    return made.run(X, steps=steps, progress=False, **how).predict("mean")


def test_nothing_extra_changes_nothing() -> None:
    """Without extra neurons every spike is the same."""
    plain = conversion()
    made = plain.again(fission=sw.Fission(STEPS, 0), calibration=X)
    runs = [c.run(X, steps=STEPS, progress=False) for c in (plain, made)]
    for name, counts in runs[0].spike_counts().items():
        assert counts.sum() > 0
        np.testing.assert_array_equal(runs[1].spike_counts()[name], counts)
    np.testing.assert_array_equal(*(run.predict() for run in runs))


@pytest.mark.parametrize("start", ["zero", "half"])
def test_copies_send_what_one_neuron_with_more_levels_sends(start: str) -> None:
    """Hermite's identity: at constant input the mean of m copies has m T levels."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 5, bias=False), nn.ReLU(), nn.Linear(5, 5, bias=False))
    with torch.no_grad():
        for layer in (model[0], model[2]):
            layer.weight.copy_(torch.eye(5))
    x, steps, theta = RNG.uniform(-0.2, 1.0, (200, 5)).astype(np.float32), 4, 1.0
    given = {
        "spiking": True, "max_spikes_per_step": 1, "scale_firing_rates": 1000 / theta,
        "initial_voltage": start,
    }  # fmt: skip
    plain = sw.convert(model, example_input=x[:1], **given)
    made = plain.again(fission=sw.Fission(steps, 2.0), calibration=x)
    (counts,) = made.resolved["fission"].values()
    assert counts.max() >= 3 and counts.sum() == 15
    v0 = 0.5 + counts * ({"zero": 0.0, "half": 0.5}[start] - 0.5)
    unit = theta / (steps * counts)
    exact = x.astype(np.float64)
    expected = np.maximum(np.floor(exact / unit + v0), 0) * unit
    found = made.run(x, steps=steps, progress=False).predict("mean")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    coarse = plain.run(x, steps=steps, progress=False).predict("mean")
    assert len(np.unique(found)) > 2 * len(np.unique(coarse))


@pytest.mark.parametrize("heights", [(3, 3, 3), (6, 3, 3), (4, 2), (8, 4, 2)], ids=str)
def test_copies_lie_between_the_multiples_that_spikes_of_heights_say(
    heights: tuple[int, ...],
) -> None:
    """The mean of m copies is the multiple of h / m spikes nearest to the value; h: last height.

    The value comes at once. Copies that start a share of one spike apart would say the same.
    """
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 5, bias=False), nn.ReLU(), nn.Linear(5, 5, bias=False))
    with torch.no_grad():
        for layer in (model[0], model[2]):
            layer.weight.copy_(torch.eye(5))
    steps, last = len(heights), heights[-1]
    theta = steps / 8.0  # eight spikes are worth 1
    x = RNG.uniform(0.6, 1.0, (200, 5)).astype(np.float32)
    kind = sw.BipolarIntegrateAndFire(max_spikes_per_step=4, spike_heights=heights)
    plain = sw.convert(
        model, example_input=x[:1], spiking={"relu": kind}, scale_firing_rates=1000 / theta
    )
    made = plain.again(fission=sw.Fission(steps, 2.0), calibration=x)
    (counts,) = made.resolved["fission"].values()
    assert counts.max() >= 3
    unit = last / (8.0 * counts)
    expected = np.floor(x.astype(np.float64) / unit + 0.5) * unit
    found = made.run(x, steps=steps, progress=False).predict("mean")
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_analog_network_is_the_same() -> None:
    """Split at random, all layers compute what they did, and copies are equal."""
    graph = conversion().canonical
    names = [n.name for n in graph if n.layer.kind == "Activation"]
    splits = {name: Split(RNG.integers(1, 4, 6), 0) for name in names}
    split = SplitChannels(splits)(graph).graph
    inputs = {graph.inputs[0]: X.astype(np.float64)}
    before, after = evaluate_all(graph, inputs), evaluate_all(split, inputs)
    for node in graph:
        value = before[node.name]
        copied = value[:, splits[node.name].channels] if node.name in splits else value
        np.testing.assert_allclose(after[node.name], copied, rtol=1e-9, atol=1e-12)


CORRECTED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "starts": {"initial_voltage": sw.VoltageCorrection(STEPS)},
    "steps": {"bias_correction": sw.StepCorrection(STEPS)},
}


@pytest.mark.parametrize("what", CORRECTED)
def test_fewer_errors_with_more_neurons(what: str) -> None:
    """Outputs come closer to the source's, and the neurons added are at most those allowed."""
    plain = conversion(**CORRECTED[what])
    made = plain.again(fission=sw.Fission(STEPS, 0.5), calibration=X)
    (wanted,) = plain.source.call({plain.graph.inputs[0]: X}).values()
    gaps = [np.square(answers(c) - wanted).mean() for c in (plain, made)]
    assert gaps[1] < 0.9 * gaps[0]
    neurons = [c.network.n_neurons for c in (plain, made)]
    assert 1.3 * neurons[0] < neurons[1] <= 1.5 * neurons[0]


def test_copies_have_the_same_biases_of_each_step() -> None:
    """All copies of a channel have the biases that their mean lacks: those that it would have."""
    made = conversion(**CORRECTED["steps"], fission=FISSION)
    split = made.resolved["fission"]
    assert [e.layer for e in made.trace.entries if e.stage == "fission"] == list(split)
    for name, counts in split.items():
        biases = made.resolved["bias_correction"][name]
        assert biases.shape[1] == len(counts) < counts.sum()
        given = made.populations()[name].noise.values
        np.testing.assert_array_equal(given, biases.repeat(counts, axis=1))


def test_every_engine_and_a_file_send_the_same(tmp_path: Path) -> None:
    """An ordinary network: it is saved, verified, counted and converted again."""
    made = conversion(fission=FISSION)
    made.save(tmp_path / "made.sw")
    others = [sw.load(tmp_path / "made.sw"), made.again(), made]
    wanted = made.run(X, steps=STEPS, engine="reference", progress=False)
    for other, engine in zip(others, ("native", "torch", "native"), strict=True):
        found = other.run(X, steps=STEPS, engine=engine, progress=False).spike_counts()
        for name, counts in wanted.spike_counts().items():
            np.testing.assert_array_equal(found[name], counts)
    assert made.verify(X)


def test_extra_spikes_cost_energy() -> None:
    """Neurons are counted as they are; copies meet the weights that their channel met."""
    plain = conversion()
    made = plain.again(fission=FISSION)
    found = [c.evaluate(X, steps=STEPS, progress=False).records for c in (plain, made)]
    joules, updates = (
        [
            next(r.value for r in records if r.name == name and "layer" not in r.how)
            for records in found
        ]
        for name in ("energy", "neuron updates")
    )
    assert joules[1] > joules[0]
    assert updates[1] > 1.3 * updates[0]
