"""Values held: nothing is encoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.running.encoders.base import Encoder, Shape


@dataclass(frozen=True)
class Constant(Encoder):
    """Every value held as a constant current: the default of a run."""

    def encode(
        self, samples: Sequence[Any], shape: Shape, steps: int, dt: float, key: tuple[int, ...]
    ) -> NDArray:
        return np.asarray(samples, np.float64)[:, None]
