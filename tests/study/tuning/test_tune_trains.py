"""`sw.tune(train=...)`: the best setting, trained for a part of its cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sklearn.datasets import load_digits

import spikewright as sw
from spikewright.cli import main
from spikewright.errors import TrainingError, TuningError
from spikewright.study.point import Minimise
from spikewright.study.search import fine_tuning
from spikewright.study.search.measurement import Measurement

SPACE = {"steps": [2], "synapse": None, "max_spikes_per_step": 1, "neuron": "bipolar"}
FEW: dict[str, Any] = {"space": SPACE, "trials": 6, "timeout": 6000.0, "max_drop": 0.08}


@pytest.fixture(scope="module", autouse=True)
def few_updates() -> Iterator[None]:
    """Short trainings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fine_tuning, "_UPDATES", 700)
        yield


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Digits from 0 to 1 and their labels."""
    data = load_digits()
    return (data.images.reshape(-1, 64) / 16).astype(np.float32), data.target


def network() -> torch.nn.Module:
    """A network that tells some digits apart."""
    torch.manual_seed(0)
    x, y = map(torch.tensor, digits())
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(x[:1000]), y[:1000]).backward()
        optimiser.step()
    return model


@pytest.fixture(scope="module")
def choices() -> tuple[sw.results.StudyResult, sw.results.StudyResult]:
    """The same search without training and with it; its samples are none of the model's."""
    model, (x, y) = network(), digits()
    given = {**FEW, "progress": False, "example_input": x[:1]}
    plain = sw.tune(model, x[1000:], y[1000:], **given)
    return plain, sw.tune(model, x[1000:], y[1000:], **given, train=(x[:1000], y[:1000]))


def test_a_trained_setting_costs_less_and_holds_the_limit(
    choices: tuple[sw.results.StudyResult, sw.results.StudyResult],
) -> None:
    """For the same limit on the same held-back samples fewer spikes than the search alone found."""
    plain, trained = choices

    assert trained.best.training is not None
    assert plain.best.training is None
    assert trained.best.lost <= trained.limit
    assert trained.best.spikes < 0.8 * plain.best.spikes
    assert trained.best.n == plain.best.n


def test_its_arguments_go_with_the_weights_that_go_home(
    choices: tuple[sw.results.StudyResult, sw.results.StudyResult],
) -> None:
    """The written-back model, converted with the choice's arguments, sends the same spikes."""
    best = choices[1].best
    model, (x, _) = network(), digits()
    best.training.write_back(model)
    again = sw.convert(model, **best.arguments)

    counts = [
        n.run(x[1000:1100], **best.run, progress=False).spike_counts()
        for n in (again, best.training.conversion)
    ]
    assert all(np.array_equal(counts[0][name], counts[1][name]) for name in counts[0])
    assert sum(float(n.sum()) for n in counts[0].values()) > 0


def test_a_trained_choice_says_so(
    choices: tuple[sw.results.StudyResult, sw.results.StudyResult],
) -> None:
    """In words, as plain data, and in the call that gives the network."""
    plain, trained = choices

    assert "trained" in trained.conclusion
    assert all(len(repr(one)) < 100 for one in (trained, *trained.points))
    assert "trained" not in plain.conclusion
    assert trained.as_dict()["best"]["trained"] is True
    space: dict[str, Any] = {"result": trained, "x": digits()[0][:5]}
    exec(trained.call, space)
    assert space["conversion"] is trained.best.training.conversion


@pytest.mark.slow
@pytest.mark.parametrize("minimise", get_args(Minimise))
def test_every_cost_has_a_part(minimise: Any) -> None:
    """Whatever is minimised, a setting that was trained costs less than the cheapest that holds.

    True trains on the samples searched on.
    """
    model, (x, y) = network(), digits()
    space = {**SPACE, "steps": [2, 4]}
    found = sw.tune(
        model, x[1000:], y[1000:], **{**FEW, "space": space}, example_input=x[:1],
        minimise=minimise, train=True, progress=False,
    )  # fmt: skip
    every = found.points
    trained = [a for a in every if a.training is not None]
    cost = {"latency": "steps", "energy": "energy"}.get(minimise, "spikes")

    assert trained, found.facts["failures"]
    near = [getattr(a, cost) for a in trained if a.lost <= 0.08]
    others = [getattr(a, cost) for a in every if a.training is None and a.lost <= 0.08]
    assert near and all(min(near) < other for other in others)  # none where training beats all


def test_a_setting_that_training_refuses_is_counted_with_the_reason() -> None:
    """Synapses have no rounded network: nothing is trained, the search's own choice stands."""
    model, (x, y) = network(), digits()
    space = {**SPACE, "synapse": 0.002}
    found = sw.tune(
        model, x[1000:], y[1000:], **{**FEW, "space": space}, example_input=x[:1], train=True,
        progress=False,
    )  # fmt: skip

    assert found.best.training is None
    assert any(reason.startswith("not trained: ") for reason in found.facts["failures"])


def test_other_arguments_are_refused_before_the_search() -> None:
    """An array alone says nothing of what it is."""
    x, y = digits()
    with pytest.raises(TuningError, match=r"train is True, .* got ndarray"):
        sw.tune(network(), x, y, example_input=x[:1], train=x)


@pytest.mark.slow
@pytest.mark.parametrize("scales", ["scales", "neuron_scales"])
def test_weights_stay_where_they_are_not_named(scales: str, monkeypatch: Any) -> None:
    """Thresholds, biases and starts alone are fitted, for less than the search found.

    What was fitted stands in the list with smaller and larger scales, too, of other costs.
    """
    seen: list[Measurement] = []
    plain = fine_tuning.FineTuning.candidates

    def watched(self: Any, *given: Any) -> list[Measurement]:
        seen.extend(plain(self, *given))
        return seen

    monkeypatch.setattr(fine_tuning.FineTuning, "candidates", watched)
    model, (x, y) = network(), digits()
    found = sw.tune(
        model, x[1000:], y[1000:], **FEW, example_input=x[:1], train=(x[:1000], None),
        trainable=("biases", scales, "initial_voltage"), progress=False,
    )  # fmt: skip
    trained = [a for a in found.points if a.training is not None]

    assert trained
    for one in seen:
        state = one.training.source_state()
        for name, value in model.state_dict().items():
            same = np.array_equal(state[name], value.numpy()) if name in state else True
            assert same or name.endswith("bias"), name
    assert any("bias" in name for name in seen[0].training.source_state())
    for fit in {id(c.alike): c.alike for c in seen}.values():
        fitted, *others = [c for c in seen if c.alike is fit]
        assert fitted.training is fit
        assert len(others) == fine_tuning._SCALED  # there is time for all
        costs = [c.cost for c in others]
        assert costs == sorted(costs)
        assert costs[0] < fitted.cost < costs[-1]


@pytest.mark.parametrize("trainable", ["wieghts", (), ("scales", "theta")])
def test_what_no_training_changes_is_refused_before_the_search(trainable: Any) -> None:
    """The message has the names that there are."""
    x, y = digits()
    with pytest.raises(TrainingError, match=r"trainable must name some of \['weights', 'biases'"):
        sw.tune(network(), x, y, example_input=x[:1], train=True, trainable=trainable)


@pytest.mark.slow
def test_the_command_keeps_the_network_that_it_trained(tmp_path: Path) -> None:
    """`--train` needs a place; what is saved there sends what was promised."""
    x, y = digits()
    np.savez(tmp_path / "d.npz", x=x[1000:], y=y[1000:])
    path = str(tmp_path / "m.onnx")
    torch.onnx.export(
        network(), (torch.tensor(x[:1]),), path, dynamo=False,
        input_names=["x"], dynamic_axes={"x": {0: "n"}},
    )  # fmt: skip
    given = ["tune", path, "--data", str(tmp_path / "d.npz"), "--max-drop", "0.08", "--train",
             "--trials", "6", "--space", "steps=[2]", "--space", "max_spikes_per_step=1",
             "--space", "neuron=bipolar"]  # fmt: skip
    refused = CliRunner().invoke(main, given)
    assert refused.exit_code == 2
    assert "-o FILE" in refused.output
    unknown = CliRunner().invoke(main, [*given, "-o", "o.sw", "--trainable", "scales,theta"])
    assert unknown.exit_code == 2
    assert "trainable must name some of" in unknown.output

    out = tmp_path / "out.sw"
    found = CliRunner().invoke(main, [*given, "-o", str(out)])
    assert found.exit_code == 0, found.output
    assert f"sw.Conversion.load({str(out)!r})" in found.output
    saved = sw.Conversion.load(out)
    assert saved.run(x[1000:1010], steps=2, progress=False).spike_counts()


def test_digits_are_trained_for_all_of_their_steps() -> None:
    """A search with train=True trains digits without a limit of spikes, and no trial is refused."""
    model, (x, y) = network(), digits()
    found = sw.tune(
        model, x[:300], y[:300], max_drop=0.02, trials=3, timeout=10, progress=False,
        coding=sw.SignedDigits(2), train=True,
    )  # fmt: skip
    assert "not trained" not in str(found)
