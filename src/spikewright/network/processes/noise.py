"""Noise: white, filtered, integrated; and random spike trains."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError
from spikewright.network.distributions import Distribution, Gaussian
from spikewright.network.neurons.base import check_positive
from spikewright.network.processes.base import (
    Process,
    State,
    Step,
    check_gives,
    check_no_input,
    register,
)
from spikewright.network.shapes import Shape, as_seed, fixed_numbers
from spikewright.network.synapses import LinearFilter, Lowpass, Synapse


def _standard() -> Distribution:
    return Gaussian(0.0, 1.0)


class _Noise(Process):
    """The base of noise: a distribution, and no input."""

    dist: Distribution

    def __post_init__(self) -> None:
        name = type(self).__name__
        if not isinstance(self.dist, Distribution):
            raise NetworkError(f"{name}.dist must be a distribution, got {self.dist!r}")
        as_seed(self.seed, name)

    def check_shapes(self, shape_in: Shape, shape_out: Shape) -> None:
        check_no_input(self, shape_in)


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
class PoissonSpikes(Process):
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
        check_positive(self, amplitude=self.amplitude)
        as_seed(self.seed, "PoissonSpikes")

    @property
    def default_size_out(self) -> int:  # type: ignore[override]
        """Number of rates."""
        return int(self.rates.size)

    def check_shapes(self, shape_in: Shape, shape_out: Shape) -> None:
        check_no_input(self, shape_in)
        if self.rates.size > 1:
            check_gives(self, self.rates.size, shape_out, "rates")

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
