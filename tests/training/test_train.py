"""`Conversion.train`: a better network for few steps, the same for a seed, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import spikewright as sw
from spikewright.errors import SimulationError, TrainingError
from spikewright.graph.layers import BatchNormalization
from spikewright.training.gradients.rounded import RoundedNetwork
from spikewright.training.sites import sites_of, trained_graph

STEPS = 2


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any]:
    """A thousand small digits and their labels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.images[:1000] / 16.0).astype(np.float32)[:, None], found.target[:1000]


@pytest.fixture(scope="module")
def conversion(digits: tuple[Any, Any]) -> sw.Conversion:
    """A small trained network with batch normalisation; its neurons take spikes back."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(8 * 16, 24), nn.ReLU(), nn.Linear(24, 10),
    )  # fmt: skip
    x, y = (torch.from_numpy(values) for values in digits)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(4):
        for part in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[part]), y[part]).backward()
            optimiser.step()
    return sw.convert(
        model.eval(), spiking={"relu": sw.BipolarIntegrateAndFire()}, example_input=x[:1]
    )


def trained(conversion: sw.Conversion, x: Any, y: Any = None, **how: Any) -> Any:
    """A short training."""
    usual = {"steps": STEPS, "epochs": 3, "learning_rate": 2e-3, "progress": False}
    return conversion.train(x, y, **{**usual, **how})


@pytest.mark.parametrize(
    ("method", "cap", "share"),
    [("rounding", None, 0.5), ("auto", None, 0.5), ("time", 1, 0.97), ("auto", 1, 0.97)],
)
def test_outputs_come_closer_to_the_source(
    conversion: sw.Conversion, digits: tuple[Any, Any], method: str, cap: int | None, share: float
) -> None:
    """Without labels: on samples that it never saw, the trained network is nearer to its source.

    In two steps of one spike there is little room: a value is one of three.
    """
    x = digits[0]
    before = conversion.again(max_spikes_per_step=cap)
    after = trained(before, x[:800], method=method, epochs=12, learning_rate=5e-3).conversion
    rule = sw.MinimumError(STEPS, spikes_per_step=1)
    chosen = before.again(scale_firing_rates=rule, calibration=x[:500])
    (wanted,) = conversion.source.call({conversion.graph.inputs[0]: x[800:]}).values()
    gaps = [
        np.square(c.run(x[800:], steps=STEPS, progress=False).predict("mean") - wanted).mean()
        for c in (chosen, after)
    ]
    assert gaps[1] < share * gaps[0]


def test_the_result_is_a_conversion_with_the_counts_that_were_trained(
    conversion: sw.Conversion, digits: tuple[Any, Any], tmp_path: Any
) -> None:
    """It runs, is saved and loaded, and sends what the rounded network of its graph says."""
    result = trained(conversion, digits[0][:200], epochs=1)
    made = result.conversion
    made.save(tmp_path / "trained.sw")
    loaded = sw.load(tmp_path / "trained.sw")
    x = digits[0][:20]
    network = RoundedNetwork(trained_graph(made), sites_of(made, 0.001), STEPS, torch.float64)
    _, counts = network({made.graph.inputs[0]: torch.from_numpy(x.astype(np.float64))})
    runs = [c.run(x, steps=STEPS, precision="float64", progress=False) for c in (made, loaded)]
    for name, means in runs[0].layer_means().items():
        expected = counts[name] * network.roundings[name].height()
        np.testing.assert_allclose(means, expected.detach().numpy(), atol=1e-6)
        np.testing.assert_array_equal(means, runs[1].layer_means()[name])


def test_normalisation_stays_what_it_was(
    conversion: sw.Conversion, digits: tuple[Any, Any]
) -> None:
    """Its factors are trained, its statistics are not, and nothing is folded."""
    graph = trained(conversion, digits[0][:200], epochs=1, validation=0.0).conversion.graph
    for before in conversion.graph:
        if isinstance(before.layer, BatchNormalization):
            after: Any = graph[before.name].layer
            np.testing.assert_array_equal(after.mean, before.layer.mean)
            np.testing.assert_array_equal(after.variance, before.layer.variance)
            assert np.any(after.gamma != before.layer.gamma)
            return
    raise AssertionError("the network has no normalisation")


@pytest.mark.parametrize("group", ["weights", "biases", "scales", "initial_voltage"])
def test_only_what_is_named_is_trained(
    conversion: sw.Conversion, digits: tuple[Any, Any], group: str
) -> None:
    """Every other group stays as it was, to the last bit."""
    how = {"epochs": 1, "validation": 0.0, "trainable": (group,)}
    made = trained(conversion, digits[0][:200], **how).conversion
    changed = set()
    for before in conversion.graph:
        after = made.graph[before.name].layer.arrays()
        for name, array in before.layer.arrays().items():
            if not np.array_equal(after[name], array):
                changed.add("weights" if name in ("weight", "gamma") else "biases")
    rule = sw.MinimumError(STEPS, spikes_per_step=1)
    chosen = conversion.again(scale_firing_rates=rule, calibration=digits[0][:200])
    for name, ensemble in chosen.populations().items():
        if not np.allclose(made.populations()[name].rate_scale, ensemble.rate_scale, rtol=1e-6):
            changed.add("scales")
    if made.arguments["initial_voltage"] != "half":
        changed.add("initial_voltage")
    assert changed == {group}


def test_equal_arguments_give_equal_weights(
    conversion: sw.Conversion, digits: tuple[Any, Any]
) -> None:
    """For a seed, to the last bit; another seed gives another network."""

    def weights(seed: int) -> list[Any]:
        graph = trained(conversion, digits[0][:200], seed=seed, epochs=1).conversion.graph
        return [a for node in graph for a in node.layer.arrays().values()]

    first, second, other = weights(3), weights(3), weights(4)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_labels_and_batches_of_the_users_own(
    conversion: sw.Conversion, digits: tuple[Any, Any]
) -> None:
    """A DataLoader of pairs trains on labels; `{name: array}` is the array."""
    x, y = (torch.from_numpy(values[:128]) for values in digits)
    loader = DataLoader(TensorDataset(x, y), batch_size=32)
    history = trained(conversion, loader, epochs=2).history
    assert history[1].loss < history[0].loss
    assert history[0].held_back is None
    name = conversion.graph.inputs[0]
    named = trained(conversion, {name: x.numpy()}, y.numpy(), epochs=1)
    assert named.history[0].held_back.accuracy is not None


def test_a_timeout_ends_a_training(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """Of very many epochs only some are done, and the result is whole."""
    history = trained(conversion, digits[0], epochs=10_000, timeout=1.0).history
    assert 1 <= len(history) < 1000


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"steps": 0}, "steps must be a whole number from 1, got 0"),
        ({"epochs": 1.5}, "epochs must be a whole number from 1, got 1.5"),
        ({"learning_rate": -1.0}, "learning_rate must be a number above 0, got -1.0"),
        ({"timeout": 0}, "timeout must be seconds above 0 or None, got 0"),
        ({"validation": 1.0}, "validation must be a share of the samples"),
        ({"spikes": -5}, "spikes must be a number of spikes a sample above 0, or None, got -5"),
        ({"spikes": 5, "validation": 0.0}, "spikes: a budget is measured on samples"),
        ({"method": "magic"}, "method must be one of .*got 'magic'"),
        ({"trainable": ("weight",)}, "trainable must name some of"),
        ({"trainable": ()}, "trainable must name some of"),
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
        trained(conversion.again(**changes), digits[0][:200])


def test_data_that_does_not_fit(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """Labels out of range, NaN and a generator at its end."""
    x, y = digits
    with pytest.raises(SimulationError, match="labels of output"):
        trained(conversion, x[:50], y[:50] + 7)
    with pytest.raises(SimulationError, match="NaN"):
        trained(conversion, np.full_like(x[:50], np.nan))
    with pytest.raises(TrainingError, match="epoch 2: x gave no batch"):
        trained(conversion, (batch for batch in [x[:50], x[50:100]]), epochs=2)


@pytest.mark.parametrize("share", [0.2, 0.5])
@pytest.mark.parametrize("cap", [None, 1])
def test_a_budget_asked_is_a_budget_met(
    conversion: sw.Conversion, digits: tuple[Any, Any], cap: int | None, share: float
) -> None:
    """Between 90 and 100 % of it is sent on what is held back, and about as much on new samples."""
    x, before = digits[0], conversion.again(max_spikes_per_step=cap)
    free = trained(before, x[:800], epochs=1).history[-1].held_back.spikes
    budget = share * free
    made = trained(before, x[:800], spikes=budget, epochs=6).conversion
    run = made.run(x[800:], steps=STEPS, progress=False)
    sent = sum(counts.mean() for counts in run.spike_counts().values())
    assert 0.85 * budget <= sent <= 1.05 * budget
    answers = run.predict().argmax(axis=1)
    (wanted,) = conversion.source.call({conversion.graph.inputs[0]: x[800:]}).values()
    assert (answers == wanted.argmax(axis=1)).mean() > 0.6
