"""The loss of outputs against the source's, over all samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from spikewright.diagnosis.judges import Judge, Outputs, Score
from spikewright.measure.intervals import Interval


@dataclass(frozen=True)
class Loss:
    """The loss of an output.

    `drop` is the loss of its score: the fall in accuracy (a fraction) or of a metric, of targets
    the rise in relative error; None without truth. `change` is the distance of the output's values
    from the source's, root mean square over root mean square. Of several outputs it is the root
    mean square of theirs, which `by_output` holds by name.
    """

    drop: float | None
    change: float
    by_output: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def value(self) -> float:
        """The drop where it is known, else the change."""
        return self.change if self.drop is None else self.drop


NOTHING: Outputs = MappingProxyType({})


class Tally:
    """Adds up the loss of outputs, batch by batch.

    `real` says which values of outputs count, `{output: (samples, *shape)}`, where some are
    padding.
    """

    def __init__(self, judge: Judge | None, real: Outputs = NOTHING) -> None:
        self._judge, self._real = judge, real
        self._off: dict[str, NDArray] = {}  # squares of the change, and of the source's values
        self._amounts: list[tuple[NDArray, NDArray]] = []  # of the source's outputs, and of these

    def add(self, samples: slice, source: Outputs, found: Outputs) -> None:
        """Take the outputs `(batch, *out)` of some samples, beside the source's."""
        for name, value in found.items():
            source_value = source[name]
            if name in self._real:
                counts = self._real[name][samples]
                value, source_value = (np.where(counts, v, 0.0) for v in (value, source_value))
            squares = np.array([_square(value - source_value), _square(source_value)])
            self._off[name] = self._off.get(name, 0.0) + squares
        judge = self._judge
        if judge is not None:
            self._amounts.append((judge.amounts(samples, source), judge.amounts(samples, found)))

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the drop, None where there is none."""
        return None if self._judge is None else self._judge.interval(*self._whole)

    @property
    def score(self) -> Score | None:
        """The score of the outputs, None without truth."""
        return None if self._judge is None else self._judge.score(*self._whole)

    @property
    def _whole(self) -> tuple[NDArray, NDArray]:
        source, found = zip(*self._amounts, strict=True)
        return np.concatenate(source), np.concatenate(found)

    @property
    def loss(self) -> Loss:
        """The loss over all samples so far."""
        squares = self._off.items()
        powers = {n: off / whole if whole > 0 else float(off > 0) for n, (off, whole) in squares}
        changes = {name: float(np.sqrt(power)) for name, power in powers.items()}
        score = self.score
        change = float(np.sqrt(np.mean(list(powers.values()))))
        return Loss(None if score is None else score.drop, change, changes)


def _square(values: NDArray) -> float:
    flat = np.ravel(values)
    return float(np.dot(flat, flat))
