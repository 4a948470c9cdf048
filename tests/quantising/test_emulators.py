"""Emulators of vendors, each in an environment of its own: spikes that are ours, or why not.

    python -m venv FOLDER/sinabs && FOLDER/sinabs/bin/pip install sinabs
    python -m venv FOLDER/xylosim && FOLDER/xylosim/bin/pip install xylosim numpy
    python -m venv FOLDER/nengo_loihi && FOLDER/nengo_loihi/bin/pip install nengo-loihi "numpy<2"
    SPIKEWRIGHT_EMULATORS=FOLDER pytest -m emulators

sinabs gives every spike of `for_chip("speck")` behind the first layer, and we give every spike of
what it makes whole itself. XyloSim does not give those of `for_chip("xylo_audio2")`, because its
neurons are no integrators: see `xylo`. nengo-loihi gives every spike of our neurons whose layers
hear each other a step later, up to what its currents keep of large charges: see `loihi`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from integers import DT, Population, convolution, dense, given
from numpy.typing import NDArray
from test_whole_networks import counts_of, whole

import spikewright as sw
from spikewright import chips
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input
from spikewright.quantising import bits_of
from vendors import made_by

STEPS = 24
CHILDREN = Path(__file__).with_name("emulators")
NAMES = ["relu0", "relu1", "relu2"]


def emulated(name: str, folder: Path, **arrays: Any) -> dict[str, NDArray]:
    """The arrays that an emulator makes of others."""
    return made_by(name, CHILDREN / f"in_{name}.py", folder, **arrays)


def on(graph: Graph, chip: str) -> tuple[sw.Conversion, NDArray]:
    """A conversion under a chip's bits that begins at zero, and its input."""
    x = given(graph)
    rule = sw.MinimumError(steps=8, spikes_per_step=1)
    plain = sw.convert(
        graph, spiking=True, scale_firing_rates=rule, calibration=x, initial_voltage="zero"
    )
    return plain.for_chip(chip), x


def convolutions(seed: int) -> Graph:
    """Three convolutions."""
    rng = np.random.default_rng(seed)
    nodes, last, inner = [GraphNode("x", Input((2, 8, 6)))], "x", 2
    for i, (channels, stride) in enumerate(((4, 1), (6, 2), (3, 1))):
        layer = convolution(rng, channels, inner, stride)
        nodes.append(GraphNode(f"conv{i}", layer, (last,)))
        nodes.append(GraphNode(f"relu{i}", Activation("relu"), (f"conv{i}",)))
        last, inner = f"relu{i}", channels
    return Graph(tuple(nodes), {"output": last})


@pytest.mark.emulators
@pytest.mark.parametrize("seed", range(3))
def test_speck_in_sinabs(seed: int, tmp_path: Path) -> None:
    """The neurons of sinabs send every spike of ours, from the same whole numbers."""
    conversion, x = on(convolutions(seed), "speck")
    found, scales = whole(conversion)
    theta = {name: 1.0 / (scale * DT).reshape(-1) for name, scale in scales.items()}
    arrays: dict[str, Any] = {"layers": 2, "discretise": False}
    for i in range(2):
        layer: Any = found.roles.graph[f"conv{i + 1}"].layer
        threshold = found.choices.types[f"relu{i + 1}"].threshold
        unit = theta[f"relu{i + 1}"] / float(threshold)
        charge = theta[f"relu{i}"][:, None, None] / unit[:, None, None, None]
        arrays[f"weight{i}"] = np.rint(layer.weight * charge)
        arrays[f"bias{i}"] = np.rint(layer.bias / unit)
        arrays[f"stride{i}"], arrays[f"threshold{i}"] = layer.stride[0], threshold
    counts = counts_of(conversion, x, "reference")
    sent = emulated("sinabs", tmp_path, spikes=counts["relu0"], **arrays)

    for i in range(2):
        np.testing.assert_array_equal(sent[f"spikes{i}"], counts[f"relu{i + 1}"])
    assert counts["relu2"].sum() > 50


def network(graph: Graph, numbers: dict[str, NDArray]) -> tuple[sw.Network, Any, list[Any]]:
    """Whole numbers of convolutions as a network, its input, and probes of its neurons.

    One whole number is a current of 1, and a spike is as high as its threshold.
    """
    with sw.Network() as net:
        stimulus: Any = sw.Node(np.zeros(int(np.prod(graph.shapes["x"]))))
        sender, height, probes = stimulus, 1.0, []
        for i in range(3):
            layer, shape = graph[f"conv{i}"].layer, graph.shapes[f"conv{i}"]
            before = graph.shapes[graph[f"conv{i}"].inputs[0]]
            weight, threshold = numbers[f"weight{i}"].astype(float), float(numbers[f"threshold{i}"])
            hot = np.eye(int(np.prod(before))).reshape(-1, *before)
            only_weights: Any = replace(layer, weight=weight, bias=None)  # type: ignore[call-arg]
            matrix = only_weights.evaluate(hot).reshape(len(hot), -1).T
            bias = np.repeat(numbers[f"bias{i}"], shape[1] * shape[2])
            kind = sw.FixedPointIntegrateAndFire(threshold, voltage_floor=1, state_bits=16)
            neurons = sw.Ensemble(
                bias.size, None, neuron_type=kind, gain=1.0, bias=bias, initial_voltage="zero",
                rate_scale=1.0 / (threshold * DT),
            ).neurons  # fmt: skip
            sw.Connection(sender, neurons, None, transform=matrix / height)
            probes.append(sw.Probe(neurons, "output"))
            sender, height = neurons, threshold
    return net, stimulus, probes


@pytest.mark.emulators
@pytest.mark.parametrize("seed", range(3))
def test_what_sinabs_discretises(seed: int, tmp_path: Path) -> None:
    """Our neurons send every spike of a network that sinabs has made whole."""
    graph, rng = convolutions(seed), np.random.default_rng(seed)
    spikes = rng.poisson(0.4, (2, STEPS, *graph.shapes["x"]))
    arrays: dict[str, Any] = {"layers": 3, "discretise": True}
    for i in range(3):
        layer: Any = graph[f"conv{i}"].layer
        arrays |= {f"weight{i}": layer.weight, f"bias{i}": layer.bias}
        arrays |= {f"stride{i}": layer.stride[0], f"threshold{i}": 1.0}
    sent = emulated("sinabs", tmp_path, spikes=spikes, **arrays)

    net, stimulus, probes = network(graph, sent)
    for sample in range(2):
        with sw.Simulator(net, DT, progress=False) as sim:
            sim.run_steps(STEPS, {stimulus: spikes[sample].reshape(STEPS, -1)})
        for i, probe in enumerate(probes):
            ours = np.rint(sim.data[probe] / float(sent[f"threshold{i}"]))
            np.testing.assert_array_equal(ours, sent[f"spikes{i}"][sample].reshape(STEPS, -1))
            assert ours.sum() > 20


def xylo(
    spikes: NDArray, layers: list[Population], current: int | None, leak: int, delay: bool
) -> list[NDArray]:
    """Spikes `(steps, n)` of dense layers: currents and voltages lose `v >> shift`, at least 1.

    With `current=None` a charge arrives in the step of its spike, and voltages lose nothing: ours.
    With `delay` layers hear each other a step later.
    """
    sent: list[NDArray] = []
    for p in layers:
        (matrix,) = p.matrices.values()
        flow = voltage = np.zeros(matrix.shape[1], np.int64)
        out = np.zeros((len(spikes), matrix.shape[1]), np.int64)
        for step, arrived in enumerate(spikes @ matrix):
            flow = arrived if current is None else _decayed(flow + arrived, current)
            voltage = voltage if current is None else _decayed(voltage, leak)
            voltage = voltage + flow + p.constant.reshape(-1)
            out[step] = np.clip(voltage // p.threshold, 0, p.kind.max_spikes_per_step)
            voltage = voltage - out[step] * p.threshold
        sent.append(out)
        spikes = np.concatenate([np.zeros_like(out[:1]), out[:-1]]) if delay else out
    return sent


def _decayed(v: NDArray, shift: int) -> NDArray:
    lost = np.sign(v) * (np.abs(v) >> shift)
    return v - np.where(lost == 0, np.sign(v), lost)


@pytest.mark.emulators
@pytest.mark.parametrize(("current", "leak"), [(1, 15), (1, 4), (3, 6)])
def test_xylo_audio_in_xylosim(current: int, leak: int, tmp_path: Path) -> None:
    """XyloSim computes these integers with a filtered current and a leak, ours without either.

    Its slowest leak takes 1 from a voltage in each step, and its fastest current arrives over
    several: no setting makes its neurons integrators. Weights, thresholds and caps are ours.
    """
    conversion, x = on(dense(3), "xylo_audio2")
    found, scales = whole(conversion)
    layers = [
        Population(found.roles.graph, name, found.choices.types[name], scales)
        for name in ("relu1", "relu2")
    ]
    counts = counts_of(conversion, x, "reference")
    fired = 0
    for sample in range(len(x)):
        spikes = counts["relu0"][sample].astype(np.int64)
        ours = xylo(spikes, layers, None, leak, delay=False)
        np.testing.assert_array_equal(ours[0], counts["relu1"][sample])
        np.testing.assert_array_equal(ours[1], counts["relu2"][sample])
        sent = emulated(
            "xylosim", tmp_path, spikes=spikes, current=current, leak=leak,
            **{"in": layers[0].matrices["relu0"], "out": layers[1].matrices["relu1"]},
            threshold=layers[0].threshold, threshold_out=layers[1].threshold,
            bias=layers[0].constant.reshape(-1), bias_out=layers[1].constant.reshape(-1),
        )["last"]  # fmt: skip
        theirs = xylo(spikes, layers, current, leak, delay=True)[1]
        np.testing.assert_array_equal(sent, theirs)
        assert not np.array_equal(theirs[1:], ours[1][:-1])
        fired += int(sent.sum())
    assert fired > 10


@dataclass(frozen=True)
class Layer:
    """A dense layer in whole numbers, `weight` `(in, out)`; spikes are sent above the threshold."""

    threshold: int
    bias: NDArray
    weight: NDArray | None = None

    def times(self, factor: int) -> Layer:
        """The same neurons with larger numbers."""
        weight = None if self.weight is None else self.weight * factor
        return Layer(self.threshold * factor, self.bias * factor, weight)


def loihi(layers: list[Layer], steps: int, keeps: bool, delay: int) -> list[NDArray]:
    """Spikes `(steps, n)` of layers that hear each other `delay` steps later; no voltage below 0.

    With `keeps` a current that has arrived is not over at once: 1/4096 of it is left, whole part.
    """
    sent: list[NDArray] = []
    for layer in layers:
        out = np.zeros((steps, layer.bias.size), np.int64)
        current = voltage = np.zeros(layer.bias.size, np.int64)
        for step in range(steps):
            left = np.sign(current) * (np.abs(current) >> 12) if keeps else 0
            heard = layer.weight is not None and step >= delay
            current = left + (sent[-1][step - delay] @ layer.weight if heard else 0)
            voltage = np.maximum(voltage + current + layer.bias, 0)
            out[step] = voltage > layer.threshold
            voltage = np.where(out[step] > 0, 0, voltage)
        sent.append(out)
    return sent


def in_nengo_loihi(layers: list[Layer], steps: int, folder: Path) -> list[NDArray]:
    """Spikes of the emulator."""
    arrays: dict[str, Any] = {"layers": len(layers), "steps": steps}
    for i, layer in enumerate(layers):
        arrays |= {f"threshold{i}": layer.threshold, f"bias{i}": layer.bias}
        arrays |= {} if layer.weight is None else {f"weight{i}": layer.weight}
    sent = emulated("nengo_loihi", folder, **arrays)
    return [sent[f"spikes{i}"].astype(np.int64) for i in range(len(layers))]


def few_charges(seed: int) -> list[Layer]:
    """Three layers: no neuron hears 32 x 128 in one step, and the first reaches its threshold."""
    rng = np.random.default_rng(seed)
    layers = [Layer(6400, np.append(1600, rng.integers(0, 4096, 11)))]
    for size in (10, 8):
        senders = layers[-1].bias.size
        shares = rng.dirichlet(np.full(senders, 0.3), size)
        weight = 128 * np.array([rng.multinomial(31, share) for share in shares]).T
        weight *= rng.choice((-1, 1, 1), weight.shape)
        layers.append(Layer(64 * int(rng.integers(60, 120)), rng.integers(-300, 900, size), weight))
    return layers


@pytest.mark.emulators
@pytest.mark.parametrize("seed", range(3))
def test_neurons_of_nengo_loihi(seed: int, tmp_path: Path) -> None:
    """Our neurons send every spike of the emulator, where a spike is heard a step later.

    Its neurons spike above the threshold, ours at it: so ours is one more.
    """
    layers, steps = few_charges(seed), 200
    with sw.Network() as net:
        sender, height, probes = None, 1.0, []
        for layer in layers:
            threshold = layer.threshold + 1.0
            kind = sw.FixedPointIntegrateAndFire(
                threshold, voltage_floor=0, max_spikes_per_step=1, state_bits=24, reset="zero"
            )
            neurons = sw.Ensemble(
                layer.bias.size, None, neuron_type=kind, gain=1.0, bias=layer.bias,
                initial_voltage="zero", rate_scale=1.0 / (threshold * DT),
            ).neurons  # fmt: skip
            if layer.weight is not None:
                weight = layer.weight.T / height
                sw.Connection(sender, neurons, None, transform=weight, delay=DT)
            probes.append(sw.Probe(neurons, "output"))
            sender, height = neurons, threshold
    with sw.Simulator(net, DT, progress=False) as sim:
        sim.run_steps(steps)
    sent = in_nengo_loihi(layers, steps, tmp_path)
    for layer, probe, theirs in zip(layers, probes, sent, strict=True):
        np.testing.assert_array_equal(np.rint(sim.data[probe] / (layer.threshold + 1)), theirs)
        assert theirs.sum() > 50
    assert np.flatnonzero(sent[0][:, 0])[0] == 4  # the fourth step ends at the threshold


def driven(seed: int) -> Graph:
    """Input 6 -> 16 -> 12 -> 8, whose biases alone make it spike."""
    rng = np.random.default_rng(seed)
    nodes, last, width = [GraphNode("x", Input((6,)))], "x", 6
    for i, size in enumerate((16, 12, 8)):
        weight = rng.normal(size=(size, width)) * (1.5 if i else 0.2) / np.sqrt(width)
        bias = rng.normal(size=size) / 8 if i else rng.uniform(0.05, 1.0, size)
        nodes.append(GraphNode(f"fc{i}", Affine(weight, bias), (last,)))
        nodes.append(GraphNode(f"relu{i}", Activation("relu"), (f"fc{i}",)))
        last, width = f"relu{i}", size
    return Graph(tuple(nodes), {"output": last})


@pytest.mark.emulators
@pytest.mark.parametrize("seed", [0, 1, 8])
def test_loihi1_in_nengo_loihi(seed: int, tmp_path: Path) -> None:
    """The emulator computes the integers of `for_chip("loihi1")`, with a delay and kept currents.

    Its neurons have no voltage below zero, so neither have ours here. Without what currents keep,
    nine neurons of ten and more send as many spikes, and the others one more or one fewer.
    """
    bits, steps = bits_of(chips.profile("loihi1")), 1000
    conversion = sw.convert(
        driven(seed), spiking=True, scale_firing_rates=dict.fromkeys(NAMES, 1.0 / DT),
        initial_voltage="zero", weights=replace(bits, voltage_floor=0.0),
    )  # fmt: skip
    layers = layers_of(conversion)
    run = conversion.run(np.zeros((1, 6)), steps=steps, record=NAMES, progress=False)
    for name, spikes in zip(NAMES, loihi(layers, steps, keeps=False, delay=0), strict=True):
        np.testing.assert_array_equal(np.rint(run.recorded[name][0]), spikes)

    sent = in_nengo_loihi(layers, steps, tmp_path)
    for theirs, kept in zip(sent, loihi(layers, steps, keeps=True, delay=1), strict=True):
        np.testing.assert_array_equal(theirs, kept)
        assert theirs.sum() > 100
    ours = loihi(layers, steps, keeps=False, delay=1)
    gaps = np.concatenate([a.sum(0) - b.sum(0) for a, b in zip(sent, ours, strict=True)])
    assert np.abs(gaps).max() <= 1 and np.mean(gaps == 0) > 0.9


def layers_of(conversion: sw.Conversion) -> list[Layer]:
    """Dense layers in whole numbers, such that the least step of weights is 128."""
    found, scales = whole(conversion)
    layers = []
    for i, name in enumerate(NAMES):
        p = Population(found.roles.graph, name, found.choices.types[name], scales)
        threshold = int(p.threshold.reshape(-1)[0]) - 1  # spikes are sent above it
        layer = Layer(threshold, p.constant.reshape(-1), p.matrices[NAMES[i - 1]] if i else None)
        if layer.weight is not None:
            factor, rest = divmod(128, int(np.gcd.reduce(layer.weight, axis=None)))
            assert rest == 0 and factor * np.abs(layer.weight).max() <= 127 * 128
            layer = layer.times(factor)
        assert layer.threshold % 64 == 0
        layers.append(layer)
    return layers
