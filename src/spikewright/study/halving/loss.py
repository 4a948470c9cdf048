"""The distance of a network's outputs from its source's, as one number that few samples settle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.measure.truth import Output


def different(output: Output, source: NDArray, found: NDArray) -> NDArray[np.bool_] | None:
    """Whose answer is not the source's, `(samples,)`; None where values tell no classes apart."""
    if not output.classes:
        return None
    answers, others = (output.decided(output.activated(values)) for values in (source, found))
    differ: NDArray[np.bool_] = answers != others
    return differ


def kept(
    output: Output, source: NDArray, found: NDArray, first: int = 0, real: NDArray | None = None
) -> NDArray:
    """The part of some outputs that `losses` needs: of classes all, of other values one a sample.

    They are of samples from number `first` on; `source` holds the source's outputs on all of them.
    Values are those before the activation that the output may have. They count where `real`, of all
    samples too, is true; None: all of them.
    """
    if _of_classes(output):
        return found
    squares = np.reshape((found - source[first : first + len(found)]) ** 2, (len(found), -1))
    if real is None:
        squares = np.mean(squares, axis=1)
    else:
        counts = real[first : first + len(found)].reshape(squares.shape)
        squares = (squares * counts).sum(axis=1) / np.maximum(1, counts.sum(axis=1))
        source = source[real]
    return squares / (float(np.var(source)) if source.size and np.ptp(source) > 0 else 1.0)


def losses(output: Output, source: NDArray, parts: NDArray) -> NDArray:
    """The loss of every sample, `(samples,)`, of what was kept; see `loss`."""
    if not _of_classes(output):
        return parts
    own, other = (_between_classes(values) for values in (source[: len(parts)], parts))
    size, spread = float(np.vdot(other, other)), float(np.mean(own**2))
    factor = max(0.0, float(np.vdot(own, other)) / size) if size > 0 else 0.0
    off: NDArray = np.mean((factor * other - own) ** 2, axis=-1)
    return off / spread if spread > 0 else off


def loss(output: Output, source: NDArray, found: NDArray) -> float:
    """The loss of values `(samples, *shape)`, before the activation that the output may have.

    Of classes the squared difference from the source's over the variance of these, both less their
    mean over the classes of a sample, and with the common factor for what was found at which it is
    least: neither changes an answer. It is 0 where outputs are the source's in this sense, and 1
    where nothing follows from them. Measured on 128 samples, its choice among candidates loses less
    accuracy than that of other measures. Of other values the squared difference over the source's
    variance.
    """
    return float(losses(output, source, kept(output, source, found)).mean())


def _of_classes(output: Output) -> bool:
    return output.classes > 2 or (output.classes == 2 and output.shape == (2,))


def _between_classes(values: NDArray) -> NDArray:
    """Values less their mean over the classes: adding to all of them changes no answer."""
    return values.astype(np.float64) - values.mean(axis=-1, keepdims=True)
