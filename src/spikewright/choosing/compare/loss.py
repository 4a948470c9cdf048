"""The distance of a network's outputs from its source's, as one number that few samples settle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.measure.truth import Output


def loss(output: Output, source: NDArray, found: NDArray) -> float:
    """The loss of values `(samples, *shape)`, before the activation that the output may have.

    Of classes the mean Kullback-Leibler divergence (nats) of their softmax from the source's: it
    tells settings apart on fewer samples than counting different answers does, as every sample says
    how near it came to another answer. Of other values the squared difference over the source's
    variance.
    """
    if output.classes > 2 or (output.classes == 2 and output.shape == (2,)):
        logs, others = _log_softmax(source), _log_softmax(found)
        return float(np.mean(np.sum(np.exp(logs) * (logs - others), axis=-1)))
    off = float(np.mean((found - source) ** 2))
    return off / float(np.var(source)) if np.ptp(source) > 0 else off


def _log_softmax(values: NDArray) -> NDArray:
    shifted = values.astype(np.float64) - values.max(axis=-1, keepdims=True)
    logs: NDArray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logs
