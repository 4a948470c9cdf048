"""Memory of weights: part of the bound, made once and late, and never to answer a question."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from benchmarks.memory import peak_mib

import models
import spikewright as sw
from spikewright import engines
from spikewright.engines import memory
from spikewright.errors import SimulationError
from spikewright.graph import Graph, Node
from spikewright.graph.layers import Activation, Affine, Convolution, Input, Reshape

MIB = 2**20


def wide(side: int = 32, units: int = 1500) -> Graph:
    """A convolution whose neurons a wide layer reads: most of it is weights."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(8, 3, 3, 3))
    size = 8 * side * side
    nodes = [
        Node("x", Input((3, side, side))),
        Node("conv", Convolution(kernel, np.zeros(8), (1, 1), ((1, 1), (1, 1)), (1, 1)), ("x",)),
        Node("relu1", Activation("relu"), ("conv",)),
        Node("flat", Reshape((size,)), ("relu1",)),
        Node("fc", Affine(rng.normal(size=(units, size)) / side), ("flat",)),
        Node("relu2", Activation("relu"), ("fc",)),
        Node("out", Affine(rng.normal(size=(10, units))), ("relu2",)),
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
            from spikewright.engines.native.filling import Filling

            self._watch(Filling, "fill", "weights", monkeypatch)
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


def child(engine: str) -> None:
    """A process of its own: a small run, so that everything is loaded, then that to measure."""
    small = sw.convert(wide(8, 8), spiking=True)
    small.run(fed(small), 3, engine=engine, progress=False)
    conversion = sw.convert(wide(), spiking=True)
    x = fed(conversion)
    before = peak_mib()
    bound = conversion.memory(1, 3, engine=engine)
    conversion.run(x, 3, engine=engine, progress=False)
    sys.stdout.write(f"{peak_mib() - before} {bound.bytes / MIB}\n")


if __name__ == "__main__":
    child(sys.argv[1])
