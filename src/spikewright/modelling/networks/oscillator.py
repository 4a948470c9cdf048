"""A harmonic oscillator."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewright.modelling.networks.checks import above_zero, count, number
from spikewright.network import Connection, Ensemble, Network, Node


class Oscillator(Network):
    """A harmonic oscillator of two values: `d(x0)/dt = -w x1 + input0`, `d(x1)/dt = w x0 + input1`.

    `w` is `frequency`, in radians per second (a negative one turns the other way). The feedback,
    behind a lowpass filter of `recurrent_tau` seconds, is `[[1, -w tau], [w tau, 1]]`. It needs a
    push from its `input` to start; a short one is enough. `ens_kwargs` are further arguments of the
    `ensemble`.
    """

    def __init__(
        self,
        recurrent_tau: float,
        frequency: float,
        n_neurons: int,
        label: str | None = None,
        seed: int | None = None,
        **ens_kwargs: Any,
    ) -> None:
        super().__init__(label, seed)
        tau = above_zero(recurrent_tau, f"{self!r}: recurrent_tau")
        turn = tau * number(frequency, f"{self!r}: frequency")
        name = "oscillator" if label is None else label
        with self:
            self.input = Node(size_in=2, label=f"input of {name}")
            self.ensemble = Ensemble(
                count(n_neurons, f"{self!r}: n_neurons"), 2, label=name, **ens_kwargs
            )
            matrix = np.array([[1.0, -turn], [turn, 1.0]])
            self.feedback = Connection(self.ensemble, self.ensemble, synapse=tau, transform=matrix)
            Connection(self.input, self.ensemble, synapse=tau, transform=tau)
        self.output = self.ensemble
