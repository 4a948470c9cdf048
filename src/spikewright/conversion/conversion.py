"""A converted network: run it, measure it, verify it, change it, save it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright import engines
from spikewright._progress import progress_bar
from spikewright.conversion.encoding import Encoded, feeds_of
from spikewright.conversion.inputs import as_arrays, batch_of
from spikewright.conversion.storage import load_parts, save
from spikewright.conversion.trace import Trace
from spikewright.conversion.verification import verify
from spikewright.encoders import Encoder
from spikewright.engines import Engine, Execution, Memory, Plan, Precision, Program
from spikewright.engines.memory import available
from spikewright.engines.settings import check_settings
from spikewright.errors import ConversionError, Refusal, SimulationError
from spikewright.graph import Graph
from spikewright.lower import Lowered
from spikewright.measure import Population, Run
from spikewright.network import Ensemble, Network, Node, Probe
from spikewright.network.network import detached
from spikewright.network.shapes import is_number, is_whole

_BATCH_VALUES = 4_000_000  # neurons times samples simulated side by side
_ENCODED = 512 * 2**20  # bytes of encoded input of samples that run side by side


class Job(NamedTuple):
    """What is to be run: inputs `(batch, steps or 1, *shape)` for `steps` steps."""

    program: Program
    engine: Engine
    feeds: Mapping[Node, NDArray | Encoded]
    batch: int
    steps: int


@dataclass(eq=False, repr=False)
class Conversion:
    """A source model as a network.

    `network` is the network, to change, probe or embed; `layers[name]` is the ensemble or node that
    a source layer became (a part of); `inputs` and `outputs` are its ends; `trace` says what was
    done. `graph` is the model as read, and `activations` runs the source model (None for a
    conversion that was loaded from a file). `arguments` are those of `convert` that it was made
    with; it does not know them any more when it was loaded from a file.
    """

    lowered: Lowered
    graph: Graph
    canonical: Graph
    trace: Trace
    activations: Callable[[Mapping[str, NDArray]], dict[str, NDArray]] | None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    _convert: Callable[[Mapping[str, Any]], Conversion] | None = field(default=None, repr=False)
    _programs: dict[tuple, Program] = field(default_factory=dict, repr=False)
    _engines: dict[tuple[str, int | None], Engine] = field(default_factory=dict, repr=False)

    @property
    def network(self) -> Network:
        """The network."""
        return self.lowered.network

    @property
    def layers(self) -> Mapping[str, Ensemble | Node]:
        """The ensemble or node that each source layer became, or became a part of."""
        return self.lowered.layers

    @property
    def inputs(self) -> Mapping[str, Node]:
        """Input nodes by name."""
        return self.lowered.inputs

    @property
    def outputs(self) -> Mapping[str, Ensemble | Node]:
        """What each output is read from, by name."""
        return self.lowered.outputs

    def again(self, **changes: Any) -> Conversion:
        """The same model converted once more, without reading it, with these arguments changed.

        Takes the arguments of `convert` but `example_input`. Raises as `convert` does, and
        `ConversionError` for unknown arguments and for a conversion that was loaded from a file.
        """
        if self._convert is None:
            reason = "it was loaded from a file, which holds the network and not the model"
            raise refuse("again", reason, "Convert the model")
        unknown = sorted(set(changes) - set(self.arguments))
        if unknown:
            known = f"Arguments are {', '.join(self.arguments)}"
            raise refuse(unknown[0], "convert has no such argument", known)
        return self._convert({**self.arguments, **changes})

    def populations(self) -> dict[str, Ensemble]:
        """The layers that have neurons, by name, in order."""
        return {name: o for name, o in self._objects() if isinstance(o, Ensemble)}

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {e.n_neurons}" for name, e in self.populations().items())
        return f"<Conversion with neurons {sizes or 'nowhere'}>"

    def _objects(self) -> list[tuple[str, Ensemble | Node]]:
        return [(n, o) for n, o in self.layers.items() if n in self.lowered.exact_values]

    def run(
        self,
        x: Any,
        steps: int | None = None,
        dt: float = 0.001,
        seed: int = 0,
        *,
        engine: str = "auto",
        precision: Precision = "float32",
        batch_size: int | None = None,
        progress: bool = True,
        threads: int | None = None,
        encoder: Encoder | Mapping[str, Encoder] | None = None,
    ) -> Run:
        """Run for `steps` steps of `dt` seconds.

        `x` is `(batch, *shape)` held constant or `(batch, steps, *shape)`; with several inputs
        `{name: array}`. `encoder`, one of `spikewright.encoders` or `{input name: encoder}`, makes
        spikes of values, or currents of frames and of events. `batch_size` samples run side by side
        (default: as memory suggests), on `threads` threads (default: the engine's choice); neither
        changes a result of an exact engine. Raises `SimulationError` for input of the wrong shape
        or not finite, for settings that no run can have and, before anything is computed, where
        memory does not suffice (see `memory`); `MissingExtraError` for an engine that is not
        installed.
        """
        _check_run(dt, seed, precision, batch_size, threads)
        fed = feeds_of(x, self.inputs, encoder, steps, dt, seed)
        batch, steps = fed.batch, fed.steps
        program = self._program(dt, seed, precision)
        chosen = self._engine(engine, program, threads)
        job = Job(program, chosen, fed.values, batch, steps)
        size = batch_size or self._batch_size(fed.sample_bytes())
        self._memory(job, size).only("recording", "totals").require(
            available(), f"a run of {batch} samples and {steps} steps"
        )
        with progress_bar(batch * steps, progress, "samples x steps") as advance:
            raw, totals = self._in_parts(job, size, advance)
        record = {
            "batch": batch,
            "seed": seed,
            "engine": chosen.name,
            "guarantee": chosen.bound,
            "precision": precision,
            **({} if encoder is None else {"encoder": repr(encoder)}),
        }
        run = Run(
            raw,
            {name: layer.evaluate for name, layer in self.lowered.readouts.items()},
            {name: self._population(name, totals[name]) for name in totals},
            dt,
            steps,
            record,
        )
        self._warn_of_few_spikes(run)
        return run

    def plan(
        self,
        dt: float = 0.001,
        seed: int = 0,
        *,
        engine: str = "auto",
        precision: Precision = "float32",
    ) -> Plan:
        """What runs how in such a run: operator, kernel and why; print it for a table.

        Raises as `run` does for settings that no run can have.
        """
        _check_run(dt, seed, precision)
        program = self._program(dt, seed, precision)
        return self._engine(engine, program).explain(program)

    def memory(
        self,
        batch: int,
        steps: int,
        dt: float = 0.001,
        *,
        engine: str = "auto",
        precision: Precision = "float32",
        batch_size: int | None = None,
        threads: int | None = None,
    ) -> Memory:
        """What such a run of `batch` samples needs, in bytes; print it for a table.

        An upper bound beside the network, its weights and the input, which is held constant: state
        and work of the samples that run side by side, outputs and spike counts of all. `run` raises
        `SimulationError` by it. Raises as `run` does for settings that no run can have.
        """
        _check_run(dt, 0, precision, batch_size, threads)
        for name, number in (("batch", batch), ("steps", steps)):
            if not (is_whole(number) and number >= 1):
                raise SimulationError(f"{name} must be a whole number from 1, got {number!r}")
        program = self._program(dt, 0, precision)
        chosen = self._engine(engine, program, threads)
        return self._memory(
            Job(program, chosen, {}, batch, steps), batch_size or self._batch_size()
        )

    def _memory(self, job: Job, size: int) -> Memory:
        """What a job needs, run `size` samples at a time."""
        tally = frozenset(self.populations().values())
        count = min(size, job.batch)
        needed = engines.Setting.of(job.program, job.engine, count, tally).whole(job.steps)
        if job.batch <= size:
            return needed
        of_all = engines.Setting.of(job.program, job.engine, job.batch, tally)
        kept = [
            part._replace(bytes=2 * part.bytes, how=f"{part.how}, twice while they are joined")
            if part.kind == "recording"
            else part
            for part in of_all.kept(job.steps)
        ]
        return Memory((*needed.only("state", "signals", "work"), *kept))

    def _in_parts(
        self, job: Job, size: int, advance: Callable[[int], None]
    ) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
        """Outputs and summed spikes of all samples, run `size` at a time."""
        populations = self.populations()
        raw: dict[str, list[NDArray]] = {name: [] for name in self.outputs}
        totals: dict[str, list[NDArray]] = {name: [] for name in populations}
        for start in range(0, job.batch, size):
            part = {node: v[start : start + size] for node, v in job.feeds.items()}
            count = min(size, job.batch - start)
            execution = Execution(job.program, job.engine, count, populations.values())
            found = execution.run(job.steps, part, partial(_advance, advance, count), last=True)
            for name, array in zip(raw, found, strict=True):
                raw[name].append(array)
            counted = execution.totals()
            for name, ensemble in populations.items():
                totals[name].append(counted[ensemble])
        return _joined(raw), _joined(totals)

    def _batch_size(self, encoded: int = 0) -> int:
        """Samples to run side by side; `encoded` are bytes of encoded input a sample."""
        widest = max(1, self.network.n_neurons)
        most = min(_BATCH_VALUES // widest, _ENCODED // max(1, encoded))
        return int(np.clip(most, 1, 256))

    def _population(self, name: str, totals: NDArray) -> Population:
        ensemble = self.populations()[name]
        neuron_type = ensemble.neuron_type
        return Population(
            totals,
            neuron_type.spiking,
            ensemble.rate_scale,
            getattr(neuron_type, "max_spikes_per_step", None),
        )

    def _program(self, dt: float, seed: int, precision: Precision) -> Program:
        """The compiled program, kept between runs until the network is changed."""
        key = (dt, seed, precision, self._fingerprint())
        if key not in self._programs:
            with detached(), Network():  # probes of this run alone, not of the network
                probes = [Probe(_end(item)) for item in self.outputs.values()]
            program = engines.compile_network(self.network, dt, seed, precision, probes)
            self._programs.clear()
            self._programs[key] = program
        return self._programs[key]

    def _engine(self, name: str, program: Program, threads: int | None = None) -> Engine:
        """The engine, kept between runs: it holds weights in its own form."""
        key = (name, threads)
        if key not in self._engines:
            self._engines[key] = engines.get(name, program, threads)
        return self._engines[key]

    def _fingerprint(self) -> tuple:
        """What of the network a user may have changed since it was compiled."""
        network = self.network
        return (
            tuple((_Same(net), net.seed) for net in (network, *network.all_networks)),
            tuple(_description(ensemble) for ensemble in network.all_ensembles),
            tuple((_Same(c), c.synapse, _Same(c.transform)) for c in network.all_connections),
            tuple((_Same(node), _value(node.output)) for node in network.all_nodes),
        )

    def as_inputs(self, x: Any) -> dict[str, NDArray]:
        """What a user gave as `{input name: float64 array}`; tensors of any framework are taken.

        Raises `SimulationError` where names do not match the inputs, or values are not finite.
        """
        return as_arrays(x, self.inputs)

    def _warn_of_few_spikes(self, run: Run) -> None:
        for name, population in run.populations.items():
            if population.spiking:
                mean = float(population.totals.mean())
                if mean < 1.0:
                    self.trace.add(
                        "run",
                        name,
                        f"{mean:.2g} spikes a neuron in {run.steps} steps of {run.dt} s: values "
                        "are coarse; raise scale_firing_rates or steps",
                        "warning",
                    )

    def verify(self, x: Any = None, rtol: float = 1e-4, seed: int = 0) -> dict[str, float]:
        """Compare the source model with its unscaled rate network, layer by layer.

        `x` is input as for `run`, held constant, or None for seeded random input. Returns
        `{layer: max|a - b| / max|a|}`; raises `VerificationError` naming the first layer of the
        source that is above `rtol`, and `SimulationError` for input that is not finite numbers.
        """
        if not (is_number(rtol) and rtol >= 0):
            raise SimulationError(f"rtol must be a number from 0, got {rtol!r}")
        arrays = None if x is None else self.as_inputs(x)
        if arrays is not None:
            batch_of(arrays)
        return verify(self, arrays, rtol, seed)

    def save(self, path: str | Path) -> None:
        """Write the conversion to one file, atomically; `spikewright.load` reads it.

        Raises `NetworkError` naming what a file cannot hold, before anything is written.
        """
        save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Conversion:
        """Read a conversion that was saved; the source framework is not needed.

        Raises `FileNotFoundError` or `DamagedFileError`.
        """
        return cls(*load_parts(path), activations=None)


def _check_run(
    dt: Any, seed: Any, precision: Any, batch_size: Any = None, threads: Any = None
) -> None:
    """Raise `SimulationError` for settings that no run can have."""
    check_settings(dt, precision, batch_size, SimulationError, threads)
    if not (is_whole(seed) and seed >= 0):
        raise SimulationError(f"seed must be a whole number from 0, got {seed!r}")


def _advance(advance: Callable[[int], None], samples: int, steps: int) -> None:
    """Progress of a part of the batch, in samples times steps."""
    advance(samples * steps)


def _joined(parts: Mapping[str, list[NDArray]]) -> dict[str, NDArray]:
    return {name: p[0] if len(p) == 1 else np.concatenate(p) for name, p in parts.items()}


class _Same:
    """An object as a key: equal to itself alone, and alive as long as the key is."""

    def __init__(self, item: Any) -> None:
        self.item = item

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.item is self.item

    def __hash__(self) -> int:
        return id(self.item)


def _description(ensemble: Ensemble) -> tuple:
    """Everything of an ensemble that a program is compiled from."""
    given = (
        ensemble.gain,
        ensemble.bias,
        ensemble.max_rates,
        ensemble.intercepts,
        ensemble.rate_scale,
        ensemble.initial_voltage,
    )
    return (_Same(ensemble), ensemble.neuron_type, ensemble.seed, *map(_value, given))


def _value(item: Any) -> Any:
    """Something comparable that changes when an attribute, or an array in it, does."""
    if isinstance(item, np.ndarray):
        return item.shape, item.tobytes()
    return item if item is None or isinstance(item, str | tuple) else _Same(item)


def _end(item: Ensemble | Node) -> Any:
    return item.neurons if isinstance(item, Ensemble) else item


def refuse(what: str, reason: str, options: str = "") -> ConversionError:
    """An error about one argument of `convert`."""
    return ConversionError([Refusal(what, "argument", reason, options)])
