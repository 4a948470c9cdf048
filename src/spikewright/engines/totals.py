"""Totals: the outputs of every neuron summed over a run, in the smallest safe type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import SimulationError
from spikewright.network import Ensemble

_MOST = int(np.iinfo(np.int64).max)


class Sums(NamedTuple):
    """A population's outputs summed since the start, `(batch, *shape)` arrays of an engine.

    `sent` sums the magnitudes of spikes or rates, `net` their values; where none is negative both
    are the same array.
    """

    sent: Any
    net: Any

    def plus(self, other: Sums) -> Sums:
        """The sums of both, added."""
        sent = self.sent + other.sent
        return Sums(sent, sent if self.net is self.sent else self.net + other.net)


def total_type(ensemble: Ensemble, steps: int) -> np.dtype:
    """The type of the totals of `steps` steps.

    The smallest signed integer for spikes that are capped, int32 for spikes that are not, float64
    for rates.
    """
    kind = ensemble.neuron_type
    if not kind.spiking:
        return np.dtype(np.float64)
    if kind.sends_digits:
        times = max(1, -(-steps // len(kind.spike_heights)))  # of rows and frames, each once
        return np.min_scalar_type(-1 - times * sum(kind.spike_heights))
    window = ensemble.restart_every or max(1, steps)
    runs, rest = divmod(steps, window)
    in_window, in_rest = kind.most_in(window), kind.most_in(rest)
    if in_window is None or in_rest is None:
        return np.dtype(np.int32)
    most = runs * in_window + in_rest
    return np.min_scalar_type(-1 - min(most, _MOST))


def total_bytes(ensemble: Ensemble, steps: int) -> int:
    """Bytes of a population's totals, a sample."""
    size = total_type(ensemble, steps).itemsize * ensemble.n_neurons
    return 2 * size if ensemble.neuron_type.negative else size


@dataclass(frozen=True, eq=False)
class Totals:
    """Outputs of each neuron of a population summed since the start, `(batch, *shape)`.

    `sent` is the number of spikes of both signs; `net` is the number of positive less that of
    negative ones, with the spikes that receivers assume. Where none is negative, they are the same
    array. For rate neurons `sent` sums the magnitude of the rate in Hz over the steps, and `net`
    the rate. `real` masks the neurons of padding, where there is any: they are 0 in both sums.
    """

    ensemble: Ensemble
    sent: NDArray
    net: NDArray
    real: NDArray | None = None

    def where(self, real: NDArray) -> Totals:
        """A copy in which the outputs of padding are 0; these sums stay as they are."""
        real = np.broadcast_to(real, self.sent.shape)
        sent = np.where(real, self.sent, self.sent.dtype.type(0))
        alone = self.net is self.sent
        net = sent if alone else np.where(real, self.net, self.net.dtype.type(0))
        return Totals(self.ensemble, sent, net, real)

    def with_real(self, samples: slice, real: NDArray) -> Totals:
        """The same sums with the mask of some samples; the others keep theirs, or all neurons."""
        known = np.ones(self.sent.shape, bool) if self.real is None else self.real
        known[samples] = real
        return Totals(self.ensemble, self.sent, self.net, known)

    def of_frames(self, frames: int, steps: int) -> Totals:
        """Sums over groups of `frames` consecutive samples, each group of `steps` steps in all."""
        if frames == 1:
            return self
        kind = total_type(self.ensemble, steps)

        def summed(values: NDArray) -> NDArray:
            found: NDArray = values.reshape(-1, frames, *values.shape[1:]).sum(axis=1, dtype=kind)
            return found

        sent = summed(self.sent)
        return Totals(self.ensemble, sent, sent if self.net is self.sent else summed(self.net))

    @classmethod
    def empty(cls, ensemble: Ensemble, batch: int, steps: int) -> Totals:
        """Uninitialised totals of `batch` samples and `steps` steps."""
        shape, kind = (batch, *ensemble.shape), total_type(ensemble, steps)
        sent = np.empty(shape, kind)
        return cls(ensemble, sent, np.empty(shape, kind) if ensemble.neuron_type.negative else sent)

    @classmethod
    def without_copy(
        cls, ensemble: Ensemble, steps: int, sent: NDArray, net: NDArray
    ) -> Totals | None:
        """Totals that hold an engine's own arrays, where these have the right integer type."""
        fits = sent.dtype.kind == "i" and sent.dtype == total_type(ensemble, steps)
        return cls(ensemble, sent, net) if fits else None

    def put(self, samples: slice, sent: NDArray, net: NDArray) -> None:
        """Write the totals of some samples.

        Raises `SimulationError` for numbers of spikes that are not finite, or too many to count.
        """
        if self.sent.dtype.kind == "i" and sent.dtype != self.sent.dtype:  # else it is in range
            most, limit = sent.max(initial=0.0), np.iinfo(self.sent.dtype).max
            if not most <= limit:  # true of NaN
                raise SimulationError(
                    f"{self.ensemble!r}: a neuron sent {most:g} spikes, and up to {limit} can be "
                    "counted: lower its firing-rate scale, or run fewer steps"
                )
        self.sent[samples] = sent
        if self.net is not self.sent:
            self.net[samples] = net
