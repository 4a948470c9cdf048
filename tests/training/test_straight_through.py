"""Laws of the rounded network: it is the spiking one, and its gradient is that of held rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import spikewright as sw
from spikewright.training.gradients.spiking import spike_counts
from spikewright.training.gradients.straight_through import LearnedQuantizer, StraightThroughNetwork
from spikewright.training.quantized_layers import QuantizedLayer, quantized_layers_of, trained_graph

DT = 0.001


class Residual(nn.Module):
    """`relu(conv(x) + x)`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Any) -> Any:
        return torch.relu(self.norm(self.conv(x)) + x)


def dense() -> nn.Module:
    """Three layers."""
    return nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 9), nn.ReLU(), nn.Linear(9, 4))


def convolutional(pool: nn.Module) -> nn.Module:
    """Normalised convolutions, pooled, and a shortcut."""
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), pool, Residual(6),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4),
    )  # fmt: skip


FAMILIES = {
    "dense": (dense, (12,)),
    "averages": (lambda: convolutional(nn.AvgPool2d(2)), (2, 8, 8)),
    "maxima": (lambda: convolutional(nn.MaxPool2d(2)), (2, 8, 8)),
}


def converted(family: str, seed: int, steps: int) -> tuple[sw.Conversion, NDArray]:
    """A random network whose neurons take spikes back, with heights a channel, and input."""
    make, shape = FAMILIES[family]
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    model = make().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.3)
            module.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.3)
    x = rng.normal(size=(5, *shape)).astype(np.float32)
    conversion = sw.convert(
        model,
        spiking={"relu": sw.BipolarIntegrateAndFire()},
        example_input=torch.from_numpy(x[:1]),
        scale_firing_rates=sw.MinimumError(steps, spikes_per_step=1),
        calibration=x,
    )
    return conversion, x


def with_a_scale_for_every_neuron(conversion: sw.Conversion) -> sw.Conversion:
    """The conversion with the scale of each neuron of its own, up to a half more or less."""
    rng = np.random.default_rng(5)
    scales = {
        name: ensemble.rate_scale * rng.uniform(0.5, 1.5, ensemble.shape)
        for name, ensemble in conversion.populations().items()
    }
    return conversion.replace(scale_firing_rates=scales, calibration=None)


def rounded(conversion: sw.Conversion, steps: int) -> StraightThroughNetwork:
    """The rounded network of a conversion, float64."""
    quantized = quantized_layers_of(conversion, DT)
    return StraightThroughNetwork(trained_graph(conversion), quantized, steps, torch.float64)


def tensors(conversion: sw.Conversion, x: NDArray) -> dict[str, Any]:
    """The input of a rounded network."""
    return {conversion.graph.inputs[0]: torch.from_numpy(x.astype(np.float64))}


def reference(conversion: sw.Conversion, x: NDArray, steps: int) -> Any:
    """A run of the reference engine in float64."""
    return conversion.run(
        x, steps=steps, dt=DT, engine="reference", precision="float64", progress=False
    )


def biases_of_steps(conversion: sw.Conversion, number: int) -> dict[str, NDArray]:
    """Biases of that many steps, of each neuron."""
    rng = np.random.default_rng(number)
    layers = conversion.populations().items()
    return {name: rng.normal(0.0, 0.2, (number, *e.shape)) for name, e in layers}


@pytest.mark.parametrize(
    ("family", "steps", "own"),
    [("dense", 1, False), ("dense", 7, True), ("averages", 2, True), ("maxima", 4, False)],
)
def test_the_rounded_network_has_the_counts_of_the_spiking_one(
    family: str, steps: int, own: bool
) -> None:
    """After T steps every neuron has sent what its rounding says, whoever shares a threshold.

    Biases of each step, fewer or more than there are steps, are part of the current.
    """
    conversion, x = converted(family, 0, steps)
    plain = with_a_scale_for_every_neuron(conversion) if own else conversion
    biases = biases_of_steps(plain, steps + 2)
    found = []
    for made in (plain, plain.replace(bias_correction=biases)):
        values, counts = rounded(made, steps)(tensors(made, x))
        run = reference(made, x, steps)
        for name, means in run.layer_means().items():
            net = means * steps * made.populations()[name].rate_scale * DT
            found.append(counts[name].detach().numpy())
            assert found[-1].any()
            np.testing.assert_allclose(found[-1], net, atol=1e-9)
        (output,) = made.graph.outputs.values()
        np.testing.assert_allclose(values[output].detach().numpy(), run.predict("mean"), atol=1e-9)
    half = len(found) // 2
    assert any(not np.array_equal(*pair) for pair in zip(found[:half], found[half:], strict=True))


KINDS = [
    sw.BipolarIntegrateAndFire(), sw.IntegrateAndFire(),
    sw.BipolarIntegrateAndFire(spike_heights=(3, 2)),
    sw.BipolarIntegrateAndFire.in_steps(2, 3),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "family", "cap", "own", "biased"),
    [
        (KINDS[0], "averages", 1, False, None),
        (KINDS[0], "dense", None, True, 7),
        (KINDS[0], "maxima", 2, True, 2),
        (KINDS[1], "dense", None, False, 5),
        (KINDS[2], "averages", 1, True, 7),
        (KINDS[3], "maxima", 1, False, None),
    ],
)
def test_steps_without_gradient_are_those_of_the_spiking_network(
    kind: Any, family: str, cap: int | None, own: bool, biased: int | None
) -> None:
    """Neurons of any type and threshold, with caps too, send what the reference engine's send.

    So they do with biases of the first steps alone, of all steps, and of more.
    """
    steps = 5
    conversion, x = converted(family, 3, steps)
    conversion = with_a_scale_for_every_neuron(conversion) if own else conversion
    biases = None if biased is None else biases_of_steps(conversion, biased)
    conversion = conversion.replace(
        spiking={"relu": kind}, max_spikes_per_step=cap, bias_correction=biases
    )
    found = spike_counts(rounded(conversion, steps), tensors(conversion, x))
    for name, population in reference(conversion, x, steps).populations.items():
        assert population.totals.any()
        np.testing.assert_array_equal(found.all[name].numpy(), population.totals)


def _deep(seed: int) -> tuple[sw.Conversion, NDArray]:
    """Six layers of neurons that send one spike a step at most, and input."""
    torch.manual_seed(seed)
    layers = [part for _ in range(6) for part in (nn.Linear(16, 16), nn.ReLU())]
    for layer in layers[::2]:
        nn.init.normal_(layer.weight, 0.0, 0.4)
    x = np.random.default_rng(seed).normal(size=(100, 16)).astype(np.float32)
    conversion = sw.convert(
        nn.Sequential(*layers, nn.Linear(16, 4)),
        example_input=x[:1],
        spiking={"relu": sw.BipolarIntegrateAndFire()},
        max_spikes_per_step=1,
    )
    return conversion, x


@pytest.mark.parametrize("trainable", [("weights",), ("weights", "initial_voltage")])
def test_under_a_cap_training_begins_no_farther_from_the_source(trainable: tuple[str, ...]) -> None:
    """Than plain thresholds; starts are corrected where they may change and where that helps."""
    gains = []
    for seed in range(2):
        conversion, x = _deep(seed)
        plain = conversion.replace(scale_firing_rates=sw.MinimumError(4), calibration=x)
        trained = conversion.train(
            x, steps=4, epochs=1, learning_rate=1e-12, trainable=trainable, validation=0.0,
            progress=False,
        ).conversion  # fmt: skip
        source = conversion.replace(spiking=False, max_spikes_per_step=None)
        (wanted,) = source.run(x, steps=1, progress=False).raw.values()
        far, near = (
            float(((raw.mean(axis=1) - wanted[:, 0]) ** 2).mean())
            for c in (plain, trained)
            for raw in c.run(x, steps=4, progress=False).raw.values()
        )
        assert near <= far * (1 + 1e-6)
        gains.append(near < far)
        if "initial_voltage" not in trainable:
            assert trained.resolved["initial_voltage"] == plain.resolved["initial_voltage"]
    assert any(gains) or "initial_voltage" not in trainable


def test_threads_share_samples_and_change_no_count() -> None:
    """Of many samples, each thread's are together what one thread's are; their number stays."""
    conversion, x = converted("averages", 3, 4)
    network, many = rounded(conversion, 4), np.concatenate([x + 0.01 * i for i in range(20)])
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(spike_counts(network, tensors(conversion, many)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for name, counts in found[0].net.items():
        assert torch.equal(counts, found[1].net[name])
        assert torch.equal(found[0].all[name], found[1].all[name])
        assert counts.abs().sum() > 0


@pytest.mark.parametrize("family", ["dense", "averages"])
def test_gradients_are_those_of_held_rounding(family: str, monkeypatch: Any) -> None:
    """In `floor(u) = u + r` r is held: finite differences of that network are the gradients.

    Not of maxima: of two values that are rounded to one, either may be passed on.
    """
    conversion, x = converted(family, 5, 3)
    network, given = rounded(conversion, 3), tensors(conversion, x)
    arrays = [*network.arrays.group("weights"), *network.arrays.group("biases")]
    roundings = network.roundings.values()
    free = [p.requires_grad_() for p in (*arrays, *(r.logarithm for r in roundings))]
    (output,) = conversion.graph.outputs.values()
    torch.manual_seed(1)
    direction = torch.randn_like(network(given)[0][output])
    (network(given)[0][output] * direction).sum().backward()
    rests: dict[LearnedQuantizer, Any] = {}

    def charge(rounding: LearnedQuantizer, value: Any, spike_counts: Any = None) -> Any:
        u = value * (rounding.steps / rounding.threshold) + rounding.start
        n = u + rests.setdefault(rounding, torch.floor(u) - u)
        return n * rounding.threshold / rounding.steps, n

    monkeypatch.setattr(LearnedQuantizer, "forward", charge)

    def moved(size: float) -> float:
        for p, move in zip(free, moves, strict=True):
            p.add_(move, alpha=size)
        value = float((network(given)[0][output] * direction).sum())
        for p, move in zip(free, moves, strict=True):
            p.sub_(move, alpha=size)
        return value

    moves = [torch.randn_like(p) for p in free]
    expected = sum(float((p.grad * m).sum()) for p, m in zip(free, moves, strict=True))
    with torch.no_grad():
        network(given)
        found = (moved(1e-6) - moved(-1e-6)) / 2e-6
    assert all(p.grad.abs().sum() > 0 for p in free)
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("cap", "shape", "replaced"),
    [(None, (), False), (None, (3, 1), False), (1, (3, 1), False), (1, (), True)],
)
def test_rounding_in_one_operation_is_that_in_many(
    cap: int | None, shape: tuple[int, ...], replaced: bool
) -> None:
    """Values, counts and gradients are those of the equation as it is written, step by step.

    With one threshold and one a channel, with losses of values and of counts, and with counts
    that neurons sent in truth in the place of those that were rounded.
    """
    rng = np.random.default_rng(3)
    kind = sw.BipolarIntegrateAndFire(max_spikes_per_step=cap)
    starts = rng.uniform(0.2, 0.8, shape)
    layer = QuantizedLayer(rng.uniform(0.5, 1.5, shape), starts, kind)
    rounding = LearnedQuantizer(layer, 4, torch.float64)
    value = torch.from_numpy(rng.normal(0.0, 2.0, (5, 3, 7))).requires_grad_()
    weights = torch.from_numpy(rng.normal(size=(2, 5, 3, 7)))
    spike_counts = (
        torch.from_numpy(rng.integers(-2, 5, (5, 3, 7)).astype(float)) if replaced else None
    )

    def written() -> Any:
        u = value * (4 / rounding.threshold) + rounding.start
        n = u + (torch.floor(u) - u).detach()
        if cap is not None:
            n = torch.where(n.abs() > 4 * cap, n.sign().detach() * 4 * cap, n)
        n = n if spike_counts is None else n + (spike_counts - n).detach()
        return n * rounding.threshold / 4, n

    inputs = (value, rounding.logarithm, rounding.start)
    for used in ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0)):
        found = []
        for made in (rounding(value, spike_counts), written()):
            loss = sum(u * (w * part).sum() for u, w, part in zip(used, weights, made, strict=True))
            found.append((*made, *torch.autograd.grad(loss, inputs)))
        for one, other in zip(*found, strict=True):
            np.testing.assert_allclose(one.detach(), other.detach(), rtol=1e-10, atol=1e-12)
    assert cap is None or replaced or (written()[1].abs() == 4 * cap).float().mean() > 0.1


@pytest.mark.parametrize(("cap", "start"), [(None, -0.7), (1, -1e-3), (None, 0.0), (1, 0.4)])
def test_what_takes_no_spikes_back_sends_none_below_zero(cap: int | None, start: float) -> None:
    """Whatever the start: counts are those of the neuron, and silent neurons stay silent."""
    kind = sw.IntegrateAndFire(max_spikes_per_step=cap)
    current = np.array([0.0, 0.03, 0.4, 1.7, 6.0])
    with sw.Network(seed=0) as network:
        neurons = sw.Ensemble(5, neuron_type=kind, gain=1.0, bias=0.0, initial_voltage=start)
        sw.Connection(sw.Node(1000.0 * current), neurons.neurons, None)
        probe = sw.Probe(neurons.neurons)
    with sw.Simulator(network, engine="reference", progress=False) as sim:
        sim.run_steps(4)
        spike_counts = sim.data[probe].sum(axis=0) / 1000.0
    layer = QuantizedLayer(np.asarray(1.0), np.asarray(start), kind)
    _, counts = LearnedQuantizer(layer, 4, torch.float64)(torch.from_numpy(current[None]))
    np.testing.assert_array_equal(counts[0].detach(), spike_counts)
    assert counts[0, 0] == 0


@pytest.mark.parametrize("first", [-0.7, 0.0, 0.3, 1.4])
def test_starts_stay_where_silent_neurons_stay_silent(first: float) -> None:
    """From 0 to below 1, for those that were there; others may go on to where they began."""
    layer = QuantizedLayer(np.asarray(1.0), np.full(3, first), sw.BipolarIntegrateAndFire())
    rounding = LearnedQuantizer(layer, 4, torch.float32)
    with torch.no_grad():
        rounding.start.copy_(torch.tensor([-2.0, first, 2.0]))
    rounding.bring_back()
    low, middle, high = rounding.start.tolist()
    assert (low, high) == pytest.approx((min(first, 0.0), max(first, 1.0)), abs=1e-4)
    assert middle == pytest.approx(first)
    _, counts = rounding(torch.zeros(1, 3))
    assert first < 0 or first > 1 or not counts.any()
