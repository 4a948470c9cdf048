"""A converted network: run it, measure it, verify it, change it, save it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright import engines
from spikewright._progress import progress_bar
from spikewright.conversion.storage import load_parts, save
from spikewright.conversion.trace import Trace
from spikewright.conversion.verification import verify
from spikewright.engines import Engine, Execution, Precision, Program
from spikewright.errors import ConversionError, Refusal, SimulationError
from spikewright.graph import Graph
from spikewright.lower import Lowered
from spikewright.measure import Population, Run
from spikewright.network import Ensemble, Network, Node, Probe

_BATCH_VALUES = 4_000_000  # neurons times samples simulated side by side


@dataclass(eq=False)
class Conversion:
    """A source model as a network.

    `network` is the network, to change, probe or embed; `layers[name]` is the ensemble or node that
    a source layer became (a part of); `inputs` and `outputs` are its ends; `trace` says what was
    done. `graph` is the model as read, and `activations` runs the source model (None for a
    conversion that was loaded from a file).
    """

    lowered: Lowered
    graph: Graph
    canonical: Graph
    trace: Trace
    activations: Callable[[Mapping[str, NDArray]], dict[str, NDArray]] | None
    _programs: dict[tuple, Program] = field(default_factory=dict, repr=False)
    _engines: dict[str, Engine] = field(default_factory=dict, repr=False)

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

    def populations(self) -> dict[str, Ensemble]:
        """The layers that have neurons, by name, in order."""
        return {name: o for name, o in self._objects() if isinstance(o, Ensemble)}

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
    ) -> Run:
        """Run for `steps` steps of `dt` seconds.

        `x` is `(batch, *shape)` held constant or `(batch, steps, *shape)`; with several inputs
        `{name: array}`. `batch_size` samples run side by side (default: as memory suggests); it
        changes no result. Raises `SimulationError` for input of the wrong shape or not finite.
        """
        if not (np.isfinite(dt) and dt > 0):
            raise SimulationError(f"dt must be above 0 s, got {dt!r}")
        if batch_size is not None and batch_size < 1:
            raise SimulationError(f"batch_size must be None or at least 1, got {batch_size!r}")
        feeds, batch, steps = self._feeds(x, steps)
        program = self._program(dt, seed, precision)
        chosen = self._engine(engine, program)
        side_by_side = batch_size or self._batch_size()
        raw: dict[str, list[NDArray]] = {name: [] for name in self.outputs}
        totals: dict[str, list[NDArray]] = {name: [] for name in self.populations()}
        with progress_bar(batch * steps, progress, "samples x steps") as advance:
            for start in range(0, batch, side_by_side):
                part = {node: v[start : start + side_by_side] for node, v in feeds.items()}
                count = min(side_by_side, batch - start)
                execution = Execution(program, chosen, count, self.populations().values())
                arrays = execution.run(steps, part, partial(_advance, advance, count))
                for name, array in zip(raw, arrays, strict=True):
                    raw[name].append(array)
                counted = execution.totals()
                for name, ensemble in self.populations().items():
                    totals[name].append(counted[ensemble])
        record = {
            "batch": batch,
            "seed": seed,
            "engine": chosen.name,
            "guarantee": chosen.bound,
            "precision": precision,
        }
        run = Run(
            {name: np.concatenate(parts) for name, parts in raw.items()},
            {name: layer.evaluate for name, layer in self.lowered.readouts.items()},
            {name: self._population(name, totals[name]) for name in totals},
            dt,
            steps,
            record,
        )
        self._warn_of_few_spikes(run)
        return run

    def _batch_size(self) -> int:
        widest = max(1, self.network.n_neurons)
        return int(np.clip(_BATCH_VALUES // widest, 1, 256))

    def _population(self, name: str, totals: list[NDArray]) -> Population:
        ensemble = self.populations()[name]
        neuron_type = ensemble.neuron_type
        return Population(
            np.concatenate(totals),
            neuron_type.spiking,
            ensemble.rate_scale,
            getattr(neuron_type, "max_spikes_per_step", None),
        )

    def _program(self, dt: float, seed: int, precision: Precision) -> Program:
        """The compiled program, kept between runs until the network is changed."""
        key = (dt, seed, precision, self._fingerprint())
        if key not in self._programs:
            with Network():  # probes of this run alone, not of the network
                probes = [Probe(_end(item)) for item in self.outputs.values()]
            program = engines.compile_network(self.network, dt, seed, precision, probes)
            self._programs.clear()
            self._programs[key] = program
        return self._programs[key]

    def _engine(self, name: str, program: Program) -> Engine:
        """The engine, kept between runs: it holds weights in its own form."""
        if name not in self._engines:
            self._engines[name] = engines.get(name, program)
        return self._engines[name]

    def _fingerprint(self) -> tuple:
        """What of the network a user may have changed since it was compiled."""
        network = self.network
        ensembles = tuple(
            (id(e), e.neuron_type, e.rate_scale.tobytes(), _start(e)) for e in network.all_ensembles
        )
        connections = tuple((id(c), c.synapse, id(c.transform)) for c in network.all_connections)
        return ensembles, connections, len(network.all_nodes)

    def _feeds(self, x: Any, steps: int | None) -> tuple[dict[Node, NDArray], int, int]:
        """Inputs as `(batch, steps or 1, *shape)`, the batch size and the number of steps."""
        arrays = self.as_inputs(x)
        feeds: dict[Node, NDArray] = {}
        sizes = set()
        for name, node in self.inputs.items():
            array = arrays[name]
            held = array.shape[1:] == node.shape_out
            if not held and array.ndim > 1 and array.shape[2:] == node.shape_out:
                steps = array.shape[1] if steps is None else steps
                if array.shape[1] != steps:
                    raise SimulationError(
                        f"input {name!r} has {array.shape[1]} steps, the run {steps}"
                    )
            elif not held:
                shape = ", ".join(map(str, node.shape_out))
                raise SimulationError(
                    f"input {name!r} must be (batch, {shape}) held constant or "
                    f"(batch, steps, {shape}), got shape {array.shape}"
                )
            if not np.all(np.isfinite(array)):
                raise SimulationError(f"input {name!r} holds NaN or infinity")
            feeds[node] = array[:, None] if held else array
            sizes.add(len(array))
        if len(sizes) > 1:
            raise SimulationError(f"inputs have different batch sizes: {sorted(sizes)}")
        if steps is None or steps < 1:
            raise SimulationError(f"give a number of steps above 0, got steps={steps!r}")
        return feeds, sizes.pop(), steps

    def as_inputs(self, x: Any) -> dict[str, NDArray]:
        """What a user gave as `{input name: float64 array}`; tensors of any framework are taken.

        Raises `SimulationError` where names do not match the inputs.
        """
        if not isinstance(x, Mapping):
            if len(self.inputs) != 1:
                raise SimulationError(
                    f"the network has inputs {list(self.inputs)}: give {{name: array}}"
                )
            x = {next(iter(self.inputs)): x}
        if set(x) != set(self.inputs):
            raise SimulationError(f"inputs are {list(self.inputs)}, got {list(x)}")
        return {name: _as_array(name, value) for name, value in x.items()}

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
        source that is above `rtol`.
        """
        return verify(self, None if x is None else self.as_inputs(x), rtol, seed)

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


def _advance(advance: Callable[[int], None], samples: int, steps: int) -> None:
    """Progress of a part of the batch, in samples times steps."""
    advance(samples * steps)


def _start(ensemble: Ensemble) -> Any:
    start = ensemble.initial_voltage
    return start if isinstance(start, str) else start.tobytes()


def _end(item: Ensemble | Node) -> Any:
    return item.neurons if isinstance(item, Ensemble) else item


def _as_array(name: str, value: Any) -> NDArray:
    for method in ("detach", "cpu"):  # tensors that live elsewhere or carry gradients
        value = getattr(value, method)() if hasattr(value, method) else value
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise SimulationError(f"input {name!r} is not an array of numbers: {error}") from None


def refuse(what: str, reason: str, options: str = "") -> ConversionError:
    """An error about one argument of `convert`."""
    return ConversionError([Refusal(what, "argument", reason, options)])
