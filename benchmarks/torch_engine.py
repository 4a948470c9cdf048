"""The torch engine against as many forward passes of the same network in PyTorch as it runs steps.

    python -m benchmarks.torch_engine [--threads 1 2] [--rounds 9]

Network: input 28x28x1 -> Conv2D(32, 3, relu) -> Conv2D(64, 3, stride 2, relu) -> Flatten ->
Dense(10); batch 64, 60 steps of 1 ms, input held constant, IntegrateAndFire started at half a
spike, no synapse. The outputs of every step are read and spikes are summed per neuron. The
yardstick is the faster memory format of PyTorch, float32, under `torch.inference_mode`. Before
timing, spikes are checked against the reference engine on a small batch. Each round runs
everything once; printed are medians in milliseconds without the first round, and their ratio to
the yardstick (wanted: at most 1.5).
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

import spikewright as sw
from spikewright.engines import Engine, Execution, Program, compile_network
from spikewright.engines.reference import ReferenceEngine
from spikewright.engines.torch import TorchEngine
from spikewright.network.transforms import Chain

BATCH, STEPS, DT = 64, 60, 0.001
GAIN = 100.0  # of the first layer: mean rates of some 10 Hz
functional = torch.nn.functional


@dataclass(frozen=True)
class Weights:
    """Kernels `(out, in, 3, 3)` and the last layer's `(10, channels, height, width)`."""

    kernel1: NDArray
    bias1: NDArray
    kernel2: NDArray
    bias2: NDArray
    matrix: NDArray
    bias: NDArray


def drawn_weights(seed: int = 0) -> Weights:
    """Random weights under which a good part of the neurons fires."""
    rng = np.random.default_rng(seed)
    return Weights(
        rng.normal(0.0, 0.3, (32, 1, 3, 3)),
        rng.normal(0.0, 0.1, 32),
        rng.normal(0.0, 0.06, (64, 32, 3, 3)),
        rng.normal(0.0, 0.1, 64),
        rng.normal(0.0, 0.01, (10, 64, 12, 12)),
        rng.normal(0.0, 0.1, 10),
    )


@dataclass(frozen=True)
class Spiking:
    """The spiking network, compiled, with what a run needs to know of it."""

    program: Program
    stimulus: sw.Node
    layers: tuple[sw.Ensemble, ...]
    channels_last: bool

    def run(self, engine: Engine, images: NDArray, steps: int) -> tuple[NDArray, list[NDArray]]:
        """Outputs `(batch, steps, 10)` and spikes `(batch, *shape)` of each layer."""
        x = images[..., None] if self.channels_last else images[:, None]
        execution = Execution(self.program, engine, len(x), self.layers)
        (output,) = execution.run(steps, {self.stimulus: x[:, None]})
        totals = execution.totals()
        return output, [totals[layer] for layer in self.layers]


def spiking_network(w: Weights, channels_last: bool) -> Spiking:
    """The network in Spikewright's words, its images in one layout or the other."""

    def shape(channels: int, extent: int) -> tuple[int, int, int]:
        return (extent, extent, channels) if channels_last else (channels, extent, extent)

    def convolution(kernel: NDArray, stride: int) -> sw.Convolution:
        none = ((0, 0), (0, 0))
        return sw.Convolution(kernel, (stride, stride), none, (1, 1), channels_last=channels_last)

    def population(channels: int, extent: int, gain: float, bias: NDArray) -> sw.Ensemble:
        return sw.Ensemble(
            shape(channels, extent),
            neuron_type=sw.IntegrateAndFire(),
            gain=gain,
            bias=GAIN * (bias if channels_last else bias[:, None, None]),
            initial_voltage="half",
        )

    matrix = np.moveaxis(w.matrix, 1, -1) if channels_last else w.matrix
    with sw.Network(seed=0) as network:
        stimulus = sw.Node(np.zeros(shape(1, 28)), label="input")
        first = population(32, 26, GAIN, w.bias1)
        second = population(64, 12, 1.0, w.bias2)
        output = sw.Node(size_in=10, label="output")
        sw.Connection(stimulus, first.neurons, None, convolution(w.kernel1, 1))
        sw.Connection(first.neurons, second.neurons, None, convolution(w.kernel2, 2))
        dense = sw.Dense(matrix.reshape(10, -1))
        flat = Chain((sw.Reshape((dense.matrix.shape[1],)), dense))
        sw.Connection(second.neurons, output, None, flat)
        sw.Connection(sw.Node(GAIN * w.bias), output, None)
        sw.Probe(output)
    program = compile_network(network, DT, 0, "float32")
    return Spiking(program, stimulus, (first, second), channels_last)


def forward_passes(w: Weights, images: NDArray, layout: torch.memory_format) -> None:
    """The yardstick: the source network in PyTorch, once per step."""
    kernel1, bias1, kernel2, bias2, bias = (
        torch.tensor(v, dtype=torch.float32)
        for v in (w.kernel1, w.bias1, w.kernel2, w.bias2, w.bias)
    )
    kernel1, kernel2 = (k.contiguous(memory_format=layout) for k in (kernel1, kernel2))
    matrix = torch.tensor(w.matrix.reshape(10, -1), dtype=torch.float32)
    x = torch.tensor(images[:, None], dtype=torch.float32).contiguous(memory_format=layout)
    with torch.inference_mode():
        for _ in range(STEPS):
            y = functional.relu(functional.conv2d(x, kernel1, bias1))
            y = functional.relu(functional.conv2d(y, kernel2, bias2, stride=2))
            functional.linear(y.flatten(1), matrix, bias)


def check(network: Spiking, images: NDArray) -> str:
    """Compare spikes with the reference engine's; raises `SystemExit` where they differ."""
    _, found = network.run(TorchEngine("cpu"), images, STEPS)
    _, expected = network.run(ReferenceEngine(), images, STEPS)
    notes = []
    for a, b in zip(found, expected, strict=True):
        apart = np.abs(a - b)
        notes.append(f"{int(b.sum())} spikes, {int(np.count_nonzero(apart))} neurons differ")
        if b.sum() == 0 or apart.max() > 1 or np.count_nonzero(apart) > 1e-3 * apart.size:
            raise SystemExit(f"the torch engine's spikes are not the reference's: {notes[-1]}")
    return "; ".join(notes)


def interleaved(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every run, each once a round; the first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for index in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if index:
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


def measure(threads: int, rounds: int) -> None:
    """Print one row per contestant at this number of threads."""
    weights = drawn_weights()
    images = np.random.default_rng(1).random((BATCH, 28, 28))
    engine = TorchEngine("cpu")
    passes = {
        "forward passes, channels first": torch.contiguous_format,
        "forward passes, channels last": torch.channels_last,
    }
    runs: dict[str, Callable[[], object]] = {
        name: lambda layout=layout: forward_passes(weights, images, layout)  # type: ignore[misc]
        for name, layout in passes.items()
    }
    for last, name in (
        (True, "torch engine, channels last"),
        (False, "torch engine, channels first"),
    ):
        network = spiking_network(weights, last)
        print(f"{name}: {check(network, images[:2])}")
        runs[name] = lambda network=network: network.run(engine, images, STEPS)  # type: ignore[misc]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    times = interleaved(runs, rounds)
    torch.set_num_threads(before)
    medians = {name: statistics.median(values) for name, values in times.items()}
    yardstick = min(medians[name] for name in passes)
    print(
        f"{threads} thread{'s' * (threads > 1)}, {os.cpu_count()} cores, load {os.getloadavg()[0]}"
    )
    for name, values in times.items():
        median = medians[name]
        print(
            f"  {name:32} {median:8.1f} ms   ratio {median / yardstick:5.2f}"
            f"   (fastest {min(values):.1f}, slowest {max(values):.1f})"
        )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    for threads in arguments.threads:
        measure(threads, arguments.rounds)


if __name__ == "__main__":
    main()
