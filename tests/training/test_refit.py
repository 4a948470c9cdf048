"""Weights fitted layer by layer, by least squares, before any epoch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from trainings import STEPS, Twice, learn, trained

sys.path.insert(0, str(Path(__file__).parents[1] / "frontends"))

from test_same_model import BLOCKS, MODELS, NETWORKS

import spikewright as sw
from spikewright.errors import TrainingError
from spikewright.graph import Graph, evaluate_all
from spikewright.training.gradients import refitting
from spikewright.training.gradients.least_squares import least
from spikewright.training.gradients.rounded import RoundedNetwork
from spikewright.training.sites import sites_of, trained_graph

ONE = {"refit": True, "epochs": 0}
SEVERAL = ("gru", "attention of heads", "attention of heads, crossed", *BLOCKS, *NETWORKS)


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


def test_the_lowest_point_of_a_quadratic_function() -> None:
    """Conjugate gradients come to the solution of A x = b in as many iterations as unknowns."""
    rng = np.random.default_rng(0)
    half = rng.normal(size=(6, 6))
    matrix, wanted = torch.tensor(half @ half.T + np.eye(6)), torch.tensor(rng.normal(size=6))
    place = ("layer", "weight")
    found = least(
        lambda x: {place: wanted - matrix @ x[place]}, {place: torch.zeros(6).double()}, 6
    )
    np.testing.assert_allclose(found[place], torch.linalg.solve(matrix, wanted), rtol=1e-8)


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
    """Of each part the squared distance from the source's values falls, as they are counted."""
    torch.manual_seed(0)
    x = digits[0][:100]
    trained(spiking(Residual(), x), x, validation=0.0, **ONE)
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


@pytest.mark.slow
def test_outputs_come_nearer(digits: tuple[Any, Any]) -> None:
    """Of a trained network of several layers they do so on samples that nobody fitted to."""
    torch.manual_seed(0)
    layers = [part for _ in range(3) for part in (nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())]
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), *layers, nn.AvgPool2d(4), nn.Flatten(),
        nn.Linear(32, 10),
    )  # fmt: skip
    before = spiking(learn(model, digits, 5), digits[0]).again(max_spikes_per_step=1)
    done = trained(before, digits[0], thresholds="kept", **ONE)
    assert done.history == () and done.kept == 0 and done.refitted.kept
    assert done.refitted.after.loss < 0.85 * done.refitted.before.loss


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
    for node in conversion.graph:
        for field, array in node.layer.arrays().items():
            after = done.conversion.graph[node.name].layer.arrays()[field]
            np.testing.assert_array_equal(after, array)


@pytest.mark.slow
def test_epochs_go_on_from_there(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """Epochs behind it begin with its weights: the best one is no worse than it."""
    done = trained(conversion, digits[0][:400], refit=True, epochs=2)
    best = min([done.refitted.after.loss, *(e.held_back.loss for e in done.history)])
    kept = done.refitted.after if not done.kept else done.history[done.kept - 1].held_back
    assert kept.loss == best


def test_pruned_weights_stay_zero(digits: tuple[Any, Any]) -> None:
    """Least squares change weights that are not zero alone."""
    x = digits[0][:300].reshape(300, -1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10))
    with torch.no_grad():
        for layer in (model[0], model[2]):
            layer.weight.mul_(torch.rand_like(layer.weight) < 0.5)
    before = spiking(model, x)
    after = trained(before, x, **ONE).conversion
    changed = 0
    for node in before.graph:
        weight = node.layer.arrays().get("weight")
        if weight is not None:
            now = after.graph[node.name].layer.arrays()["weight"]
            np.testing.assert_array_equal(now[weight == 0], 0.0)
            changed += int((now != weight).sum())
    assert changed


@pytest.mark.slow
def test_biases_stay_where_they_are_not_trained(
    conversion: sw.Conversion, digits: tuple[Any, Any]
) -> None:
    """With `trainable="weights"` weights alone change."""
    after = trained(conversion, digits[0][:300], trainable="weights", **ONE).conversion
    moved = {
        field
        for node in conversion.graph
        for field, array in node.layer.arrays().items()
        if not np.array_equal(array, after.graph[node.name].layer.arrays()[field])
    }
    assert moved == {"weight"}


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
    old, new = graph_arrays(before.graph), graph_arrays(after.graph)
    changed = {name for name, array in old.items() if not np.array_equal(array, new[name])}
    assert changed == {"last.weight", "last.bias"}


def test_what_it_needs_is_said(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """Weights that stay, an answer that is no truth, and no epochs without it."""
    x = digits[0][:50]
    with pytest.raises(TrainingError, match='name "weights" in trainable'):
        trained(conversion, x, refit=True, trainable="biases")
    with pytest.raises(TrainingError, match="refit must be True or False, got 1"):
        trained(conversion, x, refit=1)
    with pytest.raises(TrainingError, match="epochs must be a whole number from 1, got 0"):
        trained(conversion, x, epochs=0)
    with pytest.raises(TrainingError, match="whole number from 0 with refit, got -1"):
        trained(conversion, x, refit=True, epochs=-1)


@pytest.mark.slow
def test_a_resumed_training_has_its_weights(
    conversion: sw.Conversion, digits: tuple[Any, Any], tmp_path: Any
) -> None:
    """A training that goes on from its file knows what was fitted, and comes to the same."""
    how = {"refit": True, "epochs": 2, "checkpoint": tmp_path / "state"}
    once = trained(conversion, digits[0][:200], **how)
    again = trained(conversion, digits[0][:200], **how)
    assert again.refitted == once.refitted
    left, right = (graph_arrays(t.conversion.graph) for t in (once, again))
    assert all(np.array_equal(left[name], right[name]) for name in left)


@pytest.mark.slow
def test_weights_go_home(digits: tuple[Any, Any]) -> None:
    """A network with a normalisation, fitted, computes in its framework what the graph computes."""
    torch.manual_seed(0)
    model, x = Residual().eval(), digits[0][:80]
    done = trained(spiking(model, x), x, **ONE)
    done.write_back(model)
    with torch.no_grad():
        theirs = model(torch.from_numpy(x)).numpy()
    (name,) = done.conversion.graph.inputs
    ours = evaluate_all(done.conversion.graph, {name: x})[done.conversion.graph.outputs["output"]]
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
