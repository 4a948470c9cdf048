"""A relay that passes on the chosen channel and silences the others."""

from __future__ import annotations

import numpy as np

from spikewright._base.arguments import is_number
from spikewright.errors import NetworkError
from spikewright.modelling.networks.checks import count, number
from spikewright.modelling.networks.ensemble_array import EnsembleArray
from spikewright.modelling.networks.presets import POSITIVE
from spikewright.network import Connection, Network, Node
from spikewright.network.distributions import Uniform

_SYNAPSE = 0.008  # seconds, of inhibition
_HIGHEST = 0.9  # intercept: nearer to 1 gains are boundless


class Thalamus(Network):
    """Behind a `BasalGanglia`: the channel that it does not inhibit is near 1 at `output`.

    An array of `actions` is driven by a `bias` of 1; the input from the basal ganglia silences all
    but the chosen one, and channels inhibit each other, `mutual_inhib` times, for a sharp choice.
    Neurons fire above `threshold`, between 0 and 1 (Stewart, Choo & Eliasmith 2010).
    """

    def __init__(
        self,
        dimensions: int,
        n_neurons_per_ensemble: int = 50,
        mutual_inhib: float = 1.0,
        threshold: float = 0.0,
        label: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(label, seed)
        self.dimensions = d = count(dimensions, f"{self!r}: dimensions")
        n = count(n_neurons_per_ensemble, f"{self!r}: n_neurons_per_ensemble")
        inhibition = number(mutual_inhib, f"{self!r}: mutual_inhib")
        if not (is_number(threshold) and 0 <= threshold < 0.9):
            raise NetworkError(
                f"{self!r}: threshold must be from 0 to below 0.9, got {threshold!r}"
            )
        name = "thalamus" if label is None else label
        with self:
            self.actions = EnsembleArray(
                n,
                d,
                label=name,
                radius=1.0,
                encoders=POSITIVE,
                intercepts=Uniform(threshold, _HIGHEST),
            )
            self.bias = Node([1.0], label=f"bias of {name}")
            Connection(self.bias, self.actions.input, None, transform=np.ones((d, 1)))
            if inhibition != 0 and d > 1:
                others = inhibition * (np.eye(d) - 1.0)
                Connection(self.actions.output, self.actions.input, _SYNAPSE, transform=others)
        self.input, self.output = self.actions.input, self.actions.output
