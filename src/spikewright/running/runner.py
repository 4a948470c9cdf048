"""Runs of a lowered network: the one way from inputs to outputs and spikes, some samples at a time.

`Conversion.run` keeps everything, `Conversion.evaluate` its measures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from types import MethodType
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikewright import engines
from spikewright.engines import Engine, Execution, MemoryNeed, Precision, Program, Totals
from spikewright.graph.masks import Real
from spikewright.lower import Lowered
from spikewright.measure import Population
from spikewright.network import Connection, Ensemble, Network, Node
from spikewright.running.inputs import Encoded
from spikewright.running.own_steps import OwnSteps, steps_done
from spikewright.running.recording import layers_of, probes_of, real_of


def fingerprint(network: Network) -> tuple:
    """Equal for two states of a network exactly if it need not be compiled again."""
    return (
        tuple((_same(net), net.seed, net.dt) for net in (network, *network.all_networks)),
        tuple(_description(ensemble) for ensemble in network.all_ensembles),
        tuple(_link(connection) for connection in network.all_connections),
        tuple(_node(node) for node in network.all_nodes),
    )


def _node(node: Node) -> tuple:
    return _same(node), node.restart_every, node.at_once, node.once, _value(node.output)


def _same(item: Any) -> MethodType:
    """An object as a key: equal to itself alone, and alive as long as the key is."""
    return MethodType(_same, item)  # methods are equal if their objects are the same


def _description(ensemble: Ensemble) -> tuple:
    """Everything of an ensemble that a program is compiled from."""
    given = (
        ensemble.gain,
        ensemble.bias,
        ensemble.max_rates,
        ensemble.intercepts,
        ensemble.rate_scale,
        ensemble.initial_voltage,
        *ensemble.initial_state.values(),
        ensemble.encoders,
        ensemble.eval_points,
        ensemble.noise,
    )
    plain = (
        ensemble.neuron_type,
        ensemble.seed,
        ensemble.restart_every,
        ensemble.radius,
        ensemble.n_eval_points,
        ensemble.normalize_encoders,
        tuple(ensemble.initial_state),
    )
    return (_same(ensemble), *plain, *map(_value, given))


def _link(connection: Connection) -> tuple:
    """Everything of a connection that a program is compiled from, but for its ends."""
    decoding = (connection.function, connection.eval_points, connection.solver)
    rules = tuple(_same(rule.learning_rule_type) for rule in connection.learning_rules)
    learned = tuple((name, _value(values)) for name, values in connection.learned.items())
    return (
        _same(connection),
        connection.synapse,
        _value(connection.delay),
        _value(connection.transform),
        *map(_value, decoding),
        connection.scale_eval_points,
        connection.seed,
        rules,
        learned,
    )


def _value(item: Any) -> Any:
    """Something comparable that changes when an attribute, or an array in it, does."""
    if item is None or isinstance(item, float | str | tuple):
        return item
    if isinstance(item, np.ndarray):
        return item.shape, blake2b(item.tobytes()).digest()
    return _same(item)


_ENCODED = 512 * 2**20  # bytes of encoded input of samples that run side by side

Counted = TypeVar("Counted")


class RunJob(NamedTuple):
    """A run to be done: inputs `(batch, steps or 1, *shape)` for `steps` steps.

    With several `frames` inputs are `(batch, frames or 1, *shape)`, and each of them is a sample by
    itself, for `steps` steps.
    """

    program: Program
    engine: Engine
    feeds: Mapping[Node, NDArray | Encoded]
    batch: int
    steps: int
    frames: int = 1


@dataclass(frozen=True, eq=False)
class RunPart(Generic[Counted]):
    """Some samples of a run.

    `raw` are outputs at every step `(samples, steps, *out)` before the activations on them.
    `recorded` are hidden layers, in order. `counted` holds the results of counting spikes, by step.
    """

    samples: slice
    raw: dict[str, NDArray]
    recorded: list[NDArray]
    counted: dict[int, Counted]


class Runner:
    """Runs a lowered network. Programs and engines are kept until the network is changed."""

    def __init__(self, lowered: Lowered) -> None:
        self.lowered = lowered
        self._programs: dict[tuple, Program] = {}
        self._needs: dict[tuple, MemoryNeed] = {}
        self._engines: dict[tuple[str, int | None], Engine] = {}

    def populations(self) -> dict[str, Ensemble]:
        """The layers that have neurons, by name, in order."""
        exact = self.lowered.exact_values
        items = self.lowered.layers.items()
        return {n: o for n, o in items if n in exact and isinstance(o, Ensemble)}

    def counting(self) -> dict[str, Ensemble]:
        """All populations whose spikes are counted: the layers, then those made by hand.

        These go by their labels, or places, with a number where a name is taken: names that a saved
        network has too.
        """
        found = self.populations()
        known = set(found.values())
        for place, ensemble in enumerate(self.lowered.network.all_ensembles):
            if not (ensemble in known or ensemble.is_direct):
                name = ensemble.label or f"ensemble {place + 1}"
                found[name if name not in found else f"{name} ({place + 1})"] = ensemble
        return found

    def counted(self, totals: Mapping[str, Totals]) -> dict[str, Population]:
        """The spike counts of neurons by layer, with the factors needed to read them."""
        return {name: _population(total) for name, total in totals.items()}

    def sending_steps(self, own: int) -> dict[str, int]:
        """The steps that each population has sent in, at least one.

        That is when the last output has done so many steps of its own.
        """
        found = steps_done(self.lowered, self.counting(), own)
        if found is None:
            return dict.fromkeys(self.counting(), max(1, own))
        return {name: max(1, done.sending) for name, done in found.items()}

    def program(
        self,
        dt: float,
        seed: int,
        precision: Precision,
        record: tuple[str, ...] = (),
        own_steps: bool = True,
        moving: frozenset[Node] = frozenset(),
    ) -> Program:
        """The compiled program; layers in `record` are recorded behind the outputs.

        Layers that start one after the other run side by side in it, each in its `own_steps`. It
        cannot halt in between then: without it can. Values of `moving` inputs differ from step to
        step.
        """
        key = (dt, seed, precision, record, own_steps, moving, fingerprint(self.lowered.network))
        program = self._programs.get(key)
        if program is None:
            outputs, layers = self.lowered.outputs, layers_of(self.lowered, record)
            probes = [*probes_of(outputs), *probes_of(layers)]
            program = engines.compile_network(
                self.lowered.network, dt, seed, precision, probes, own_steps=own_steps
            )
            program = program.with_varying_sources(moving) if moving else program
            self._programs.clear()
            self._needs.clear()
            self._programs[key] = program
        return program

    def engine(self, name: str, program: Program, threads: int | None = None) -> Engine:
        """The engine: it holds weights in its own form."""
        key = (name, threads)
        if key not in self._engines:
            self._engines[key] = engines.get(name, program, threads)
        return self._engines[key]

    def batch_size(self, engine: Engine, encoded: int = 0) -> int:
        """Samples to run side by side; `encoded` are bytes of encoded input a sample."""
        widest = max(1, self.lowered.network.n_neurons)
        most = min(engine.batch_values // widest, _ENCODED // max(1, encoded))
        return int(np.clip(most, 1, 256))

    def memory(self, job: RunJob, size: int, keep_totals: bool = True) -> MemoryNeed:
        """Memory that a job needs, in bytes, run `size` samples at a time, with totals kept or not.

        While a part is run, what is kept of all samples is filled as far as the parts before.
        """
        length = self.length(job)
        key = (job.program, job.engine, job.batch, length, size, keep_totals)
        if key not in self._needs:
            self._needs[key] = self._need(job, size, length, keep_totals)
        return self._needs[key]

    def _need(self, job: RunJob, size: int, length: int, keep_totals: bool) -> MemoryNeed:
        of_job, tally = (job.program, job.engine), frozenset(self.counting().values())
        kinds = ("recording", "totals") if keep_totals else ("recording",)
        parts = []
        for before in range(0, job.batch, size)[-2:]:  # the last ones, of which one may be smaller
            count = min(size, job.batch - before)
            before, count = before * job.frames, count * job.frames
            need = engines.PreparedRun(*of_job, count, tally).whole(length, last=True)
            kept = engines.PreparedRun(*of_job, before, tally, count).kept(length)
            parts.append(MemoryNeed((*need, *kept.only(*kinds))))
        return max(parts, key=lambda memory: memory.bytes)

    def length(self, job: RunJob) -> int:
        """The steps of the program that a job takes."""
        return OwnSteps.of(self.lowered, job.steps, job.program).length

    def parts(
        self,
        job: RunJob,
        size: int,
        count: Callable[[int, dict[str, Totals], dict[Node, NDArray]], Counted],
        at: Collection[int] = (),
        advance: Callable[[int], None] = lambda done: None,
    ) -> Iterator[RunPart[Counted]]:
        """Run `size` samples at a time; `advance` takes samples times steps that were done.

        `count(step, {population: totals}, fed)` makes the wanted counts from the spikes of each
        neuron up to the steps in `at`, and up to the last; `fed` holds the feeds of the samples.
        """
        for start in range(0, job.batch, size):
            samples = slice(start, min(start + size, job.batch))
            yield self._part(job, samples, count, sorted({*at, job.steps}), advance)

    def _part(
        self,
        job: RunJob,
        samples: slice,
        count: Callable[[int, dict[str, Totals], dict[Node, NDArray]], Counted],
        stops: Sequence[int],
        advance: Callable[[int], None],
    ) -> RunPart[Counted]:
        """One part of `parts`: nothing of it is held here when the next one is run."""
        populations = self.counting()
        n = (samples.stop - samples.start) * job.frames
        own = OwnSteps.of(self.lowered, job.steps, job.program)
        fed = {node: _framed(value[samples], job.frames) for node, value in job.feeds.items()}
        real = real_of(self.lowered, job.feeds, samples)
        execution = Execution(job.program, job.engine, n, populations.values())
        found: list[list[NDArray]] = []
        counted: dict[int, Counted] = {}
        done = 0
        for number in stops:
            last, stop = number == job.steps, own.stops(self.lowered, number)
            given = {node: _between(value, done, stop) for node, value in fed.items()}
            found.append(execution.run(stop - done, given, _times(advance, n), last=last))
            length = number * job.frames
            totals = {e: t.of_frames(job.frames, length) for e, t in execution.summed().items()}
            by_name = {
                name: _counting(totals[e], real, name)
                for name, e in populations.items()
                if e in totals
            }
            counted[length] = count(length, by_name, fed)
            done = stop
        whole = (_joined_in_time(pieces) for pieces in zip(*found, strict=True))
        kept = own.kept(self.lowered, job.program, whole)
        kept = [value.reshape(n // job.frames, -1, *value.shape[2:]) for value in kept]
        outputs = dict(zip(self.lowered.outputs, kept, strict=False))
        return RunPart(samples, outputs, kept[len(outputs) :], counted)


class Whole:
    """Arrays `{name: (batch, ...)}` that are filled in part by part, so that they exist once."""

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self.arrays: dict[str, NDArray] = {}

    def add(self, samples: slice, arrays: Mapping[str, NDArray]) -> None:
        """Fill in some samples; all of them at once stay where they are."""
        for name, array in arrays.items():
            if len(array) == self._batch:
                self.arrays[name] = array
                continue
            if name not in self.arrays:
                self.arrays[name] = np.empty((self._batch, *array.shape[1:]), array.dtype)
            self.arrays[name][samples] = array


class Collected(NamedTuple):
    """The outputs, recorded layers and spike counts of all samples."""

    raw: dict[str, NDArray]
    recorded: dict[str, NDArray]
    totals: dict[str, Totals]


def collected(
    parts: Iterable[RunPart[dict[str, Totals]]], batch: int, record: Sequence[str] = ()
) -> Collected:
    """All parts as one; `record` names the layers that were recorded."""
    raw, layers, totals = Whole(batch), Whole(batch), dict[str, Totals]()
    for part in parts:
        raw.add(part.samples, part.raw)
        layers.add(part.samples, dict(zip(record, part.recorded, strict=True)))
        _add_totals(totals, part, batch)
        del part  # before the next one is run
    return Collected(raw.arrays, layers.arrays, totals)


def _add_totals(totals: dict[str, Totals], part: RunPart[dict[str, Totals]], batch: int) -> None:
    """Fill in a part's totals up to the last step; those of all samples stay where they are."""
    steps = max(part.counted)
    for name, found in part.counted[steps].items():
        if len(found.sent) == batch:
            totals[name] = found
            continue
        if name not in totals:
            totals[name] = Totals.empty(found.ensemble, batch, steps)
        totals[name].put(part.samples, found.sent, found.net)
        if found.real is not None:
            totals[name] = totals[name].with_real(part.samples, found.real)


def _framed(fed: NDArray, frames: int) -> NDArray:
    """Values `(batch, frames or 1, *shape)` with each frame as a sample, one after the other."""
    if frames == 1:
        return fed
    shape = (len(fed), frames, *fed.shape[2:])
    return np.broadcast_to(fed, shape).reshape(-1, 1, *shape[2:])


def _between(fed: NDArray, start: int, stop: int) -> NDArray:
    """The values fed in the steps from `start` to `stop`; a constant stays one step."""
    return fed if fed.shape[1] == 1 else fed[:, start:stop]


def _times(advance: Callable[[int], None], samples: int) -> Callable[[int], None]:
    """Progress of some samples in steps, reported in samples times steps."""
    return lambda steps: advance(samples * steps)


def _joined_in_time(pieces: tuple[NDArray, ...]) -> NDArray:
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)


def _counting(totals: Totals, real: Real | None, name: str) -> Totals:
    """The totals of a layer without those of padding."""
    counts = None if real is None else real.of(name)
    return totals if counts is None else totals.where(counts)


def _population(totals: Totals) -> Population:
    kind, every = totals.ensemble.neuron_type, totals.ensemble.restart_every
    scale, amplitude = totals.ensemble.rate_scale, kind.amplitude
    return Population(
        totals=totals.sent,
        spiking=kind.spiking,
        scale=scale,
        cap=kind.most_spikes,
        net=totals.net,
        amplitude=amplitude,
        assumed=kind.assumed,
        window=len(kind.spike_heights) if kind.sends_digits else every,  # own steps of a row
        heights=kind.spike_heights,
        real=totals.real,
    )
