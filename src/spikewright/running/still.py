"""Networks that answer in one step: exact sums, the same on every machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright import engines
from spikewright.engines import Precision, Totals
from spikewright.lower import Lowered
from spikewright.network import Node
from spikewright.running.encoding import Encoded, Feeds
from spikewright.running.runner import Job, Runner


class Answers(NamedTuple):
    """Answers of a network without time: values `{output: (samples, *shape)}`, active neurons.

    `active` is the number of neurons of each sample whose value is not 0, `(samples,)`.
    """

    outputs: Mapping[str, NDArray]
    active: NDArray


class StillNetwork:
    """A network that answers in one step of `dt` seconds, on an exact engine."""

    def __init__(
        self, lowered: Lowered, dt: float, seed: int, precision: Precision, threads: int | None
    ) -> None:
        self._runner = Runner(lowered)
        self._program = self._runner.program(dt, seed, precision)
        name = "native" if "native" in engines.available() else "reference"
        self._engine = self._runner.engine(name, self._program, threads)

    def answers(self, feeds: Feeds, names: Mapping[Node, str]) -> Answers:
        """The answers to the values fed to the inputs of these names.

        It knows no time: it answers the mean over the steps of an input that changes,
        and the values themselves that an encoder makes spikes of.
        """
        lowered = self._runner.lowered
        fed = {lowered.inputs[names[node]]: held(value) for node, value in feeds.values.items()}
        job = Job(self._program, self._engine, fed, feeds.batch, 1)
        size = self._runner.batch_size(self._engine)
        found = list(self._runner.parts(job, size, _active))
        raw = {n: np.concatenate([part.raw[n][:, 0] for part in found]) for n in found[0].raw}
        outputs = {
            name: lowered.readouts[name].evaluate(value) if name in lowered.readouts else value
            for name, value in raw.items()
        }
        return Answers(outputs, np.concatenate([part.counted[1] for part in found]))


def _active(step: int, totals: Mapping[str, Totals], fed: Mapping[Node, NDArray]) -> NDArray:
    """The number of neurons of each sample that send anything."""
    none = np.zeros(len(next(iter(fed.values()))), np.int64)
    sent = (np.count_nonzero(t.sent.reshape(len(t.sent), -1), axis=1) for t in totals.values())
    return sum(sent, none)


def held(fed: NDArray | Encoded) -> NDArray:
    """The input as one step, `(samples, 1, *shape)`: its mean over the steps."""
    if isinstance(fed, Encoded):
        if fed.plain:
            return np.asarray(fed.samples, np.float64)[:, None]
        rows = [fed[i : i + 1].mean(axis=1, keepdims=True) for i in range(len(fed.samples))]
        return np.concatenate(rows)
    return fed if fed.shape[1] == 1 else fed.mean(axis=1, keepdims=True)
