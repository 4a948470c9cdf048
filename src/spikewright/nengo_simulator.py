"""A simulator for Nengo's models: what Nengo's users know, on Spikewright's engines."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.engines import Precision
from spikewright.frontends.nengo import NengoNetwork, from_nengo
from spikewright.frontends.nengo.exceptions import as_nengos, closed, invalid
from spikewright.frontends.nengo.kinds import own_kind
from spikewright.frontends.nengo.seeds import fresh_seed
from spikewright.network.shapes import is_number
from spikewright.simulator import Simulator


class BuiltEnsemble(NamedTuple):
    """`data[ensemble]`: `eval_points` (radius applied) and `encoders` are `(m, d)` and `(n, d)`.

    The others have one value a neuron, `scaled_encoders` one for each dimension too; without
    neurons (Direct) `gain` and `bias` are None.
    """

    eval_points: NDArray
    encoders: NDArray
    intercepts: NDArray
    max_rates: NDArray
    scaled_encoders: NDArray
    gain: NDArray | None
    bias: NDArray | None


class BuiltConnection(NamedTuple):
    """`data[connection]`; what a connection does not have is None.

    `weights` are `transform . decoders`, `(values, neurons)`, or the transform's; with
    `solver.weights` those between neurons. They are what the run begins with.
    """

    eval_points: NDArray | None
    solver_info: dict[str, Any] | None
    weights: Any
    transform: Any


class NengoData(Mapping[Any, Any]):
    """Recordings and built parameters, by the objects of the user's own model."""

    def __init__(self, simulator: NengoSimulator) -> None:
        self._simulator = simulator
        self._built: dict[Any, Any] = {}

    def __getitem__(self, key: Any) -> Any:
        network = self._simulator.network
        ours = network.of[key]
        if key in self._simulator._kept:
            return self._simulator._recorded(key)
        if key not in self._built:
            if key in network.drawn:
                self._built[key] = _ensemble(network, key)
            elif key in network.sampled:
                self._built[key] = self._connection(key, ours)
            else:
                self._built[key] = None
        return self._built[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._simulator.network.of)

    def __len__(self) -> int:
        return len(self._simulator.network.of)

    def _connection(self, theirs: Any, ours: Any) -> BuiltConnection:
        sampled = self._simulator.network.sampled[theirs]
        if not ours.decodes:
            return BuiltConnection(None, None, _frozen(sampled.weights), theirs.transform)
        found = self._simulator.simulator.data[ours]
        if own_kind(theirs.solver) == "NoSolver":
            return BuiltConnection(None, {}, _frozen(found.weights), theirs.transform)
        points, weights = _frozen(found.eval_points), _frozen(found.weights)
        return BuiltConnection(points, found.solver_info, weights, theirs.transform)


class NengoSimulator:
    """Runs a `nengo.Network` in steps of `dt` seconds, as `nengo.Simulator` does.

    `seed` is for what is drawn at every run (default: the model's seed and one, as Nengo has it).
    With `built`, a `nengo.Simulator` of the same model, all parameters and initial voltages are
    taken from it. `engine` and `precision` are those of `spikewright.Simulator`, which is
    `.simulator`; the model read is `.network`. `progress_bar` shows one for runs that take long;
    `optimize` is taken for the sake of scripts that say it, and changes nothing.

    Raises `BuildError` (also Nengo's, where it is loaded) when the model cannot be built.
    """

    def __init__(
        self,
        model: Any,
        dt: float = 0.001,
        seed: int | None = None,
        built: Any = None,
        engine: str = "auto",
        precision: Precision = "float32",
        progress_bar: Any = True,
        optimize: bool = True,
    ) -> None:
        self.closed = True  # until it is built
        self.model, self.dt = model, float(dt)
        if seed is None:
            taken = getattr(built, "seed", None)
            seed = taken if taken is not None else _next(getattr(model, "seed", None))
        self.seed = int(seed)
        with as_nengos():
            self.network: NengoNetwork = from_nengo(model, built, seed=_inner(self.seed))
            self.network.seed_processes(self.seed)
            self._kept = {
                probe: _Kept.of(self.network.of[probe], probe, self.dt)
                for probe in getattr(model, "all_probes", ())
            }
            self.simulator = Simulator(
                self.network, self.dt, self.seed,
                engine=engine, precision=precision, progress=bool(progress_bar),
            )  # fmt: skip
        self.data = NengoData(self)
        self._from = dict.fromkeys(self._kept, 0)
        self.closed = False

    @property
    def n_steps(self) -> int:
        """Steps done so far."""
        return self.simulator.n_steps

    @property
    def time(self) -> float:
        """Seconds done so far."""
        return self.simulator.time

    def run(self, time_in_seconds: float, progress_bar: Any = None) -> None:
        """Run for `round(time_in_seconds / dt)` steps."""
        if not (is_number(time_in_seconds) and time_in_seconds >= 0):
            message = f"a run lasts 0 s or more, got {time_in_seconds!r}"
            raise invalid(message, "time_in_seconds", self)
        steps = int(np.round(float(time_in_seconds) / self.dt))
        if steps == 0:
            warnings.warn(
                f"{time_in_seconds} s is no step of {self.dt} s: nothing has run", stacklevel=2
            )
        self.run_steps(steps, progress_bar)

    def run_steps(self, steps: int, progress_bar: Any = None) -> None:
        """Run for a number of steps."""
        self._check_open("run")
        with as_nengos():
            self.simulator.run_steps(steps)

    def step(self) -> None:
        """Run for one step."""
        self._check_open("step")
        with as_nengos():
            self.simulator.run_steps(1)

    def reset(self, seed: int | None = None) -> None:
        """Back to before the first step; `seed` is for what is drawn at every run."""
        self._check_open("reset")
        if seed is not None:
            self.seed = int(seed)
        self.network.seed_processes(self.seed)
        with as_nengos():
            self.simulator.reset(seed)
        self._from = dict.fromkeys(self._kept, 0)

    def clear_probes(self) -> None:
        """Forget what has been recorded so far."""
        self._from = {probe: len(self._whole(probe)) for probe in self._kept}

    def trange(self, dt: float | None = None, sample_every: float | None = None) -> NDArray:
        """Times in seconds of recorded samples, the first at `dt`; `dt` means `sample_every`."""
        if dt is not None and sample_every is not None:
            raise invalid("give sample_every alone, not dt as well", "dt", self)
        if dt is not None:
            warnings.warn("trange(dt=) is deprecated: say sample_every=", DeprecationWarning, 2)
        every = sample_every if dt is None else dt
        period = 1.0 if every is None else every / self.dt
        steps = np.arange(1, self.n_steps + 1)
        return self.dt * steps[steps % period < 1]

    def close(self) -> None:
        """End: further runs are an error, recordings stay readable."""
        self.closed = True
        self.simulator.close()

    def __enter__(self) -> NengoSimulator:
        self._check_open("be entered again")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "closed", True):
            warnings.warn(f"{self!r} was deallocated while open", ResourceWarning, stacklevel=1)

    def __repr__(self) -> str:
        return f"<NengoSimulator of {self.model!r}>"

    def _check_open(self, what: str) -> None:
        if self.closed:
            raise closed(f"cannot {what}: the simulator is closed; its recordings can be read")

    def _whole(self, probe: Any) -> NDArray:
        """Everything recorded since the last reset."""
        return self._kept[probe].of_steps(self.simulator.data[self.network.of[probe]])

    def _recorded(self, probe: Any) -> NDArray:
        return _frozen(self._whole(probe)[self._from[probe] :])


class _Kept(NamedTuple):
    """Which of the recorded steps are kept: those at which `n mod period` is below 1."""

    period: float | None

    @classmethod
    def of(cls, ours: Any, theirs: Any, dt: float) -> _Kept:
        """Tell a probe how often to record: all steps, where the period is no whole number."""
        every = theirs.sample_every
        if every is None:
            return cls(None)
        period = float(every) / dt
        whole = abs(period - round(period)) < 1e-9 * period
        ours.sample_every = float(every) if whole and period >= 1 else None
        return cls(None if whole else period)

    def of_steps(self, samples: NDArray) -> NDArray:
        """The samples that are kept."""
        if self.period is None or not math.isfinite(self.period):
            return samples
        return samples[np.arange(1, len(samples) + 1) % self.period < 1]


def _ensemble(network: NengoNetwork, theirs: Any) -> BuiltEnsemble:
    made = network.drawn[theirs]
    gain = 1.0 if made.gain is None else made.gain[:, None]
    parts = (
        made.eval_points, made.encoders, made.intercepts, made.max_rates,
        made.encoders * gain / theirs.radius, made.gain, made.bias,
    )  # fmt: skip
    return BuiltEnsemble(*map(_frozen, parts))


def _frozen(values: Any) -> Any:
    """The same numbers, not to be changed."""
    if not isinstance(values, np.ndarray):
        return values
    view = values.view()
    view.setflags(write=False)
    return view


def _next(seed: int | None) -> int:
    return fresh_seed() if seed is None else int(seed) + 1


def _inner(seed: int) -> int:
    """The seed of a model that has none."""
    return int(np.random.RandomState(seed % 2**32).randint(np.iinfo(np.int32).max))
