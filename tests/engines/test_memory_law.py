"""The need of a run is what it takes: never less, and natively at most a third more."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from test_memory import NETWORKS
from test_memory_of_weights import wide

import spikewright as sw
from spikewright import engines
from spikewright._base.windows import Windows
from spikewright.engines.native import _kernels
from spikewright.engines.native.engine import instruction_sets
from spikewright.engines.native.weight_packing import SLAB
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import (
    Activation,
    Affine,
    Convolution,
    GlobalAveragePool,
    Input,
    MaxPool,
)
from spikewright.network.neurons import NEURON_TYPES
from spikewright.network.transforms import TRANSFORMS
from spikewright.testing.modelling import neuron_type_examples

ROOT = Path(__file__).parents[2]
MIB = 2**20
FLOOR, MOST = 64, 4 / 3
"""MiB below which objects and pages count more than arrays; the bound over what is taken."""

LOOSER = {
    "few steps": 1.4,  # lists of lines take less than those of pixels, for which there is room
    "loop": 5 / 3,  # lists counted as full
    "separable": 1.5,  # inputs that another buffer holds already
    "bipolar": 1.35,  # values in limbs that the last block of a run sums as they are
    "Reshape of values": 1.5,  # values that another signal holds already
}
"""Exceptions: what is counted beside what they take."""

UNMASKED = 1.1
"""How much looser without AVX-512: an input that spikes in every step of sixteen is listed sixteen
times there, and room for that is counted, while masks take over from eight."""


def kernel(
    rng: np.random.Generator, out: int, inner: int, size: int, groups: int = 1
) -> Convolution:
    """A convolution that keeps the extent."""
    weight = rng.normal(size=(out, inner // groups, size, size))
    weight /= np.sqrt(inner // groups * size**2 / 2)
    bias, pad = rng.normal(size=out) / 10, size // 2
    return Convolution(weight, bias, (1, 1), ((pad, pad), (pad, pad)), (1, 1), groups)


def pooled(side: int) -> Graph:
    """Convolutions, a maximum, a mean: as VGG."""
    rng = np.random.default_rng(0)
    pool = MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    nodes = [
        GraphNode("x", Input((3, side, side))),
        GraphNode("conv1", kernel(rng, 32, 3, 3), ("x",)),
        GraphNode("relu1", Activation("relu"), ("conv1",)),
        GraphNode("conv2", kernel(rng, 32, 32, 3), ("relu1",)),
        GraphNode("relu2", Activation("relu"), ("conv2",)),
        GraphNode("pool", pool, ("relu2",)),
        GraphNode("conv3", kernel(rng, 64, 32, 3), ("pool",)),
        GraphNode("relu3", Activation("relu"), ("conv3",)),
        GraphNode("mean", GlobalAveragePool((1, 2)), ("relu3",)),
        GraphNode("fc", Affine(rng.normal(size=(10, 64)), rng.normal(size=10)), ("mean",)),
    ]
    return Graph(tuple(nodes), {"y": "fc"})


def curved(side: int) -> Graph:
    """GELUs, whose equation makes more arrays than others."""
    rng = np.random.default_rng(0)
    nodes = [
        GraphNode("x", Input((3, side, side))),
        GraphNode("conv1", kernel(rng, 32, 3, 3), ("x",)),
        GraphNode("gelu1", Activation("gelu"), ("conv1",)),
        GraphNode("conv2", kernel(rng, 32, 32, 3), ("gelu1",)),
        GraphNode("gelu2", Activation("gelu"), ("conv2",)),
        GraphNode("mean", GlobalAveragePool((1, 2)), ("gelu2",)),
        GraphNode("fc", Affine(rng.normal(size=(10, 32)), rng.normal(size=10)), ("mean",)),
    ]
    return Graph(tuple(nodes), {"y": "fc"})


def separable(side: int) -> Graph:
    """A convolution of each channel, a bottleneck without activation, and its expansion."""
    rng = np.random.default_rng(0)
    nodes = [
        GraphNode("x", Input((3, side, side))),
        GraphNode("conv", kernel(rng, 32, 3, 3), ("x",)),
        GraphNode("relu1", Activation("relu6"), ("conv",)),
        GraphNode("each", kernel(rng, 32, 32, 3, 32), ("relu1",)),
        GraphNode("relu2", Activation("relu6"), ("each",)),
        GraphNode("narrow", kernel(rng, 16, 32, 1), ("relu2",)),
        GraphNode("wide", kernel(rng, 96, 16, 1), ("narrow",)),
        GraphNode("relu3", Activation("relu6"), ("wide",)),
        GraphNode("mean", GlobalAveragePool((1, 2)), ("relu3",)),
        GraphNode("fc", Affine(rng.normal(size=(10, 96)), rng.normal(size=10)), ("mean",)),
    ]
    return Graph(tuple(nodes), {"y": "fc"})


def layered(size: int) -> Graph:
    """Matrix products, which are most of it."""
    rng = np.random.default_rng(0)
    nodes = [GraphNode("x", Input((size,)))]
    for i, (out, inner) in enumerate([(2 * size, size), (size, 2 * size)]):
        weight = rng.normal(size=(out, inner)) / np.sqrt(inner / 2)
        nodes.append(GraphNode(f"fc{i}", Affine(weight), (nodes[-1].name,)))
        nodes.append(GraphNode(f"relu{i}", Activation("relu"), (f"fc{i}",)))
    nodes.append(GraphNode("out", Affine(rng.normal(size=(10, size)) / np.sqrt(size)), ("relu1",)))
    return Graph(tuple(nodes), {"y": "out"})


def random_links(neurons: int) -> sw.Network:
    """Leaky neurons with 100 sparse connections each, all of them recorded."""
    rng, count = np.random.default_rng(2), 100 * neurons
    rows, columns = rng.integers(0, neurons, (2, count))
    with sw.Network(seed=0) as network:
        bias = rng.uniform(0.9, 2.0, neurons)
        cells = sw.Ensemble(neurons, None, neuron_type=sw.LIF(), gain=1.0, bias=bias)
        weights = sw.Sparse(rows, columns, rng.normal(size=count) / 1000, neurons, neurons)
        sw.Connection(cells.neurons, cells.neurons, 0.005, weights)
        sw.Probe(cells.neurons)
    return network


def vectors(neurons: int) -> sw.Network:
    """Ensembles that represent two values, one of them a memory; its spikes are recorded."""
    with sw.Network(seed=0) as network:
        stimulus = sw.Node([0.5, -0.3])
        a, b = sw.Ensemble(neurons, 2), sw.Ensemble(neurons, 2)
        sw.Connection(stimulus, a)
        sw.Connection(a, b)
        sw.Connection(b, b, synapse=0.1)
        sw.Probe(b.neurons)
    return network


SHAPE = (64, 48, 48)
MAPS: dict[str, sw.transforms.Transform] = {
    "Reshape": sw.transforms.Reshape((64 * 48, 48)),
    "Permute": sw.transforms.Permute((1, 2, 0)),
    "Slice": sw.transforms.Slice(((0, 64, 1), (1, 48, 1), (0, 48, 1))),
    "Place": sw.transforms.Place(((0, 64, 1), (1, 49, 1), (1, 49, 1)), (64, 50, 50)),
    "Take": sw.transforms.Take(np.arange(64)[::-1], 0),
    "Chain": sw.transforms.Chain((sw.transforms.Permute((1, 2, 0)), sw.transforms.Scale(0.5))),
    "Dense": sw.transforms.Dense(np.eye(48)[::-1] / 2),
    "Sparse": sw.Sparse(np.arange(147456)[::-1], np.arange(147456), np.ones(147456), SHAPE, 147456),
    "Scale": sw.transforms.Scale(0.5),
    "AxisMap": sw.transforms.AxisMap(np.eye(64)[::-1] / 2, 0),
    "Convolution": sw.transforms.Convolution(
        np.ones((64, 64, 3, 3)) / 500, (1, 1), ((1, 1), (1, 1)), (1, 1)
    ),
    "SumPool": sw.transforms.SumPool(Windows((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)), 0.1),
}


def behind(spiking: bool, map: sw.transforms.Transform, kind: sw.NeuronType) -> sw.Network:
    """A population that reads, through a map, spikes or values that change in every step."""
    rng = np.random.default_rng(3)
    first = sw.IntegrateAndFire() if spiking else sw.LIFRate()
    with sw.Network(seed=0) as network:
        senders = sw.Ensemble(
            SHAPE, None, neuron_type=first, gain=1.0, bias=rng.uniform(0.0, 300.0, SHAPE)
        )
        cells = sw.Ensemble(map.output_shape(SHAPE), None, neuron_type=kind, gain=1.0, bias=0.5)
        sw.Connection(senders.neurons, cells.neurons, None if spiking else 0.01, map)
    return network


class Case(NamedTuple):
    """What is run: a graph or a network of a size, of so many samples and steps."""

    made: Callable[[Any], Graph | sw.Network]
    size: Any
    batch: int
    steps: int
    record: tuple[str, ...] = ()


CASES = {
    "one step": Case(pooled, 224, 1, 1),
    "few steps": Case(pooled, 112, 4, 8),
    "parts": Case(pooled, 64, 16, 20),
    "separable": Case(separable, 96, 4, 8),
    "curves": Case(curved, 48, 8, 16),
    "layers": Case(layered, 2500, 4, 16),
    "weights": Case(partial(wide, 32), 2500, 1, 3),
    "recorded layer": Case(pooled, 64, 2, 32, ("relu3",)),
    "sparse": Case(random_links, 20_000, 16, 40),
    "vectors": Case(vectors, 500, 64, 400),
    **{name: Case(made, 60_000, 32, 40) for name, made in NETWORKS.items()},
}
KINDS = {
    **{
        type(one.neuron_type).__name__: Case(
            partial(behind, True, MAPS["Scale"]), one.neuron_type, 16, 16
        )
        for one in reversed(neuron_type_examples())
    },
    **{name: Case(partial(behind, True, map), sw.LIF(), 16, 16) for name, map in MAPS.items()},
    **{
        f"{name} of values": Case(partial(behind, False, map), sw.LIF(), 16, 16)
        for name, map in MAPS.items()
    },
}
"""Of every neuron type, and of every map, that reads spikes or values."""
LENGTHS = {
    name: [Case(NETWORKS[name], 60_000, 8, steps) for steps in lengths]
    for name, lengths in {"dense": (32, 1100), "loop": (40, 160), "filtered": (40, 160)}.items()
}
"""The same network for a few steps, and for more of them than a block has."""
ALL = CASES | KINDS | {f"{n} of {c.steps}": c for n, two in LENGTHS.items() for c in two}


def case_of(engine: str, name: str) -> Case:
    """A case; where counts are kept in float64, a quarter of its steps are as large."""
    case = ALL[name]
    return case if engine == "native" else case._replace(steps=-(-case.steps // 4))


def field(name: str) -> float:
    """A number of this process's, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (found,) = (line for line in lines if line.startswith(name))
    return int(found.split()[1]) / 1024


class Taken:
    """Growth of a process's peak since this was made; the peak of before is forgotten.

    Pages of libraries that are read for the first time are none of it: other processes share them.
    """

    def __init__(self) -> None:
        self._before, self._files = field("VmRSS"), field("RssFile")
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")

    @property
    def mib(self) -> float:
        """The growth so far."""
        return field("VmHWM") - self._before - (field("RssFile") - self._files)


def of_conversion(case: Case, engine: str, graph: Graph) -> tuple[float, float, float]:
    """MiB that a conversion's first run takes and needs beside its input, and its spikes."""
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=100.0, max_spikes_per_step=1)
    (node,) = conversion.inputs.values()
    x = np.random.default_rng(1).normal(size=(case.batch, *node.shape_out))
    how = {"engine": engine, "threads": 1, "record": case.record}
    taken = Taken()
    needed = conversion.memory(case.batch, case.steps, **how)
    run = conversion.run(x, case.steps, progress=False, **how)
    spikes = sum(float(p.totals.sum()) for p in run.populations.values())
    return taken.mib - x.nbytes / MIB, needed.bytes / MIB, spikes


def of_network(case: Case, engine: str, network: sw.Network) -> tuple[float, float, float]:
    """The same of a network that is compiled already."""
    program = engines.compile_network(network, 0.001, 0, "float32")
    chosen = engines.get(engine, program, 1)
    taken = Taken()
    setting = engines.PreparedRun(program, chosen, case.batch, network.all_ensembles, fed=())
    needed = setting.whole(case.steps)
    execution = engines.Execution(program, chosen, case.batch, network.all_ensembles)
    kept = execution.run(case.steps)
    totals = execution.summed()
    compiled = sum(part.bytes for part in needed if part.of == "the program" and engine != "torch")
    spikes = sum(float(found.sent.sum()) for found in totals.values())
    assert len(kept) == len(program.recordings)
    return taken.mib, (needed.bytes - compiled) / MIB, spikes


def child(engine: str, names: list[str]) -> None:
    """A process in which all is loaded, and for every case one of its own that begins there."""
    if engine == "torch":
        import torch

        torch.set_num_threads(1)
    small = sw.convert(pooled(8), spiking=True)
    small.run(np.zeros((1, 3, 8, 8)), 3, engine=engine, threads=1, progress=False)
    for name in names:
        sys.stdout.flush()
        number = os.fork()
        if number == 0:
            try:
                case = case_of(engine, name)
                made = case.made(case.size)
                of = of_conversion if isinstance(made, Graph) else of_network
                sys.stdout.write(f"{name}: {' '.join(map(str, of(case, engine, made)))}\n")  # type: ignore[arg-type]
                sys.stdout.flush()
            except BaseException:
                traceback.print_exc()
            os._exit(0)
        os.waitpid(number, 0)


def measured(engine: str, names: list[str]) -> dict[str, tuple[float, float, float]]:
    """By case. Large blocks go back to the system at once: else a peak holds what was freed."""
    paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, __file__, engine, *names],
        capture_output=True, text=True, check=True,
        env={
            **os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1",
            "MALLOC_MMAP_THRESHOLD_": str(128 * 1024),
        },
    )  # fmt: skip
    rows = dict(line.split(": ") for line in done.stdout.splitlines())
    assert set(rows) == set(names), done.stderr
    found = {name: tuple(map(float, row.split())) for name, row in rows.items()}
    return {name: (taken, needed, spikes) for name, (taken, needed, spikes) in found.items()}


def bound(engine: str, name: str) -> float:
    """What may be said to be needed, as a multiple of what is taken; torch has any bound."""
    if engine != "native":
        return 2.0 if engine == "reference" else float("inf")
    masks = _kernels.masked_cost(instruction_sets()[-1]) < SLAB
    return LOOSER.get(name, MOST) * (1.0 if masks else UNMASKED)


def check(engine: str, names: list[str]) -> None:
    """The law, of all cases at once, which are as large as it asks for."""
    found = measured(engine, names)
    sys.stdout.write("".join(f"{engine} {k}: {v}\n" for k, v in found.items()))
    large = {name: row for name, row in found.items() if row[0] >= FLOOR}
    assert len(large) >= len(names) / 2, found
    assert all(spikes > 0 for name, (_, _, spikes) in found.items()), found
    wrong = {
        n: row for n, row in large.items() if not row[0] <= row[1] <= bound(engine, n) * row[0]
    }
    assert not wrong


linux = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peaks are forgotten on Linux alone"
)


@linux
def test_a_native_run_takes_what_it_needs() -> None:
    """Of a few networks; of all of them, on all engines, below."""
    engine = "native" if "native" in engines.available() else "reference"
    check(engine, ["one step", "parts", "recorded"])


@linux
@pytest.mark.slow
@pytest.mark.parametrize("engine", engines.available())
def test_a_run_takes_what_it_needs(engine: str) -> None:
    """From `FLOOR` on: never more, and at least its `MOST`-th part; on the reference half."""
    check(engine, [*NETWORKS, "weights"] if engine == "torch" else list(CASES))


@linux
@pytest.mark.slow
@pytest.mark.parametrize("network", LENGTHS)
def test_more_steps_take_no_more_memory(network: str) -> None:
    """Blocks of time follow one another in the same memory: nothing is kept of one in the next."""
    engine = "native" if "native" in engines.available() else "reference"
    names = [f"{network} of {case.steps}" for case in LENGTHS[network]]
    short, long = (taken for taken, _, _ in measured(engine, names).values())
    assert long - short < 0.05 * (100 + short)  # of a whole process, which has 100 MiB at least


@linux
@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
def test_every_population_and_map_takes_what_it_needs(part: int) -> None:
    """The law natively, of every registered neuron type and transform."""
    assert {*NEURON_TYPES, *TRANSFORMS} <= set(KINDS)
    check("native", list(KINDS)[part::3])


if __name__ == "__main__":
    child(sys.argv[1], sys.argv[2:])
