"""A memory of the sum of its input."""

from __future__ import annotations

from typing import Any

from spikewright.modelling.networks.checks import above_zero, count
from spikewright.network import Connection, Ensemble, Network, Node


class Integrator(Network):
    """`d(output)/dt = input`: an ensemble whose feedback holds its value.

    Behind a lowpass filter of `recurrent_tau` seconds feedback of the value itself, and an input of
    `recurrent_tau` times the value, make an integral (Eliasmith & Anderson 2003). A longer
    `recurrent_tau` drifts less. `ens_kwargs` are further arguments of the `ensemble`.
    """

    def __init__(
        self,
        recurrent_tau: float,
        n_neurons: int,
        dimensions: int = 1,
        label: str | None = None,
        seed: int | None = None,
        **ens_kwargs: Any,
    ) -> None:
        super().__init__(label, seed)
        tau = above_zero(recurrent_tau, f"{self!r}: recurrent_tau")
        d = count(dimensions, f"{self!r}: dimensions")
        name = "integrator" if label is None else label
        with self:
            self.input = Node(size_in=d, label=f"input of {name}")
            self.ensemble = Ensemble(
                count(n_neurons, f"{self!r}: n_neurons"), d, label=name, **ens_kwargs
            )
            self.feedback = Connection(self.ensemble, self.ensemble, synapse=tau)
            Connection(self.input, self.ensemble, synapse=tau, transform=tau)
        self.output = self.ensemble
