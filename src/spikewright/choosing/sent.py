"""Means that neurons send over some samples, and those of the source's values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.calibration import count, parts
from spikewright.choosing.layer_by_layer import LayerByLayer
from spikewright.choosing.statistics.batches import Batch
from spikewright.engines import Totals
from spikewright.graph import evaluate_all
from spikewright.graph.masks import Real
from spikewright.network import Ensemble
from spikewright.running.converted import Converted
from spikewright.running.encoding import feeds_of
from spikewright.running.runner import Job, Runner

_VALUES = 8_000_000  # values of the source that are held at once
_DEEP = 16
"""Layers from which one pass by the reference's kernels costs less than native runs up to each.

That is so for the sums of a single number of steps; with several of them, runs halt at each.
"""

Means = dict[str, NDArray]


class Sending(Protocol):
    """Gives the means of a network's layers, asked in their order; layers may change in between."""

    def means(self, name: str) -> NDArray:
        """The mean of every neuron of a layer, as it is now, over the first steps up to each one.

        Returns `(numbers of steps, *shape)`, in the unit of the source's values.
        """
        ...


def sending(conversion: Converted, samples: Batch, at: Collection[int], dt: float) -> Sending:
    """The means of a network's layers over the first steps up to each in `at`.

    Layers run one by one, through all steps, where that costs less, they form no loop, and memory
    suffices. Others are run in step, again and again up to the layer that is asked for. Both send
    the same.
    """
    if len(at) > 1 or len(conversion.populations()) >= _DEEP:
        found = LayerByLayer.of(conversion, samples, at, dt)
        if found is not None:
            return found
    return _Again(conversion, samples, at, dt)


class _Again:
    """The network run up to a layer and the one behind it, each time that it may have changed."""

    def __init__(
        self, conversion: Converted, samples: Batch, at: Collection[int], dt: float
    ) -> None:
        self._conversion, self._samples, self._at, self._dt = conversion, samples, at, dt
        self._following = dict(pairwise([*conversion.populations(), None]))
        self._found: Means = {}

    def means(self, name: str) -> NDArray:
        """See `Sending`."""
        if name not in self._found:
            last = self._following[name]
            self._found = sent_up_to(self._conversion, self._samples, self._at, self._dt, last)
        return self._found.pop(name)


def source_means(conversion: Converted, samples: Batch, at: Collection[int], dt: float) -> Means:
    """The source's mean value of every neuron over the samples, cut off at the most it can send.

    Padding counts as 0 (see `shares`). Returns `(1, *shape)`, the same for all numbers of steps
    `at`. Where input comes at once they are `(len(at), *shape)`, in as many steps: neurons are to
    send all at once, as far as they can.
    """
    graph, populations = conversion.canonical, conversion.populations()
    once = conversion.lowered.at_once
    aims = {name: _aims(ensemble, once, at, dt) for name, ensemble in populations.items()}
    widest = sum(int(np.prod(shape)) for shape in graph.shapes.values())
    sums: dict[str, Any] = dict.fromkeys(populations, 0.0)
    for part in parts(samples, max(1, _VALUES // widest)):
        values, real = evaluate_all(graph, part), real_in(conversion, part)
        for name, wanted in aims.items():
            counts = None if real is None else real.of(name)
            value = values[name] if counts is None else np.where(counts, values[name], 0.0)
            means = [np.clip(value * n, -most, most).sum(axis=0) for n, most in wanted]
            sums[name] = sums[name] + np.stack(means)
    return {name: total / count(samples) for name, total in sums.items()}


def real_in(conversion: Converted, samples: Batch) -> Real | None:
    """The positions of samples that are no padding; None where all are."""
    masks = conversion.lowered.masks
    return None if masks is None else masks.real(samples)


def shares(conversion: Converted, samples: Batch) -> Means:
    """The share of the samples in which each neuron is no padding, of layers where that varies."""
    real, found = real_in(conversion, samples), {}
    if real is not None:
        for name, ensemble in conversion.populations().items():
            counts = real.whole(name, ensemble.shape)
            if counts is not None:
                found[name] = counts.mean(axis=0)
    return found


def sent_means(conversion: Converted, samples: Batch, steps: int, dt: float) -> Means:
    """The mean that every neuron sends over `steps` steps and all samples, by layer.

    In the unit of the source's values; spikes below zero take away, and padding sends nothing.
    """
    found = sent_up_to(conversion, samples, (steps,), dt)
    return {name: means[0] for name, means in found.items()}


def sent_up_to(
    conversion: Converted, samples: Batch, at: Collection[int], dt: float, last: str | None = None
) -> Means:
    """As `sent_means`, over the first steps up to each in `at`: `(len(at), *shape)`, by layer.

    Up to the layer `last` alone the network is run, where it is given.
    """
    steps = max(at)
    runner = Runner(conversion.lowered)
    fed = feeds_of(samples, conversion.inputs, None, steps, dt, 0)
    program = runner.program(dt, 0, "float32")
    if last is not None:
        program = program.up_to(conversion.populations()[last])
    read = {node: value for node, value in fed.values.items() if node in program.sources}
    job = Job(program, runner.engine("auto", program), read, fed.batch, steps)

    def summed(step: int, totals: Mapping[str, Totals], given: Any) -> Means:
        sent = runner.counted(totals)
        return {name: p.means(step, dt).sum(axis=0) for name, p in sent.items()}

    sums: dict[str, Any] = {}
    for part in runner.parts(job, runner.batch_size(job.engine), summed, at):
        for name in part.counted[steps]:
            total = np.stack([part.counted[step][name] for step in at])
            sums[name] = sums.get(name, 0.0) + total
    return {name: total / fed.batch for name, total in sums.items()}


def _aims(
    ensemble: Ensemble, once: int, at: Collection[int], dt: float
) -> list[tuple[float, NDArray]]:
    """The factor of the source's values and the most that is sent, as means of the steps `at`.

    In the first `once` steps all that these are to send is wanted at once.
    """
    if once == 1:
        return [(1.0, _most(ensemble, max(at), dt))]
    return [(max(steps, once) / steps, _most(ensemble, steps, dt)) for steps in at]


def _most(ensemble: Ensemble, steps: int, dt: float) -> NDArray:
    """The largest mean value that each neuron can send in so many steps."""
    most = ensemble.neuron_type.most_in(steps)
    height = ensemble.neuron_type.amplitude / (ensemble.rate_scale * dt)
    return np.full(ensemble.shape, np.inf) if most is None else height * (most / steps)
