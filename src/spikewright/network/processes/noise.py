"""Noise: white, filtered, integrated."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError
from spikewright.network.distributions import Distribution, Gaussian
from spikewright.network.processes.base import (
    Process,
    State,
    Step,
    check_no_input,
    register,
)
from spikewright.network.shapes import Shape, as_seed
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
