"""The choice of the largest of several values, and the relay that passes it on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright.errors import NetworkError
from spikewright.modelling.networks.arrays import POSITIVE, EnsembleArray
from spikewright.network import Config, Connection, Network, Node
from spikewright.network.distributions import Uniform
from spikewright.network.pointwise import Above
from spikewright.network.shapes import count, number
from spikewright.network.synapses import Lowpass

# Gurney, Prescott & Redgrave (2001), as neurons: Stewart, Choo & Eliasmith (2010).
_DOPAMINE = 0.2  # lambda, of both kinds of receptor
_STRIATUM, _STN, _GPE, _GPI = 0.2, -0.25, -0.2, -0.2  # thresholds of the nuclei
_STN_TO_PALLIDUM, _GPE_TO_GPI = 0.9, 0.3  # the weights that are not 1
_RADIUS = 1.5  # of what a nucleus represents, for utilities up to about 1
_AMPA, _GABA = 0.002, 0.008  # seconds


class BasalGanglia(Network):
    """Of `dimensions` utilities at `input`, the largest leaves `output` at 0, others below.

    Five nuclei, an `EnsembleArray` each: `strD1`, `strD2`, `stn`, `gpe` and `gpi`. The inhibition
    is the output of `gpi`, times `output_weight`; send it to a `Thalamus`, or to other targets of
    inhibition. Utilities should lie between 0 and 1, and differ by 0.1 or so; `input_bias` is added
    to all. Weights and thresholds are those of Gurney, Prescott & Redgrave (2001), neurons and time
    constants those of Stewart, Choo & Eliasmith (2010). `ampa_config` and `gaba_config` hold
    defaults for the exciting and the inhibiting connections, such as another synapse or solver;
    their synapses are 2 ms and 8 ms by default.
    """

    def __init__(
        self,
        dimensions: int,
        n_neurons_per_ensemble: int = 100,
        output_weight: float = -3.0,
        input_bias: float = 0.0,
        ampa_config: Config | None = None,
        gaba_config: Config | None = None,
        label: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(label, seed)
        self.dimensions = d = count(dimensions, f"{self!r}: dimensions")
        n = count(n_neurons_per_ensemble, f"{self!r}: n_neurons_per_ensemble")
        weight = number(output_weight, f"{self!r}: output_weight")
        bias = number(input_bias, f"{self!r}: input_bias")
        self._ampa = _receptor(_AMPA) if ampa_config is None else ampa_config
        self._gaba = _receptor(_GABA) if gaba_config is None else gaba_config
        name = "basal ganglia" if label is None else label
        with self:
            self.input = Node(size_in=d, label=f"input of {name}")
            self.output = Node(size_in=d, label=f"output of {name}")
            self.strD1 = _nucleus(n, d, _STRIATUM, f"strD1 of {name}")
            self.strD2 = _nucleus(n, d, _STRIATUM, f"strD2 of {name}")
            self.stn = _nucleus(n, d, _STN, f"stn of {name}")
            self.gpe = _nucleus(n, d, _GPE, f"gpe of {name}")
            self.gpi = _nucleus(n, d, _GPI, f"gpi of {name}")
            if bias != 0:
                constant = Node(np.full(d, bias), label=f"bias of {name}")
                Connection(constant, self.input, None)
            Connection(self.input, self.strD1.input, None, transform=1.0 + _DOPAMINE)
            Connection(self.input, self.strD2.input, None, transform=1.0 - _DOPAMINE)
            Connection(self.input, self.stn.input, None)
            self._excite()
            self._inhibit()
            chosen = self.gpi.add_output("func_gpi", Above(_GPI))
            Connection(chosen, self.output, None, transform=weight)

    def _excite(self) -> None:
        """The subthalamic nucleus drives every channel of both parts of the pallidum."""
        everywhere: NDArray = np.full((self.dimensions, self.dimensions), _STN_TO_PALLIDUM)
        with self._ampa:
            stn = self.stn.add_output("func_stn", Above(_STN))
            Connection(stn, self.gpi.input, transform=everywhere)
            Connection(stn, self.gpe.input, transform=everywhere)

    def _inhibit(self) -> None:
        """Inhibition of the pallidum and of the subthalamic nucleus, channel by channel."""
        with self._gaba:
            direct = self.strD1.add_output("func_str", Above(_STRIATUM))
            indirect = self.strD2.add_output("func_str", Above(_STRIATUM))
            gpe = self.gpe.add_output("func_gpe", Above(_GPE))
            Connection(direct, self.gpi.input, transform=-1.0)
            Connection(indirect, self.gpe.input, transform=-1.0)
            Connection(gpe, self.gpi.input, transform=-_GPE_TO_GPI)
            Connection(gpe, self.stn.input, transform=-1.0)


def _receptor(tau: float) -> Config:
    config = Config(Connection)
    config[Connection].synapse = Lowpass(tau)
    return config


def _nucleus(n: int, channels: int, threshold: float, label: str) -> EnsembleArray:
    """Neurons that respond to values above a threshold alone."""
    return EnsembleArray(
        n,
        channels,
        label=label,
        radius=_RADIUS,
        encoders=POSITIVE,
        intercepts=Uniform(threshold / _RADIUS, 0.9),
    )


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
