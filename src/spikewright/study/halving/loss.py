"""The distance of a network's outputs from its source's, as one number that few samples settle."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikewright.measure.truth import Output


@dataclass(frozen=True, eq=False)
class Distance:
    """The distance of outputs from the source's, by sample.

    `found` are the outputs `(samples, classes)` of classes, of other values the squared differences
    over the source's variance, `(samples,)`. Values are those before the activation that the output
    may have. `different` says whose answer is not the source's, None where values tell no classes
    apart.
    """

    output: Output
    source: NDArray
    found: NDArray
    different: NDArray[np.bool_] | None

    @classmethod
    def of(
        cls,
        output: Output,
        source: NDArray,
        found: NDArray,
        first: int = 0,
        real: NDArray | None = None,
    ) -> Distance:
        """Of samples from number `first` on; `source` holds the source's outputs on all of them.

        Values count where `real`, of all samples too, is true; None: all of them.
        """
        mine = source[first : first + len(found)]
        other = None
        if output.classes:
            activated = (output.activated(values) for values in (mine, found))
            answers, answered = (output.decided(values) for values in activated)
            other = answers != answered
        if _of_classes(output):
            return cls(output, mine, found, other)
        squares = np.reshape((found - mine) ** 2, (len(found), -1))
        if real is None:
            squares = np.mean(squares, axis=1)
        else:
            counts = real[first : first + len(found)].reshape(squares.shape)
            squares = (squares * counts).sum(axis=1) / np.maximum(1, counts.sum(axis=1))
            source = source[real]
        variance = float(np.var(source)) if source.size and np.ptp(source) > 0 else 1.0
        return cls(output, np.empty((len(mine), 0)), squares / variance, other)

    def __add__(self, more: Distance) -> Distance:
        """Of the samples of both."""
        other = self.different
        if other is not None and more.different is not None:
            other = np.concatenate([other, more.different])
        return replace(
            self,
            source=np.concatenate([self.source, more.source]),
            found=np.concatenate([self.found, more.found]),
            different=other,
        )

    @property
    def losses(self) -> NDArray:
        """The loss of every sample, `(samples,)`; see `loss`."""
        return _apart(self.source, self.found) if _of_classes(self.output) else self.found


def loss(output: Output, source: NDArray, found: NDArray) -> float:
    """The loss of values `(samples, *shape)`, before the activation that the output may have.

    Of classes the squared difference from the source's over the variance of these, both less their
    mean over the classes of a sample, and with the common factor for what was found at which it is
    least: neither changes an answer. It is 0 where outputs are the source's in this sense, and 1
    where nothing follows from them. Measured on 128 samples, its choice among candidates loses less
    accuracy than that of other measures. Of other values the squared difference over the source's
    variance.
    """
    return float(Distance.of(output, source, found).losses.mean())


def _of_classes(output: Output) -> bool:
    return output.classes > 2 or (output.classes == 2 and output.shape == (2,))


def _apart(source: NDArray, found: NDArray) -> NDArray:
    """Squared differences of classes over their variance, `(samples,)`."""
    own, other = (_between_classes(values) for values in (source, found))
    size, spread = float(np.vdot(other, other)), float(np.mean(own**2))
    factor = max(0.0, float(np.vdot(own, other)) / size) if size > 0 else 0.0
    off: NDArray = np.mean((factor * other - own) ** 2, axis=-1)
    return off / spread if spread > 0 else off


def _between_classes(values: NDArray) -> NDArray:
    """Values less their mean over the classes: adding to all of them changes no answer."""
    return values.astype(np.float64) - values.mean(axis=-1, keepdims=True)
