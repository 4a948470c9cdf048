"""A few frames, each held for some steps: video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_whole
from spikewright._base.samples import format_shape, held_over
from spikewright.errors import SimulationError
from spikewright.running.encoders.base import Encoder, Shape


@dataclass(frozen=True)
class Frames(Encoder):
    """Samples are `(frames, *shape)`, and every frame is held for `hold` steps.

    A run that is given no number of steps lasts as long as the frames do; a longer one holds the
    last frame, a shorter one is refused. With `hold=1` it equals a run of `(batch, steps, *shape)`
    without an encoder.
    """

    hold: int = 1

    def __post_init__(self) -> None:
        if not (is_whole(self.hold) and self.hold >= 1):
            raise SimulationError(f"Frames: hold is a whole number from 1, got {self.hold!r}")

    def samples(self, given: Any, name: str, shape: Shape) -> Sequence[Any]:
        found: Sequence[Any] | None = held_over(given, shape)
        if found is None:
            raise SimulationError(
                f"input {name!r} must be {format_shape(shape, 'frames')} for {self!r}, got shape "
                f"{given.shape}"
            )
        return found

    def needed(self, samples: Sequence[Any], dt: float) -> int | None:
        return len(samples[0]) * self.hold

    def encode(
        self, samples: Sequence[Any], shape: Shape, steps: int, dt: float, key: tuple[int, ...]
    ) -> NDArray:
        frames = np.asarray(samples, np.float64)
        count = frames.shape[1]
        if steps < count * self.hold:
            raise SimulationError(
                f"{count} frames held for {self.hold} steps each take {count * self.hold} steps, "
                f"the run has {steps}"
            )
        return frames[:, np.minimum(np.arange(steps) // self.hold, count - 1)]
