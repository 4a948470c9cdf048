"""Memory of weights: part of the bound, made once and late, and never to answer a question."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.weight_copies import field

import models
import spikewright as sw
from spikewright import engines
from spikewright.engines import grid, memory
from spikewright.errors import SimulationError
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Convolution, Input, Reshape

ROOT = Path(__file__).parents[2]
MIB = 2**20


def wide(side: int = 32, units: int = 1500) -> Graph:
    """A convolution whose neurons a wide layer reads: most of it is weights."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(8, 3, 3, 3))
    size = 8 * side * side
    nodes = [
        GraphNode("x", Input((3, side, side))),
        GraphNode(
            "conv", Convolution(kernel, np.zeros(8), (1, 1), ((1, 1), (1, 1)), (1, 1)), ("x",)
        ),
        GraphNode("relu1", Activation("relu"), ("conv",)),
        GraphNode("flat", Reshape((size,)), ("relu1",)),
        GraphNode("fc", Affine(rng.normal(size=(units, size)) / side), ("flat",)),
        GraphNode("relu2", Activation("relu"), ("fc",)),
        GraphNode("out", Affine(rng.normal(size=(10, units))), ("relu2",)),
    ]
    return Graph(tuple(nodes), {"y": "out"})


def fed(conversion: sw.Conversion, batch: int = 1) -> np.ndarray:
    """Input for a conversion with one input."""
    (node,) = conversion.inputs.values()
    return np.random.default_rng(1).normal(size=(batch, *node.shape_out))


class Counted:
    """How often kernels were asked for, and weights put into a form of an engine's own."""

    def __init__(self, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kernels = self.weights = 0
        kind = type(engines.get(engine, sw.Simulator(sw.Network()).program))
        self._watch(kind, "kernel", "kernels", monkeypatch)
        if engine == "native":
            from spikewright.engines.native.weight_packing import LayerPacking

            self._watch(LayerPacking, "pack", "weights", monkeypatch)
        if engine == "torch":
            from spikewright.engines.torch import engine as torch_engine

            self._watch(torch_engine, "linear_map", "weights", monkeypatch)

    def _watch(self, owner: Any, name: str, count: str, monkeypatch: pytest.MonkeyPatch) -> None:
        whole: Callable[..., Any] = getattr(owner, name)

        def counting(*arguments: Any, **named: Any) -> Any:
            setattr(self, count, getattr(self, count) + 1)
            return whole(*arguments, **named)

        monkeypatch.setattr(owner, name, counting)


@pytest.mark.parametrize("engine", engines.available())
def test_questions_build_nothing(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither `memory`, nor a run that does not fit; a run that does makes all weights once."""
    conversion = sw.convert(models.residual(), spiking=True, scale_firing_rates=50.0)
    x = fed(conversion)
    counted = Counted(engine, monkeypatch)
    needed = conversion.memory(1, 3, engine=engine)
    with monkeypatch.context() as patch:
        patch.setenv(memory.LIMIT_VARIABLE, str(1000 / 2**30))
        with pytest.raises(SimulationError, match="are available"):
            conversion.run(x, 3, engine=engine, progress=False)
    assert (counted.kernels, counted.weights) == (0, 0)

    first = conversion.run(x, 3, engine=engine, progress=False)
    made = counted.weights
    again = conversion.run(x, 3, engine=engine, progress=False)
    assert conversion.memory(1, 3, engine=engine) == needed
    assert counted.kernels > 0 and counted.weights == made
    assert engine == "reference" or made >= 3, "two convolutions and a matrix"
    np.testing.assert_array_equal(first.output, again.output)


@pytest.mark.parametrize("engine", engines.available())
def test_weights_count_in_their_own_form(engine: str) -> None:
    """The bound grows with them; the program has none of its own but where it is fused.

    Natively they are held once more where products may pay for weights of 24 bits.
    """
    small, large = (sw.convert(wide(8, units), spiking=True) for units in (64, 256))
    parts = [c.memory(1, 3, engine=engine).only("weights") for c in (small, large)]
    more = (256 - 64) * (8 * 64 + 10)  # weights
    forms = 1
    if engine == "native":
        from spikewright.engines.native import _kernels
        from spikewright.engines.native.engine import NativeEngine

        native = NativeEngine()
        forms += native.dense < np.inf and _kernels.tile_share(native.isa) <= 1.0
    item = {"native": 4 * forms, "torch": 4, "reference": 8}[engine]
    grown = parts[1].bytes - parts[0].bytes
    own = 8 if engine == "torch" else 0
    assert grown > (own + item) * more
    assert engine != "native" or grown < 1.5 * item * more
    named = [part for part in parts[1] if "fc" in part.of or "relu2" in part.of]
    assert max(part.bytes for part in named) >= item * 256 * 8 * 64


def test_an_engine_that_holds_weights_asks_for_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there already need not fit once more."""
    conversion = sw.convert(wide(16, 1000), spiking=True)
    x = fed(conversion)
    conversion.run(x, 3, progress=False)
    needed = conversion.memory(1, 3)
    without = needed.bytes - needed.only("weights").bytes
    assert without < needed.bytes / 2
    monkeypatch.setenv(memory.LIMIT_VARIABLE, str(without / 2**30))
    conversion.run(x, 3, progress=False)


@pytest.mark.parametrize("precision", grid.PRECISIONS)
def test_grids_do_not_depend_on_how_many_channels_are_done_at_once(
    precision: grid.Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each channel has its own."""
    weight = (
        np.random.default_rng(3).normal(size=(7, 4, 3)) * 2.0 ** np.arange(-3, 4)[:, None, None]
    )
    whole = grid.on_grid(weight, precision)
    limbs, steps = grid.integer_weights(weight, precision)
    monkeypatch.setattr(grid, "_AT_ONCE", 30)
    assert len(list(grid.channel_slices(weight))) == 4
    np.testing.assert_array_equal(grid.on_grid(weight, precision), whole)
    np.testing.assert_array_equal(grid.integer_weights(weight, precision)[0], limbs)
    np.testing.assert_array_equal(grid.integer_weights(weight, precision)[1], steps)
    bits = grid.GRIDS[precision].weight_bits
    integers = sum(limb * 2.0 ** (bits * place) for place, limb in enumerate(reversed(limbs)))
    np.testing.assert_array_equal(integers * steps[:, None, None], whole)


SIZES = (2048, 4096, 2560, 10)


def large() -> Graph:
    """Some 72 MiB of weights in single precision, and few neurons."""
    rng = np.random.default_rng(0)
    nodes = [GraphNode("x", Input(SIZES[:1]))]
    for i, (inner, out) in enumerate(pairwise(SIZES)):
        weight = rng.normal(size=(out, inner)).astype(np.float32) / np.float32(32)
        nodes += [GraphNode(f"fc{i}", Affine(weight), (nodes[-1].name,))]
        nodes += [GraphNode(f"relu{i}", Activation("relu"), (f"fc{i}",))]
    return Graph(tuple(nodes), {"y": nodes[-1].name})


def copies(path: str) -> None:
    """A process of its own: prints the peak in multiples of the weights, of a file and of a graph.

    The network that is made of a graph has channels of several heights.
    """
    small = sw.convert(wide(8, 8), spiking=True, scale_firing_rates=1000.0)
    small.run(fed(small), 3, progress=False)
    x, there = np.random.default_rng(1).normal(size=(4, SIZES[0])), Path(path).exists()
    weights = sum(4 * inner * out for inner, out in pairwise(SIZES))
    graph = None if there else large()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forgets the peak until now
    before = field("VmRSS")
    if graph is None:
        made = sw.load(path)
    else:
        rule = sw.MinimumError(4, spikes_per_step=1)
        made = sw.convert(graph, spiking=True, scale_firing_rates=rule, calibration=x)
    run = made.run(x, 4, progress=False)
    assert any(counts.any() for counts in run.spike_counts().values())
    sys.stdout.write(f"{(field('VmHWM') - before) / weights}\n")
    if not there:
        made.save(path)


@pytest.mark.slow
@pytest.mark.skipif("native" not in engines.available(), reason="no compiler")
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks cannot be reset")
def test_weights_are_held_twice_at_most_while_a_network_runs(tmp_path: Path) -> None:
    """Scaled, or the pages of a file, and in the engine's form: no third time, and no product."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    made, loaded = (
        float(
            subprocess.run(
                [sys.executable, __file__, str(tmp_path / "file.sw")],
                capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path},
            ).stdout
        )
        for _ in range(2)
    )  # fmt: skip
    assert 0.9 < made < 2.4
    assert 0.9 < loaded < 2.4


if __name__ == "__main__":
    copies(sys.argv[-1])
