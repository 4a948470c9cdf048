"""A simulator for Nengo's models: Nengo's interface, on Spikewright's engines."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright._base.options import suggests_keywords
from spikewright.engines import Precision
from spikewright.engines.settings import check_settings
from spikewright.errors import BuildError
from spikewright.modelling.nengo_reader import from_nengo
from spikewright.modelling.nengo_reader.kinds import as_nengos, closed, fresh_seed, invalid
from spikewright.modelling.nengo_simulator.data import (
    BuiltModel,
    NengoData,
    Sampling,
    kept_steps,
    tagged,
)
from spikewright.simulator import Simulator

_PARTS = 100  # into which a run is cut where somebody watches


@dataclass
class Progress:
    """Progress of a task: `n_steps` done of `max_steps` (None: the number is unknown).

    `name_during` and `name_after` are its names; `success` is None until it has `finished`. Times
    are in seconds.
    """

    name_during: str
    name_after: str
    max_steps: int | None = None
    n_steps: int = 0
    finished: bool = False
    success: bool | None = None
    time_start: float = field(default_factory=time.time)
    time_end: float | None = None

    @property
    def progress(self) -> float:
        """The share that is done, 0 to 1."""
        if self.max_steps is None:
            return 1.0 if self.finished else 0.0
        return min(1.0, self.n_steps / self.max_steps) if self.max_steps else 1.0

    def elapsed_seconds(self) -> float:
        """Seconds since it began, until it ended."""
        return (time.time() if self.time_end is None else self.time_end) - self.time_start

    def eta(self) -> float:
        """Seconds that the rest will take at this pace; -1 while unknown."""
        done = self.progress
        return self.elapsed_seconds() * (1.0 - done) / done if done > 0 else -1.0

    def step(self, n: int = 1) -> None:
        """Note that `n` more steps are done."""
        self.n_steps += n


def watches(bar: Any) -> bool:
    """Whether an argument is a progress bar itself, not a choice whether to show one."""
    return callable(getattr(bar, "update", None))


@contextmanager
def display_progress(bar: Any, progress: Progress) -> Iterator[None]:
    """A context that tells a bar of the beginning and the end of the work inside."""
    bar.update(progress)
    try:
        yield
        progress.success = True
    except BaseException:
        progress.success = False
        raise
    finally:
        progress.finished, progress.time_end = True, time.time()
        bar.update(progress)
        bar.close()


def run_watched(bar: Any, steps: int, run: Callable[[int], None]) -> None:
    """Run in parts, and tell a bar after each."""
    progress = Progress("Simulating", "Simulation", steps)
    with display_progress(bar, progress):
        part = max(1, steps // _PARTS)
        while progress.n_steps < steps:
            count = min(part, steps - progress.n_steps)
            run(count)
            progress.step(count)
            bar.update(progress)


_HINTS = {
    "model": "What a simulator of Nengo's has built goes to built=; what its builder has made "
    "without one cannot be run here.",
    "progress": "Did you mean 'progress_bar'?",
}


class NengoSimulator:
    """Runs a `nengo.Network` in steps of `dt` seconds, as `nengo.Simulator` does.

    `seed` fixes random draws of runs (default: the model's seed plus one, as in Nengo). With
    `built`, a `nengo.Simulator` of the same model, all parameters, initial voltages and learned
    weights are taken from it. `engine`, `precision` and `threads` are those of
    `spikewright.Simulator`, which is `.simulator`; the network that was read is `.network`.
    `progress_bar` is whether one is shown for runs that take long, or an object with
    `update(progress)` and `close()`, as Nengo's bars are; `optimize` is accepted for scripts that
    give it, and changes nothing.

    Raises `BuildError` (also Nengo's, where it is loaded) when the model cannot be built.
    """

    @suggests_keywords(_HINTS)
    def __init__(
        self,
        network: Any,
        dt: float = 0.001,
        seed: int | None = None,
        built: Any = None,
        engine: str = "auto",
        precision: Precision = "float32",
        progress_bar: Any = True,
        optimize: bool = True,
        threads: int | None = None,
    ) -> None:
        self.closed = True  # until it is built
        with as_nengos():
            check_settings(BuildError, dt=dt, precision=precision, threads=threads)
        self.dt, self.optimize, self.progress_bar = float(dt), bool(optimize), progress_bar
        self._made_with = {
            "built": built, "engine": engine, "precision": precision, "threads": threads,
        }  # fmt: skip
        if seed is None:
            taken = getattr(built, "seed", None)
            seed = taken if taken is not None else _next(getattr(network, "seed", None))
        self.seed = int(seed)
        if watches(progress_bar):
            with display_progress(progress_bar, Progress("Building", "Build")):
                self._build(network, **self._made_with)
        else:
            self._build(network, **self._made_with)
        self.data = NengoData(self.network, self.simulator, self._recorded)
        self._cleared = 0
        self.closed = False

    def _build(
        self, model: Any, built: Any, engine: str, precision: Precision, threads: int | None
    ) -> None:
        bar = self.progress_bar
        with as_nengos():
            self.network = from_nengo(model, built, seed=_inner(self.seed))
            self.network.seed_processes(self.seed)
            self._kept = {
                probe: Sampling.of(
                    probe, self.network.of[probe], self.dt, self.network.forms.get(probe)
                )
                for probe in model.all_probes
            }
            self.simulator = Simulator(
                self.network, self.dt, self.seed, engine=engine, precision=precision,
                progress=bool(bar) and not watches(bar), threads=threads,
            )  # fmt: skip

    @property
    def model(self) -> BuiltModel:
        """The built model, with the attributes that Nengo's users read."""
        operators = tagged(self.simulator.program)
        return BuiltModel(self.network.model, self.dt, self.network.seeds, self.data, operators)

    @property
    def learned(self) -> dict[Any, NDArray]:
        """Weights and encoders that rules change, as they are now, by connection and ensemble.

        In the form that `data` has them in; with `built=` another simulator begins with them.
        """
        now = self.simulator.learned
        return {theirs: now[ours] for theirs, ours in self.network.of.items() if ours in now}

    @property
    def n_steps(self) -> int:
        """Steps done so far; within a function of a node, those before the present one."""
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
        """Run for a number of steps; `progress_bar` takes the place of the simulator's own."""
        self._check_open("run")
        bar = self.progress_bar if progress_bar is None else progress_bar
        with as_nengos():
            if watches(bar):
                run_watched(bar, steps, self.simulator.run_steps)
            else:
                self.simulator.run_steps(steps, progress_bar=bool(bar))

    def step(self) -> None:
        """Run for one step."""
        self._check_open("step")
        with as_nengos():
            self.simulator.step()

    def reset(self, seed: int | None = None) -> None:
        """Return to before the first step; `seed` fixes random draws of runs."""
        self._check_open("reset")
        if seed is not None:
            self.seed = int(seed)
        self.network.seed_processes(self.seed)
        with as_nengos():
            self.simulator.reset(seed)
        self._cleared = 0

    def clear_probes(self) -> None:
        """Delete the recordings so far."""
        self.simulator.clear_probes()
        self._cleared = self.n_steps

    def trange(self, dt: float | None = None, sample_every: float | None = None) -> NDArray:
        """Times in seconds of recorded samples, the first at `dt`; `dt` means `sample_every`."""
        if dt is not None and sample_every is not None:
            raise invalid("give sample_every alone, not dt as well", "dt", self)
        if dt is not None:
            warnings.warn("trange(dt=) is deprecated: say sample_every=", DeprecationWarning, 2)
        every = sample_every if dt is None else dt
        period = 1.0 if every is None else every / self.dt
        steps = np.arange(1, self.n_steps + 1)
        return self.dt * steps[kept_steps(steps, period)]

    def close(self) -> None:
        """End: further runs are an error, recordings stay readable."""
        self.closed = True
        self.simulator.close()

    def __enter__(self) -> NengoSimulator:
        self._check_open("be entered again")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """The state of a copy: the model, and the number of steps that it has run."""
        given = {"dt": self.dt, "seed": self.seed, "optimize": self.optimize}
        made = {"network": self.network.model, **given, **self._made_with}
        how_far = {"cleared": self._cleared, "steps": self.n_steps, "closed": self.closed}
        return {"made": made, **how_far}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the model again, and run it for the same number of steps."""
        self.__init__(**state["made"], progress_bar=False)  # type: ignore[misc]
        for steps in (state["cleared"], state["steps"] - state["cleared"]):
            self.clear_probes()
            self.run_steps(steps)
        if state["closed"]:
            self.close()

    def __del__(self) -> None:
        # Python shows what is raised here as a traceback and goes on: a warning that is an error,
        # or one that a library in pieces cannot show when the interpreter ends.
        with suppress(Exception):
            if not getattr(self, "closed", True):
                warnings.warn(f"{self!r} was deallocated while open", ResourceWarning, stacklevel=1)

    def __repr__(self) -> str:
        network = getattr(self, "network", None)  # None: it could not be built
        return f"<NengoSimulator of {getattr(network, 'model', None)!r}>"

    def _check_open(self, what: str) -> None:
        if self.closed:
            raise closed(f"cannot {what}: the simulator is closed; its recordings can be read")

    def _recorded(self, probe: Any) -> NDArray | None:
        """Recordings of a probe since the last reset or `clear_probes`; None: no probe."""
        if probe not in self._kept:
            return None
        samples = self.simulator.data[self.network.of[probe]]
        kept = self._kept[probe].kept(samples, self._cleared)
        kept.flags.writeable = False
        return kept


def _next(seed: int | None) -> int:
    return fresh_seed() if seed is None else int(seed) + 1


def _inner(seed: int) -> int:
    """The seed of a model without one."""
    return int(np.random.RandomState(seed % 2**32).randint(np.iinfo(np.int32).max))
