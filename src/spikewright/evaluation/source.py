"""The source model's outputs, for comparison: exact sums, the same on every machine.

They are those of the unscaled rate network of the graph that was read, on an exact engine: unlike a
matrix library's, its results depend neither on the batch nor on processor and threads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright import engines
from spikewright.engines import Precision
from spikewright.graph import Graph
from spikewright.lower import Options, lower
from spikewright.network import Node
from spikewright.passes.standard import run as run_passes
from spikewright.running.encoding import Encoded, Feeds
from spikewright.running.runner import Job, Runner


class SourceNetwork:
    """The rate network of a graph that was read."""

    def __init__(self, graph: Graph, precision: Precision, threads: int | None) -> None:
        canonical, _ = run_passes(graph)
        self._runner = Runner(lower(canonical, Options()))
        self._program = self._runner.program(1.0, 0, precision)
        name = "native" if "native" in engines.available() else "reference"
        self._engine = self._runner.engine(name, self._program, threads)

    def outputs(self, feeds: Feeds, names: dict[Node, str]) -> dict[str, NDArray]:
        """Values `{output: (samples, *shape)}` of the values fed to the inputs of these names.

        A source model knows no time: it answers the mean over the steps of an input that changes,
        and the values themselves that an encoder makes spikes of.
        """
        lowered = self._runner.lowered
        fed = {lowered.inputs[names[node]]: held(value) for node, value in feeds.values.items()}
        job = Job(self._program, self._engine, fed, feeds.batch, 1)
        size = self._runner.batch_size(self._engine)
        parts = self._runner.parts(job, size, lambda *counted: None)
        found = [part.raw for part in parts]
        raw = {name: np.concatenate([part[name][:, 0] for part in found]) for name in found[0]}
        return {
            name: lowered.readouts[name].evaluate(value) if name in lowered.readouts else value
            for name, value in raw.items()
        }


def held(fed: NDArray | Encoded) -> NDArray:
    """The input as one step, `(samples, 1, *shape)`: its mean over the steps."""
    if isinstance(fed, Encoded):
        if fed.plain:
            return np.asarray(fed.samples, np.float64)[:, None]
        rows = [fed[i : i + 1].mean(axis=1, keepdims=True) for i in range(len(fed.samples))]
        return np.concatenate(rows)
    return fed if fed.shape[1] == 1 else fed.mean(axis=1, keepdims=True)
