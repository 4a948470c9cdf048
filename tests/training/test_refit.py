"""Weights fitted layer by layer, by least squares, before any epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from trainings import MODELS, STEPS, Twice, moved_arrays, trained

import spikewright as sw
from spikewright.errors import TrainingError
from spikewright.graph import Graph, evaluate_all
from spikewright.training.gradients import refitting
from spikewright.training.gradients.rounded import RoundedNetwork
from spikewright.training.sites import sites_of, trained_graph

ONE = {"refit": True, "epochs": 0}
SEVERAL = ("gru", "attention of heads, crossed", "residual block", "transformer block", "lenet")


def parts(conversion: sw.Conversion) -> list[tuple[str, str | None, tuple[str, ...]]]:
    """Targets, populations and fitted layers of a conversion."""
    network = RoundedNetwork(trained_graph(conversion), sites_of(conversion, 0.001), STEPS)
    return [(part.target, part.site, part.fitted) for part in refitting.parts_of(network)]


def spiking(model: nn.Module, x: Any) -> sw.Conversion:
    """A conversion to neurons that take spikes back."""
    return sw.convert(
        model.eval(),
        spiking={"relu": sw.BipolarIntegrateAndFire()},
        example_input=x[:1],
        scale_firing_rates=sw.MinimumError(STEPS, spikes_per_step=1),
        calibration=x,
    )


def graph_arrays(graph: Graph) -> dict[str, Any]:
    """All arrays, by node and field."""
    return {f"{n.name}.{f}": a for n in graph for f, a in n.layer.arrays().items()}


def test_a_layer_has_the_weights_of_least_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a ridge they are those of `numpy.linalg.lstsq`, of what the first layer has sent."""
    monkeypatch.setattr(refitting, "_RIDGE", 0.0)
    monkeypatch.setattr(refitting, "_ITERATIONS", 60)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    x = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
    before = spiking(model, x)
    after = trained(before, x, trainable=("weights", "biases"), validation=0.0, **ONE).conversion
    # what the first layer sends with its weights of now
    sent = after.run(x, steps=STEPS, progress=False).layer_means()["1 ReLU"]
    read = np.concatenate([sent, np.ones((len(x), 1))], axis=1)
    wanted = evaluate_all(before.canonical, {next(iter(before.graph.inputs)): x})["2 Linear"]
    best, *_ = np.linalg.lstsq(read, wanted, rcond=None)
    layer = after.graph["2 Linear"].layer
    found = np.concatenate([layer.weight.T, layer.bias[None]])
    np.testing.assert_allclose(read @ found, read @ best, atol=2e-3)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """The weighted squares of every part that is fitted, before and after."""
    found: list[list[float]] = []
    solve = refitting._Problem.solve

    def watched(problem: Any) -> None:
        found.append([squares(problem)])
        solve(problem)
        with torch.no_grad():
            problem._arrays = problem._network.weights()
        found[-1].append(squares(problem))

    monkeypatch.setattr(refitting._Problem, "solve", watched)
    return found


def squares(problem: Any) -> float:
    """The sum of a part's weighted squares."""
    with torch.no_grad():
        aparts = [problem._values(b, {})[problem._part.target] - b.wanted for b in problem._batches]
    pairs = zip(problem._batches, aparts, strict=True)
    return sum(float((b.counting * apart.square()).sum()) for b, apart in pairs)


@pytest.mark.slow
def test_every_current_comes_nearer(digits: tuple[Any, Any], found: list[list[float]]) -> None:
    """Of each part the squared distance from the source's values falls, as they are counted.

    So does the loss on samples that nobody fitted to.
    """
    torch.manual_seed(0)
    x = digits[0][:200]
    done = trained(spiking(Residual(), x), x, **ONE)
    assert done.history == () and done.kept == 0 and done.refitted.kept
    assert done.refitted.after.loss < done.refitted.before.loss
    (first, same), *others = found
    assert same == pytest.approx(first, abs=1e-6)  # its input is the source's
    assert len(others) == 2 and all(after < 0.95 * before for before, after in others)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEVERAL)
def test_of_no_model_a_current_goes_away(name: str, found: list[list[float]]) -> None:
    """Whatever the layers: no part is further from the source's values than it was."""
    model = MODELS[name]
    conversion = sw.convert(model.of_torch(), spiking=True, example_input=model.example())
    x = dict(zip(conversion.graph.inputs, map(model.moved, model.inputs()), strict=True))
    done = trained(conversion, x, steps=4, validation=0.0, batch_size=2, **ONE)
    assert found
    assert all(after <= before * (1 + 1e-4) + 1e-9 for before, after in found)
    arrays = graph_arrays(done.conversion.graph).values()
    assert all(np.isfinite(array).all() for array in arrays)


def test_where_the_loss_rises_weights_stay(
    conversion: sw.Conversion, digits: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights with a larger loss on samples held back are not kept: those before come back."""

    def worse(judge: Any, *how: Any) -> None:
        with torch.no_grad():
            for weight in judge.network.arrays.group("weights"):
                weight.zero_()

    monkeypatch.setattr("spikewright.training.gradients.fitting.refit", worse)
    done = trained(conversion, digits[0][:300], **ONE)
    assert not done.refitted.kept
    assert not moved_arrays(conversion.graph, done.conversion.graph)


class Residual(nn.Module):
    """A block with a shortcut that has weights, behind a layer that is read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.norm = nn.BatchNorm2d(4)
        self.short = nn.Conv2d(4, 4, 1)
        self.last = nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.first(x))
        x = torch.relu(self.norm(self.second(x)) + self.short(x))
        return self.last(x.mean((2, 3)))


def test_weights_alone_change_and_pruned_ones_stay(digits: tuple[Any, Any]) -> None:
    """With `trainable="weights"`, and of weights those that are not zero.

    So joules, which are counted by weights that are not zero, are what they were said to be.
    """
    x = digits[0][:300].reshape(300, -1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10))
    with torch.no_grad():
        for layer in (model[0], model[2]):
            layer.weight.mul_(torch.rand_like(layer.weight) < 0.5)
    before = spiking(model, x)
    after = graph_arrays(trained(before, x, trainable="weights", **ONE).conversion.graph)
    changed = 0
    for name, array in graph_arrays(before.graph).items():
        assert name.endswith(".weight") or np.array_equal(after[name], array)
        np.testing.assert_array_equal(after[name][array == 0], 0.0)
        changed += int((after[name] != array).sum())
    assert changed


@pytest.mark.slow
def test_epochs_go_on_from_there_and_files_know_it(
    conversion: sw.Conversion, digits: tuple[Any, Any], tmp_path: Any
) -> None:
    """The best of it and the epochs behind it is kept; resumed, a training comes to the same."""
    how = {"refit": True, "epochs": 2, "checkpoint": tmp_path / "state"}
    once, again = (trained(conversion, digits[0][:200], **how) for _ in range(2))
    judged = [once.refitted.after, *(epoch.held_back for epoch in once.history)]
    assert judged[once.kept].loss == min(one.loss for one in judged)
    assert again.refitted == once.refitted
    assert not moved_arrays(once.conversion.graph, again.conversion.graph)


def test_layers_that_add_up_are_fitted_together(digits: tuple[Any, Any]) -> None:
    """All weights nearest to a current are one part's; every layer is of one part alone."""
    torch.manual_seed(0)
    x = digits[0][:50]
    found = parts(spiking(Residual(), x))
    assert [len(fitted) for _, _, fitted in found] == [1, 2, 1]
    assert [site is None for _, site, _ in found] == [False, False, True]
    every = [name for _, _, fitted in found for name in fitted]
    assert len(every) == len(set(every))


def test_shared_weights_stay() -> None:
    """Weights that two layers share are not fitted; those of one layer alone are."""
    torch.manual_seed(0)
    model = Twice()
    x = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    before = spiking(model, x)
    after = trained(before, x, validation=0.0, **ONE).conversion
    assert moved_arrays(before.graph, after.graph) == {("last", "weight"), ("last", "bias")}


def test_what_it_needs_is_said(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """Weights that stay, an answer that is no truth, and no epochs without it."""
    x = digits[0][:50]
    with pytest.raises(TrainingError, match='name "weights" in trainable'):
        trained(conversion, x, refit=True, trainable="biases")
    with pytest.raises(TrainingError, match="refit must be True or False, got 1"):
        trained(conversion, x, refit=1)
    wanted = "epochs must be a whole number from 1, or 0 with refit=True, got"
    with pytest.raises(TrainingError, match=f"{wanted} 0"):
        trained(conversion, x, epochs=0)
    with pytest.raises(TrainingError, match=f"{wanted} -1"):
        trained(conversion, x, refit=True, epochs=-1)
