"""Mean activations of spiking layers over some samples, and the means of the source's values.

A network may run one layer after the other: all samples and steps of one, then of the next. What
neurons sent is kept until the last layer that reads it has run. So to change a layer and run it
again costs that layer alone, and to do so with all of them what one run costs. Where memory is
short, a layer's currents are not kept but computed again, so that it costs two. The kernels are
those of the reference engine, so the spikes are those of a run.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright import engines
from spikewright.choosing.calibration import count, parts
from spikewright.choosing.statistics.collect import Batch
from spikewright.engines import Totals
from spikewright.engines.base import Engine
from spikewright.engines.kernel import Kernel
from spikewright.engines.operators import Generate, NodeSource, Operator, ScaledSum
from spikewright.engines.populations import Neurons
from spikewright.engines.program import Program
from spikewright.graph import evaluate_all
from spikewright.graph.masks import Real
from spikewright.network import Ensemble
from spikewright.running.inputs import feeds_of
from spikewright.running.protocols import ConversionLike
from spikewright.running.recording import real_of
from spikewright.running.runner import RunJob, Runner

_AT_ONCE = 2_000_000  # values of the widest signal that are worked on at once
_KEPT_BYTES = 2**31  # bytes that may be kept; fixed, so that nothing depends on the machine

Values = dict[int, NDArray]


class LayerwiseExecutor:
    """Runs the layers of a network one after the other, as their means are asked for.

    A layer that is asked for again may have other parameters than before; the others may not.
    """

    def __init__(
        self, conversion: ConversionLike, samples: Batch, at: Collection[int], dt: float
    ) -> None:
        self._runner, self._dt = Runner(conversion.lowered), dt
        self._at, self._steps = np.asarray(sorted(at)), max(at)
        self._populations = conversion.populations()
        fed = feeds_of(samples, conversion.inputs, None, self._steps, dt, 0)
        self._feeds, self._batch = fed.values, fed.batch
        self._real = real_of(conversion.lowered, fed.values, slice(None))
        self._sent: dict[Ensemble, NDArray] = {}
        self._layer: str | None = None
        self._form: object = None
        self._read: list[Values] = []  # by part, what the layer reads

    @classmethod
    def of(
        cls, conversion: ConversionLike, samples: Batch, at: Collection[int], dt: float
    ) -> LayerwiseExecutor | None:
        """One for a network without loops that starts once and whose spikes fit; else None."""
        if conversion.lowered.stepping is not None:
            return None
        found = cls(conversion, samples, at, dt)
        loops = any(component.loops for component in found._program().components)
        return None if loops or found._spikes > _KEPT_BYTES else found

    def means(self, name: str) -> NDArray:
        """The mean of every neuron of a layer, as it is now, over the first steps up to each one.

        Returns `(numbers of steps, *shape)`, in the unit of the source's values.
        """
        ensemble, program = self._populations[name], self._program()
        if name != self._layer:
            self._layer, self._form, self._read = name, None, []
            self._forget(program, ensemble)
        counts = self._sent[ensemble] = self._run(program, ensemble)
        real = None if self._real is None else self._real.whole(name, ensemble.shape)
        counts = counts if real is None else counts * real[:, None]
        totals = counts.sum(axis=0, dtype=np.float64).cumsum(axis=0)[self._at - 1]
        numbers = self._at.reshape(-1, *[1] * len(ensemble.shape))
        height = ensemble.neuron_type.amplitude / (ensemble.rate_scale * self._dt)
        found: NDArray = totals * height / (numbers * self._batch)
        return found

    def _forget(self, program: Program, ensemble: Ensemble) -> None:
        """Drop what was sent to the layers before this one alone."""
        order = list(self._populations.values())
        coming = order[order.index(ensemble) :]
        for known in self._sent.keys() - _read_by(program, coming, self._sent):
            del self._sent[known]

    def _program(self) -> Program:
        return self._runner.program(self._dt, 0, "float32")

    @cached_property
    def _spikes(self) -> int:
        """Bytes of what neurons sent, of the layers that are kept at once, where it is most."""
        order, program, most = list(self._populations.values()), self._program(), 0
        for number, ensemble in enumerate(order):
            kept = {ensemble, *_read_by(program, order[number:], order[:number])}
            most = max(most, sum(e.n_neurons for e in kept))
        return self._batch * self._steps * most

    @cached_property
    def _keeps(self) -> bool:
        """True where there is memory for a layer's currents."""
        widest = max((e.n_neurons for e in self._populations.values()), default=0)
        currents = self._batch * self._steps * 2 * 8 * widest  # about, in bytes
        return self._spikes + currents <= _KEPT_BYTES

    def _run(self, program: Program, ensemble: Ensemble) -> NDArray:
        """The counts `(batch, steps, *shape)` of a population, from what those before it sent."""
        sent = {_output(program, e): e for e in self._sent if e is not ensemble}
        before, own = _split_at(_leading(program, [ensemble], set(sent)), ensemble)
        form = [(op.label, op.inputs, op.output) for op in (*before, *own)]
        if form != self._form:
            self._form, self._read = form, []
        kept = {s for op in own for s in op.inputs} - {s for op in own for s in op.outputs}
        engine, kernels = engines.get("reference", program), dict[Operator, Kernel]()
        found = []
        for number, part in enumerate(self._parts(program, (*before, *own))):
            if number < len(self._read):
                values = dict(self._read[number])
            else:
                values = {s: self._sent[e][part].astype(np.float64) for s, e in sent.items()}
                self._advance(program, engine, before, values, part, kernels)
                values = {s: values[s] for s in kept}
                if self._keeps:
                    self._read.append(dict(values))
            self._advance(program, engine, own, values, part, kernels)
            found.append(_narrow(values[_output(program, ensemble)]))
        return np.concatenate(found)

    def _parts(self, program: Program, operators: Sequence[Operator]) -> list[slice]:
        widest = max(math.prod(program.shapes[s]) for op in operators for s in op.outputs)
        size = max(1, _AT_ONCE // max(1, widest * self._steps))
        return [slice(i, min(i + size, self._batch)) for i in range(0, self._batch, size)]

    def _advance(
        self,
        program: Program,
        engine: Engine,
        operators: Sequence[Operator],
        values: Values,
        part: slice,
        kernels: dict[Operator, Kernel],
    ) -> None:
        """Run operators through all steps of some samples; what they make goes to `values`."""
        size = part.stop - part.start
        for op in operators:
            if isinstance(op, NodeSource):
                fed = self._feeds.get(op.node)
                kernel = engine.source(op, program, None if fed is None else fed[part], 0)
            elif op in kernels:
                kernel = kernels[op]
            else:
                kernel = engine.kernel(op, program, size, False)
                if kernel.stateless:
                    kernels[op] = kernel
            made = kernel.run([values[s] for s in op.inputs], 0, self._steps)
            values.update(zip(op.outputs, made, strict=False))


def _output(program: Program, ensemble: Ensemble) -> int:
    """The signal of a population's spikes."""
    return program.neurons[ensemble].output


def _read_by(
    program: Program, ensembles: Sequence[Ensemble], sent: Collection[Ensemble]
) -> set[Ensemble]:
    """The populations whose sent values are read when these populations run."""
    known = {_output(program, e): e for e in sent}
    read = {s for op in _leading(program, ensembles, set(known)) for s in op.inputs}
    return {known[signal] for signal in known.keys() & read}


def _leading(program: Program, ensembles: Sequence[Ensemble], known: set[int]) -> list[Operator]:
    """The operators from signals that are known up to populations, in order."""
    makers = {s: op for op in program.operators for s in op.outputs}
    found: set[Operator] = set()
    waiting = [_output(program, ensemble) for ensemble in ensembles]
    while waiting:
        signal = waiting.pop()
        if signal in known or makers[signal] in found:
            continue
        found.add(makers[signal])
        waiting.extend(makers[signal].inputs)
    return [op for op in program.operators if op in found]


def _split_at(
    operators: Sequence[Operator], ensemble: Ensemble
) -> tuple[list[Operator], list[Operator]]:
    """The operators before a population, and those that add to its current and run it."""
    makers = {s: op for op in operators for s in op.outputs}
    own: set[Any] = {op for op in operators if isinstance(op, Neurons) and op.ensemble is ensemble}
    waiting = [s for op in own for s in op.inputs]
    while waiting:
        op = makers.get(waiting.pop())
        if isinstance(op, ScaledSum | Generate):
            own.add(op)
            waiting.extend(op.inputs)
    return [op for op in operators if op not in own], [op for op in operators if op in own]


def _narrow(counts: NDArray) -> NDArray:
    """Counts in the smallest type that holds them."""
    most = np.abs(counts).max(initial=0.0)
    for kind in (np.int8, np.int32):
        if most <= np.iinfo(kind).max:
            return counts.astype(kind)
    return np.asarray(counts)


_VALUES_AT_ONCE = 8_000_000  # values of the source that are held at once
_MANY_LAYERS = 16
"""Layers from which one pass by the reference's kernels costs less than native runs up to each.

That is so for the sums of a single number of steps; with several of them, runs halt at each.
"""

Means = dict[str, NDArray]


def activation_means(
    conversion: ConversionLike, samples: Batch, at: Collection[int], dt: float
) -> LayerwiseExecutor | PrefixRuns:
    """What measures the means of a network's layers, over the first steps up to each in `at`.

    Layers are asked for in their order, and may change in between. They run one by one, each
    through all steps, where that costs less, they form no loop, and memory suffices. Otherwise the
    network runs again up to the layer that is asked for. Both ways give the same means.
    """
    if len(at) > 1 or len(conversion.populations()) >= _MANY_LAYERS:
        found = LayerwiseExecutor.of(conversion, samples, at, dt)
        if found is not None:
            return found
    return PrefixRuns(conversion, samples, at, dt)


class PrefixRuns:
    """Runs the network up to the layer after the one asked for, whenever it may have changed."""

    def __init__(
        self, conversion: ConversionLike, samples: Batch, at: Collection[int], dt: float
    ) -> None:
        self._conversion, self._samples, self._at, self._dt = conversion, samples, at, dt
        self._following = dict(pairwise([*conversion.populations(), None]))
        self._found: Means = {}

    def means(self, name: str) -> NDArray:
        """See `LayerwiseExecutor.means`."""
        if name not in self._found:
            last = self._following[name]
            self._found = sent_means(self._conversion, self._samples, self._at, self._dt, last)
        return self._found.pop(name)


def source_means(
    conversion: ConversionLike, samples: Batch, at: Collection[int], dt: float
) -> Means:
    """The source's mean value of every neuron over the samples, cut off at the most it can send.

    Padding counts as 0 (see `shares`). Returns `(1, *shape)`, the same for all numbers of steps
    `at`. Where input comes at once they are `(len(at), *shape)`, in as many steps: neurons are to
    send all at once, as far as they can.
    """
    graph, populations = conversion.canonical, conversion.populations()
    once = conversion.lowered.at_once
    targets = {name: _targets(ensemble, once, at, dt) for name, ensemble in populations.items()}
    widest = sum(int(np.prod(shape)) for shape in graph.shapes.values())
    sums: dict[str, Any] = dict.fromkeys(populations, 0.0)
    for part in parts(samples, max(1, _VALUES_AT_ONCE // widest)):
        values, real = evaluate_all(graph, part), real_in(conversion, part)
        for name, wanted in targets.items():
            counts = None if real is None else real.of(name)
            value = values[name] if counts is None else np.where(counts, values[name], 0.0)
            means = [np.clip(value * n, -most, most).sum(axis=0) for n, most in wanted]
            sums[name] = sums[name] + np.stack(means)
    return {name: total / count(samples) for name, total in sums.items()}


def real_in(conversion: ConversionLike, samples: Batch) -> Real | None:
    """The positions of samples that are no padding; None where all are."""
    masks = conversion.lowered.masks
    return None if masks is None else masks.real(samples)


def shares(conversion: ConversionLike, samples: Batch) -> Means:
    """The share of the samples in which each neuron is no padding, of layers where that varies."""
    real, found = real_in(conversion, samples), {}
    if real is not None:
        for name, ensemble in conversion.populations().items():
            counts = real.whole(name, ensemble.shape)
            if counts is not None:
                found[name] = counts.mean(axis=0)
    return found


def sent_means(
    conversion: ConversionLike,
    samples: Batch,
    at: Collection[int],
    dt: float,
    last: str | None = None,
) -> Means:
    """The mean that every neuron sends over all samples and the steps up to each in `at`, by layer.

    They are `(len(at), *shape)`, in the unit of the source's values; spikes below zero take away,
    and padding sends nothing. Up to the layer `last` alone the network is run, where it is given.
    """
    steps = max(at)
    runner = Runner(conversion.lowered)
    fed = feeds_of(samples, conversion.inputs, None, steps, dt, 0)
    program = runner.program(dt, 0, "float32", own_steps={*at} == {steps})
    if last is not None:
        program = program.up_to(conversion.populations()[last])
    read = {node: value for node, value in fed.values.items() if node in program.sources}
    job = RunJob(program, runner.engine("auto", program), read, fed.batch, steps)

    def summed(step: int, totals: Mapping[str, Totals], given: Any) -> Means:
        sent = runner.counted(totals)
        return {name: p.means(step, dt).sum(axis=0) for name, p in sent.items()}

    sums: dict[str, Any] = {}
    for part in runner.parts(job, runner.batch_size(job.engine), summed, at):
        for name in part.counted[steps]:
            total = np.stack([part.counted[step][name] for step in at])
            sums[name] = sums.get(name, 0.0) + total
    return {name: total / fed.batch for name, total in sums.items()}


def _targets(
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
