"""The base of processes, and noise: white, filtered, integrated, and random spike trains."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.errors import NetworkError
from spikewright.network.attributes import ClassRegistry
from spikewright.network.distributions import Distribution, Gaussian
from spikewright.network.shapes import (
    Shape,
    above_zero,
    as_seed,
    as_shape,
    as_value,
    count,
    finite,
    fixed_numbers,
    from_zero,
)
from spikewright.network.synapses import LinearFilter, Lowpass, Synapse

Step = Callable[..., Any]
State = dict[str, NDArray]
Chance = np.random.Generator | np.random.RandomState | int | None

PROCESSES = ClassRegistry("process")
"""Every registered process, by name (read only)."""


class Process(ABC):
    """A signal made step by step: the output of a node, or noise in neurons' currents.

    A subclass gives `make_step`, and `make_state` where it keeps state; both are called once for a
    run, and for every sample of a batch where the process has an input. Every sample gets the same
    random numbers. With a `seed` they are the same in every node, in every simulator and in `run`;
    else each node has its own.
    """

    default_size_in: int = 0
    default_size_out: int = 1
    default_dt: float = 0.001
    seed: int | None = None

    def __init__(
        self,
        default_size_in: int | None = None,
        default_size_out: int | None = None,
        default_dt: float | None = None,
        seed: int | None = None,
    ) -> None:
        given = {"size_in": default_size_in, "size_out": default_size_out, "dt": default_dt}
        for name, value in given.items():
            if value is not None:
                setattr(self, f"default_{name}", value)
        self.seed = seed

    def check_shapes(self, shape_in: Shape, shape_out: Shape) -> None:  # noqa: B027 - any will do
        """Raise `NetworkError` for an input or output that it cannot have."""

    def make_state(self, shape_in: Shape, shape_out: Shape, dt: float) -> State:
        """The arrays of the process's state, as they are before the first step."""
        return {}

    @abstractmethod
    def make_step(
        self, shape_in: Shape, shape_out: Shape, dt: float, rng: np.random.Generator, state: State
    ) -> Step:
        """A function `f(t)`, or `f(t, x)` where there is an input, that returns `shape_out` values.

        It may change the arrays of `state` in place and draw from `rng`. `t` is in seconds, `dt` at
        the first step.
        """

    def run(
        self, seconds: float, d: int | None = None, dt: float | None = None, rng: Chance = None
    ) -> NDArray:
        """The values of `round(seconds / dt)` steps; the rest is as in `run_steps`."""
        from_zero(seconds, f"{self!r}: seconds", " s")
        return self.run_steps(round(seconds / self._checked_dt(dt)), d, dt, rng)

    def run_steps(
        self, steps: int, d: int | None = None, dt: float | None = None, rng: Chance = None
    ) -> NDArray:
        """The first `steps` values `(steps, d)`, for a process without input.

        `d` and `dt` (seconds) are the process's defaults where they are not given, `rng` is a
        generator or a seed (default: the process's seed, or 0). Raises `NetworkError` for a size
        that the process cannot have, and for values of another shape.
        """
        return self._values([()] * count(steps, "steps", 0), (0,), d, dt, rng)

    def apply(
        self, x: ArrayLike, d: int | None = None, dt: float | None = None, rng: Chance = None
    ) -> NDArray:
        """The output `(steps, d)` for an input `(steps, size_in)`; otherwise as `run_steps`."""
        values = finite(x, f"{self!r}: its input", truth_values=True)
        if values.ndim != 2:
            raise NetworkError(f"{self!r} is given (steps, size_in) numbers, got {values.shape}")
        return self._values([(row,) for row in values], values.shape[1:], d, dt, rng)

    def _values(
        self, given: list[Any], shape_in: Shape, d: int | None, dt: float | None, rng: Chance
    ) -> NDArray:
        """One step for each of the inputs `given`."""
        shape = as_shape(self.default_size_out if d is None else d, f"{self!r}: d")
        dt = self._checked_dt(dt)
        self.check_shapes(shape_in, shape)
        chance = (self.seed or 0) if rng is None else rng
        state = self.make_state(shape_in, shape, dt)
        step = self.make_step(shape_in, shape, dt, np.random.default_rng(chance), state)
        values = np.empty((len(given), *shape))
        for i, x in enumerate(given):
            values[i] = self._value(step, shape, (i + 1) * dt, *x)
        return values

    def _value(self, step: Step, shape: Shape, t: float, *x: NDArray) -> NDArray:
        """The checked value of a step; raises `NetworkError` unless it is an array of `shape`."""
        try:
            value = as_value(step(t, *x))
        except Exception as error:
            raise NetworkError(
                f"{self!r} failed at t = {t:g} s ({type(error).__name__}: {error})"
            ) from error
        if value.shape != shape:
            raise NetworkError(
                f"{self!r} returned shape {value.shape} at t = {t:g} s, expected {shape}"
            )
        return value

    def _checked_dt(self, dt: float | None) -> float:
        return above_zero(self.default_dt if dt is None else dt, "dt", " s")


class SourceProcess(Process):
    """A process without an input; `gives` names what it has for each value, where that is fixed."""

    gives: str = ""

    def check_shapes(self, shape_in: Shape, shape_out: Shape) -> None:
        name, size = type(self).__name__, self.default_size_out
        if math.prod(shape_in):
            raise NetworkError(
                f"{name} takes no input, got size_in = {shape_in}; leave size_in out, and add the "
                "input in a node behind it"
            )
        if self.gives and size != math.prod(shape_out):
            raise NetworkError(
                f"{name} gives {size} values a step, where the shape {shape_out} takes "
                f"{math.prod(shape_out)}; give {self.gives} of that many values, or no size"
            )


register = PROCESSES.register


def _standard() -> Distribution:
    return Gaussian(0.0, 1.0)


class _Noise(SourceProcess):
    """The base of noise: a distribution, and no input."""

    dist: Distribution

    def __post_init__(self) -> None:
        name = type(self).__name__
        if not isinstance(self.dist, Distribution):
            raise NetworkError(f"{name}.dist must be a distribution, got {self.dist!r}")
        as_seed(self.seed, name)


@register
@dataclass(frozen=True)
class WhiteNoise(_Noise):
    """Independent draws from `dist`; with `scale` over `sqrt(dt)` (seconds): constant power."""

    dist: Distribution = field(default_factory=_standard)
    scale: bool = True
    _: KW_ONLY
    seed: int | None = None

    def make_step(
        self, shape_in: Shape, shape_out: Shape, dt: float, rng: np.random.Generator, state: State
    ) -> Step:
        size = int(np.prod(shape_out))
        height = 1.0 / np.sqrt(dt) if self.scale else 1.0

        def step(t: float) -> NDArray:
            return (height * self.dist.draw(1, size, rng)).reshape(shape_out)

        return step


@register
@dataclass(frozen=True)
class FilteredNoise(_Noise):
    """White noise behind a synapse.

    `dist` and `scale` are those of `WhiteNoise`.
    """

    synapse: Synapse = field(default_factory=lambda: Lowpass(0.005))
    dist: Distribution = field(default_factory=_standard)
    scale: bool = True
    _: KW_ONLY
    seed: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.synapse, Synapse):
            raise NetworkError(f"FilteredNoise.synapse must be a synapse, got {self.synapse!r}")
        if self.synapse.stepped:
            raise NetworkError(
                f"FilteredNoise.synapse must be a linear filter, got {self.synapse!r}; put "
                "WhiteNoise() in a node, and this synapse on its connection"
            )

    def make_state(self, shape_in: Shape, shape_out: Shape, dt: float) -> State:
        return {"filter": np.zeros((self.synapse.discretise(dt).order, *shape_out))}

    def make_step(
        self, shape_in: Shape, shape_out: Shape, dt: float, rng: np.random.Generator, state: State
    ) -> Step:
        return _filtered(
            self.synapse, WhiteNoise(self.dist, self.scale), shape_out, dt, rng, state["filter"]
        )


@register
@dataclass(frozen=True)
class BrownNoise(_Noise):
    """Integrated white noise: its variance grows as time in seconds times that of `dist`."""

    dist: Distribution = field(default_factory=_standard)
    _: KW_ONLY
    seed: int | None = None

    def make_state(self, shape_in: Shape, shape_out: Shape, dt: float) -> State:
        return {"filter": np.zeros((1, *shape_out))}

    def make_step(
        self, shape_in: Shape, shape_out: Shape, dt: float, rng: np.random.Generator, state: State
    ) -> Step:
        integral = LinearFilter((1.0,), (1.0, 0.0))
        return _filtered(integral, WhiteNoise(self.dist), shape_out, dt, rng, state["filter"])


def _filtered(
    synapse: Synapse,
    noise: WhiteNoise,
    shape: Shape,
    dt: float,
    rng: np.random.Generator,
    x: NDArray,
) -> Step:
    """White noise through a synapse whose state is `x`, `(order, *shape)`."""
    white = noise.make_step((0,), shape, dt, rng, {})
    f = synapse.discretise(dt)
    return lambda t: f.step(x, white(t))


_MANY, _KINDS = 8.0, 32
"""The mean number a step, and the number of different rates, up to which spikes are drawn together.
"""


@register
@dataclass(frozen=True, eq=False)
class PoissonSpikes(SourceProcess):
    """Independent Poisson spike trains: background input of synapses.

    `rates` are in Hz, one or one a train. In a step of `dt` seconds a train sends a Poisson number
    of spikes of mean `rates dt`, each of height `amplitude / dt`, as neurons do. So
    `amplitude=dt` sends counts. Raises `NetworkError` for rates that are not finite numbers from 0.
    """

    rates: NDArray
    amplitude: float = 1.0
    _: KW_ONLY
    seed: int | None = None

    def __post_init__(self) -> None:
        rates = fixed_numbers(self, "rates")
        if rates.size == 0 or not np.all(rates >= 0):
            raise NetworkError(f"PoissonSpikes.rates must be from 0 in Hz, got {self.rates!r}")
        above_zero(self.amplitude, "PoissonSpikes.amplitude")
        as_seed(self.seed, "PoissonSpikes")

    @property
    def default_size_out(self) -> int:  # type: ignore[override]
        """Number of rates."""
        return int(self.rates.size)

    @property
    def gives(self) -> str:  # type: ignore[override]
        """One rate is that of any number of trains."""
        return "rates" if self.rates.size > 1 else ""

    def make_step(
        self, shape_in: Shape, shape_out: Shape, dt: float, rng: np.random.Generator, state: State
    ) -> Step:
        size = math.prod(shape_out)
        means = np.broadcast_to(self.rates.ravel(), size) * dt
        alike = [(mean, np.flatnonzero(means == mean)) for mean in np.unique(means)[: _KINDS + 1]]
        height = self.amplitude / dt
        if len(alike) > _KINDS or means.max(initial=0.0) >= _MANY:
            return lambda t: height * rng.poisson(means).reshape(shape_out)

        def step(t: float) -> NDArray:
            spikes = [_sent(rng, mean, trains) for mean, trains in alike]
            counts = np.bincount(np.concatenate(spikes), minlength=size)
            return height * counts.reshape(shape_out)

        return step


def _sent(rng: np.random.Generator, mean: float, trains: NDArray) -> NDArray:
    """The trains of all spikes of a step, each of them with that mean number.

    Spikes are drawn together and fall to trains by chance, which is the same law (Kingman 1993,
    Poisson Processes, section 5.1).
    """
    n = len(trains)
    return np.asarray(trains[rng.integers(0, n, rng.poisson(mean * n))])
