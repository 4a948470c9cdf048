"""The simulator, which runs a network."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright import engines
from spikewright._base.arguments import is_number, is_whole
from spikewright._base.options import suggests_keywords
from spikewright._base.progress import progress_bar as progress
from spikewright.engines import MemoryNeed, Plan, Precision
from spikewright.engines import build_info as _built
from spikewright.engines.decoder_cache import DecoderCache
from spikewright.engines.python_steps import check_pickled
from spikewright.engines.settings import check_settings
from spikewright.errors import BuildError, SimulationError
from spikewright.network import Connection, Ensemble, Network, Node, Probe
from spikewright.network.shapes import as_real, as_seed
from spikewright.simulator_data import LearnedWeights, SimulationData

_SETTINGS = (
    "network", "dt", "batch_size", "seed", "program",
    "_progress", "_decoder_cache", "_block", "_threads", "_called", "_closed",
)  # fmt: skip
_NENGOS = {
    "model": "A Simulator builds its network itself; for what Nengo has built there is "
    "NengoSimulator(built=).",
    "optimize": "Leave it out: every engine merges operators that can run as one.",
}


class Simulator:
    """Runs a network in steps of `dt` seconds (default: the network's `dt`, else 1 ms).

    With `batch_size` that many samples run side by side. `seed` fixes random values without a seed
    of their own (default: the network's seed, else a fresh one, kept in `.seed`). `engine` is
    "auto" or one of `spikewright.engines.available()`; `precision` is "float32" (weights on a
    24-bit grid per channel) or "float64". `progress` shows a bar for runs that take long; `threads`
    bounds the number of threads (1 to 256; default: the engine's choice). `decoder_cache` is True,
    False, "read-only" or a `DecoderCache`; None: the value of `SPIKEWRIGHT_DECODER_CACHE`, else
    True. `block` is the number of steps worked on at once (default: the engine's choice). Python
    functions that may share something are called in turn at every step, unless `block` is above 1:
    then each is called for so many steps before the next one is. Apart from that it changes no
    result. Every sample of a batch has its own copies of functions with state.

    `progress_bar` means what `progress` does, as in Nengo.

    Raises `BuildError` when the network cannot be compiled, or is for steps of another length.
    """

    @suggests_keywords(_NENGOS)
    def __init__(
        self,
        network: Network,
        dt: float | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
        engine: str = "auto",
        precision: Precision = "float32",
        progress: bool = True,
        threads: int | None = None,
        decoder_cache: bool | Literal["on", "off", "read-only"] | DecoderCache | None = None,
        block: int | None = None,
        *,
        progress_bar: bool | None = None,
    ) -> None:
        if not isinstance(network, Network):
            raise BuildError(
                f"a Simulator runs a Network, got {network!r}; models of Nengo's are for "
                "NengoSimulator"
            )
        step = engines.step_for(network, dt)
        check_settings(
            BuildError, dt=step, precision=precision, batch_size=batch_size, threads=threads
        )
        self.network, self.dt, self.batch_size = network, step, batch_size
        self.seed = _seed(seed, network)
        self._progress = progress if progress_bar is None else bool(progress_bar)
        self._decoder_cache, self._block = decoder_cache, _as_block(block)
        self.program = self._compiled(precision)
        self._threads = threads
        self._engine = engines.get(engine, self.program, threads)
        self._closed = False
        self.reset()

    def _compiled(self, precision: Precision) -> engines.Program:
        block = self._block
        self._called = self._functions()
        return engines.compile_network(
            self.network,
            self.dt,
            self.seed,
            precision,
            decoder_cache=self._decoder_cache,
            turns="shared" if block is None else "all" if block == 1 else "none",
        )

    def _functions(self) -> list[Any]:
        """The functions that nodes have now, None for other nodes."""
        return [n.output if callable(n.output) else None for n in self.network.all_nodes]

    @property
    def engine(self) -> str:
        """Name of the engine in use."""
        return self._engine.name

    @property
    def precision(self) -> Precision:
        """The precision in use."""
        return self.program.precision

    @property
    def plan(self) -> Plan:
        """The operators, the kernel that runs each and the reason; print it for a table."""
        return self._engine.explain(self.program)

    def memory(self, steps: int) -> MemoryNeed:
        """Memory of a run of `steps` steps beside the network, in bytes; print it for a table.

        An upper bound for a simulator that has not run yet, what is fed to it held constant:
        weights as the engine holds them, state, signals of a block of steps, work inside operators,
        recordings. `run_steps` raises `SimulationError` where it exceeds the available memory.
        Raises `SimulationError` for an invalid number of steps.
        """
        _check_steps(steps)
        setting = engines.PreparedRun(
            self.program, self._engine, self.batch_size or 1, fed=(), resumable=True
        )
        return setting.whole(steps)

    @property
    def data(self) -> SimulationData:
        """Recordings and built parameters, by object."""
        return SimulationData(self)

    @property
    def learned(self) -> LearnedWeights:
        """The present weights, by connection, and encoders, by ensemble, that rules change."""
        return LearnedWeights(self)

    def keep_learned(self, sample: int | None = None) -> None:
        """Make the present learned weights the initial ones of later simulators.

        Sets `Connection.learned`, which is saved with the network and also holds without rules
        (`connection.learning_rule_type = None`). With a batch the weights are those of one
        `sample`. Raises `SimulationError` where `sample` is missing or out of range.
        """
        if (sample is None) != (self.batch_size is None):
            raise SimulationError(
                f"every sample learns alone: name one of {self.batch_size} with sample="
                if sample is None
                else "sample= is for simulators with a batch_size"
            )
        if sample is not None and not (is_whole(sample) and 0 <= sample < (self.batch_size or 0)):
            raise SimulationError(f"sample= is from 0 to {self.batch_size} - 1, got {sample!r}")
        for owner, now in self.learned.items():
            values = now if sample is None else now[sample]
            for connection in self.network.all_connections:
                _keep(connection, owner, values)

    @property
    def n_steps(self) -> int:
        """Steps done so far; within a function of a node, those before the present one."""
        return self._execution.now

    @property
    def time(self) -> float:
        """Seconds done so far."""
        return self.n_steps * self.dt

    def trange(self, sample_every: float | None = None) -> NDArray:
        """Times in seconds of the recorded samples, the first at `dt`."""
        every = 1 if sample_every is None else max(1, round(sample_every / self.dt))
        numbers = np.arange(1, self.n_steps + 1)
        return numbers[numbers % every == 0] * self.dt

    def spike_times(self, probe: Probe) -> list[Any]:
        """Times in seconds of the spikes of each neuron that a probe recorded, one array a neuron.

        A spike's time is the end of its step, as in `trange`; a neuron that sends several in one
        step has that time as often. Spikes below zero count as those above. Neurons are in
        row-major order; with a batch there is such a list for every sample. Raises
        `SimulationError` unless the probe records every spike: `Probe(ensemble.neurons)` of a
        spiking type, without `synapse` and `sample_every`.
        """
        if probe not in self._recorded:
            raise SimulationError(f"{probe!r} is no probe of {self.network!r}")
        recorded = self._recorded[probe].array()
        times = engines.spike_times(self.program, probe, recorded, self.n_steps)
        return times[0] if self.batch_size is None else times

    def reset(self, seed: int | None = None) -> None:
        """Return to before the first step; with a `seed`, random values are drawn anew from it."""
        self._check_open()
        if seed is not None:
            self.seed = _seed(seed, self.network)
        if seed is not None or list(map(id, self._called)) != list(map(id, self._functions())):
            self.program = self._compiled(self.program.precision)
        self._begin()

    def _begin(self) -> None:
        """An execution before its first step, and tapes without recordings."""
        self._execution = engines.Execution(
            self.program,
            self._engine,
            1 if self.batch_size is None else self.batch_size,
            block=self._block,
            resumable=True,
        )
        batch, recordings = self._execution.batch, self.program.recordings
        self._tapes = [engines.Tape.of(self.program, one, batch) for one in recordings]
        self._recorded = {
            one.probe: tape for one, tape in zip(recordings, self._tapes, strict=True)
        }

    def clear_probes(self) -> None:
        """Delete the recordings so far; the state stays, and later runs record on."""
        for tape in self._tapes:
            tape.clear(self._execution.step)

    def run(
        self,
        seconds: float,
        inputs: Mapping[Node, ArrayLike] | None = None,
        progress_bar: bool | None = None,
    ) -> None:
        """Run for `round(seconds / dt)` steps; the rest is as in `run_steps`."""
        if not (is_number(seconds) and seconds >= 0):
            raise SimulationError(f"a run lasts 0 s or more, got {seconds!r}")
        steps = round(seconds / self.dt)
        if steps == 0 and seconds > 0:
            warnings.warn(f"{seconds} s is less than half a step of {self.dt} s", stacklevel=2)
        self.run_steps(steps, inputs, progress_bar)

    def step(self) -> None:
        """Run for one step."""
        self._check_open()
        self._execution.advance(self._tapes)

    def run_steps(
        self,
        steps: int,
        inputs: Mapping[Node, ArrayLike] | None = None,
        progress_bar: bool | None = None,
    ) -> None:
        """Run for a number of steps.

        `inputs` replaces the output of constant nodes during this run: `{node: shape}` held
        constant or `{node: (steps, *shape)}`, with the batch axis first where there is a batch.
        `progress_bar` overrides the simulator's choice whether one is shown. Raises
        `SimulationError` for inputs that do not fit or are not finite, and before anything is
        computed where memory does not suffice (`memory` gives the need).

        A run that fails in some step, or is interrupted, keeps the steps before: `data`, `trange`
        and `n_steps` say how far it came, and the next run goes on from there. Steps are worked on
        in blocks: an interrupted run goes back to the start of its block, and a function of a node
        is not called again for steps that it was called for. A warning says where going on is not
        exact.
        """
        self._check_open()
        _check_steps(steps)
        if not isinstance(inputs, Mapping | None):
            raise SimulationError(f"inputs must be {{node: array}}, got a {type(inputs).__name__}")
        feeds = {node: self._feed(node, value, steps) for node, value in (inputs or {}).items()}
        shown = self._progress if progress_bar is None else bool(progress_bar)
        with progress(steps, shown) as advance:
            self._execution.run(steps, feeds, advance, tapes=self._tapes)

    def _check_open(self) -> None:
        if self._closed:
            raise SimulationError("the simulator is closed; its recordings can still be read")

    def _feed(self, node: Node, value: ArrayLike, steps: int) -> NDArray:
        """Values that replace a node's output, `(batch, steps or 1, *shape)`."""
        if node not in self.network.all_nodes or not isinstance(node.output, np.ndarray):
            raise SimulationError(
                f"{node!r} cannot be fed: only nodes of the network with a constant output can"
            )
        self.program.check_fed(node)
        try:
            array = as_real(value)
        except (TypeError, ValueError) as error:
            what = f"what is fed to {node!r} is not an array of numbers"
            raise SimulationError(f"{what}: {error}") from None
        shape = node.shape_out
        lead = () if self.batch_size is None else (self.batch_size,)
        if array.shape == (*lead, *shape):
            array = array.reshape(*(lead or (1,)), 1, *shape)
        elif array.shape == (*lead, steps, *shape):
            array = array.reshape(*(lead or (1,)), steps, *shape)
        else:
            raise SimulationError(
                f"{node!r} takes {(*lead, *shape)} held constant or {(*lead, steps, *shape)}, "
                f"got shape {array.shape}"
            )
        if not np.all(np.isfinite(array)):
            raise SimulationError(f"what is fed to {node!r} holds NaN or infinity")
        return array

    def _probe_data(self, probe: Probe) -> NDArray:
        samples = self._recorded[probe].array()
        shown = (samples[0] if self.batch_size is None else samples).view()
        shown.flags.writeable = False
        return shown

    def close(self) -> None:
        """End: further runs are an error, recordings stay readable."""
        self._closed = True

    def __getstate__(self) -> dict[str, Any]:
        """All of it, as it is pickled: the network and program, state and recordings.

        Raises `SimulationError` naming a node or connection whose function cannot be pickled.
        """
        check_pickled(self.network)
        return {**self._settings(), "engine": self.engine, **self._progressed(apart=False)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: state[name] for name in _SETTINGS})
        self._engine = engines.get(state["engine"], self.program, self._threads)
        self._begin()
        self._restore(state)

    def full_weights(self, connection: Connection) -> NDArray:
        """The whole matrix of a connection, `(receivers, senders)`.

        It is `gain . encoders / radius . transform . decoders`. The product leads from neurons
        (their decoders) or values, through the transform, to the receiving neurons' encoders and
        gain. Factors that a connection lacks are left out: into a node there is no gain and no
        encoder, into `.neurons` no encoder, from a node or from `.neurons` no decoder. It is made
        for this call; simulators keep the factors apart.

        `rate_scale` touches the gain alone, and with it every row of the result, and the height of
        spikes, `amplitude / (s dt)`, which is no part of it; encoders, transform and decoders are
        the same at every scale. Raises `BuildError` for a function that is computed exactly, and
        `KeyError` for a connection that the simulator does not hold.
        """
        if connection not in self.program.weights:
            raise KeyError(f"{connection!r} is no connection of {self.network!r}")
        return _built.full_weights(self.program, connection)

    def __deepcopy__(self, memo: dict[int, Any]) -> Simulator:
        """A simulator of the same network, which goes on by itself: functions are copied."""
        made = memo[id(self)] = object.__new__(type(self))
        made.__dict__.update(self._settings())
        made._engine = self._engine
        made._begin()
        made._restore(self._progressed(apart=True))
        return made

    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _SETTINGS}

    def _progressed(self, apart: bool) -> dict[str, Any]:
        """State and recordings; `apart`: functions are copies."""
        tapes = [tape.state() for tape in self._tapes]
        return {"execution": self._execution.state(apart), "tapes": tapes}

    def _restore(self, state: dict[str, Any]) -> None:
        self._execution.restore(state["execution"])
        for tape, one in zip(self._tapes, state["tapes"], strict=True):
            tape.restore(one)

    def __enter__(self) -> Simulator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _keep(connection: Connection, owner: Connection | Ensemble, values: NDArray) -> None:
    """Store learned weights on the connections whose rules learned them."""
    if connection is owner:
        connection.learned = {**connection.learned, "weights": values}
    elif connection.post_obj is owner and any(
        rule.learning_rule_type.modifies == "encoders" for rule in connection.learning_rules
    ):
        connection.learned = {**connection.learned, "encoders": values}


def _check_steps(steps: Any) -> None:
    if not (is_whole(steps) and steps >= 0):
        raise SimulationError(f"a run has a whole number of steps, 0 or more, got {steps!r}")


def _as_block(block: Any) -> int | None:
    if block is not None and not (is_whole(block) and block >= 1):
        raise BuildError(f"block is None or a whole number of steps from 1, got {block!r}")
    return None if block is None else int(block)


def _seed(seed: int | None, network: Network) -> int:
    given = as_seed(network.seed if seed is None else seed, "Simulator")
    return int(np.random.SeedSequence().generate_state(1)[0]) if given is None else given
