"""Ensembles: populations of neurons, and direct access to the neurons."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.errors import NetworkError
from spikewright.network.network import container
from spikewright.network.neurons import LIF, NeuronType
from spikewright.network.shapes import Shape, as_period, as_seed, as_shape, is_whole
from spikewright.network.view import ObjView

InitialVoltage = Literal["zero", "half", "uniform"] | NDArray
_STARTS = ("zero", "half", "uniform")


class Ensemble:
    """A population of neurons, flat or shaped.

    `n_neurons` is a number or a shape. A neuron's current is `J = gain * input + bias`; both are
    scalars or broadcast to the shape. Where they are not given they follow from `max_rates` (Hz)
    and `intercepts`, arrays or `(low, high)` ranges drawn from uniformly.

    `rate_scale` multiplies firing rates: effective gain and bias are `rate_scale` times the given
    ones and spikes are that much lower, formed when a simulator is built, never stored. For types
    whose response is not linear it acts on the spiking instead; LIF refuses it.
    `initial_voltage` is "zero", "half", "uniform" (seeded, one draw a neuron) or an array, in
    spikes. Both are attributes that may be changed, and so are `gain`, `bias` and `neuron_type`.
    `restart_every` is None, or the number of steps after which all state is as it was at the start,
    again and again; what is stateless or drawn at random does not notice.

    Raises `NetworkError` for values that are not finite numbers, one or one a neuron.
    """

    def __init__(
        self,
        n_neurons: int | tuple[int, ...],
        dimensions: int = 1,
        *,
        neuron_type: NeuronType | None = None,
        gain: ArrayLike | None = None,
        bias: ArrayLike | None = None,
        max_rates: ArrayLike | tuple[float, float] = (200.0, 400.0),
        intercepts: ArrayLike | tuple[float, float] = (-1.0, 0.9),
        rate_scale: ArrayLike = 1.0,
        initial_voltage: str | ArrayLike = "uniform",
        restart_every: int | None = None,
        seed: int | None = None,
        label: str | None = None,
    ) -> None:
        self.label = label
        self.shape = as_shape(n_neurons, f"{self!r}: n_neurons", empty=False)
        if not (is_whole(dimensions) and dimensions >= 1):
            raise NetworkError(f"{self!r}: dimensions must be at least 1, got {dimensions!r}")
        self.dimensions = int(dimensions)
        self._rate_scale: NDArray = np.array(1.0)
        self.neuron_type = LIF() if neuron_type is None else neuron_type
        if (gain is None) != (bias is None):
            raise NetworkError(f"{self!r}: gain and bias must be given both or neither")
        self.gain = gain
        self.bias = bias
        self.max_rates = self._range_or_values("max_rates", max_rates)
        self.intercepts = self._range_or_values("intercepts", intercepts)
        self.seed = as_seed(seed, f"{self!r}")
        self.rate_scale = rate_scale
        self.initial_voltage = initial_voltage
        self.restart_every = restart_every
        container("Ensemble").ensembles.append(self)

    def _per_neuron(self, name: str, value: ArrayLike) -> NDArray:
        try:
            array = np.array(value, np.float64)
            np.broadcast_to(array, self.shape)
        except (TypeError, ValueError):
            raise NetworkError(
                f"{self!r}: {name} must be a number or broadcast to {self.shape}, got "
                f"{np.shape(value)}"
            ) from None
        if not np.all(np.isfinite(array)):
            raise NetworkError(f"{self!r}: {name} holds NaN or infinity")
        return array

    def _range_or_values(self, name: str, value: Any) -> NDArray | tuple[float, float]:
        if isinstance(value, tuple) and len(value) == 2:
            try:
                low, high = float(value[0]), float(value[1])
            except (TypeError, ValueError):
                low = high = math.nan
            if not (low <= high and math.isfinite(low) and math.isfinite(high)):
                raise NetworkError(f"{self!r}: {name} must be (low, high), got {value!r}")
            return (low, high)
        return self._per_neuron(name, value)

    @property
    def gain(self) -> NDArray | None:
        """What a neuron's input is multiplied by, unscaled; None: from rates and intercepts."""
        return self._gain

    @gain.setter
    def gain(self, value: ArrayLike | None) -> None:
        self._gain = None if value is None else self._per_neuron("gain", value)

    @property
    def bias(self) -> NDArray | None:
        """The constant part of a neuron's current, unscaled; None as for `gain`."""
        return self._bias

    @bias.setter
    def bias(self, value: ArrayLike | None) -> None:
        self._bias = None if value is None else self._per_neuron("bias", value)

    @property
    def neuron_type(self) -> NeuronType:
        """The neurons' equation; a type that refuses the present `rate_scale` is an error."""
        return self._neuron_type

    @neuron_type.setter
    def neuron_type(self, value: NeuronType) -> None:
        if not isinstance(value, NeuronType):
            raise NetworkError(f"{self!r}: neuron_type must be a NeuronType, got {value!r}")
        self._check_scaling(value, self._rate_scale)
        self._neuron_type = value

    @property
    def rate_scale(self) -> NDArray:
        """The firing-rate scale, scalar or per neuron."""
        return self._rate_scale

    @rate_scale.setter
    def rate_scale(self, value: ArrayLike) -> None:
        scale = self._per_neuron("rate_scale", value)
        if not np.all(scale > 0):
            raise NetworkError(
                f"{self!r}: rate_scale must be above 0, got {float(np.min(scale))!r}"
            )
        self._check_scaling(self._neuron_type, scale)
        self._rate_scale = scale

    def _check_scaling(self, neuron_type: NeuronType, scale: NDArray) -> None:
        if neuron_type.scaling == "refused" and np.any(scale != 1):
            name = type(neuron_type).__name__
            raise NetworkError(
                f"{self!r}: firing rates of {name} cannot be scaled by {scale.tolist()!r}: its "
                "response is curved and its spiking is its own dynamics, so a larger gain would "
                f"change the output. Use RegularSpiking({name}Rate()), or "
                f"{name}(skewed_scaling=True) to accept the skew."
            )

    @property
    def initial_voltage(self) -> InitialVoltage:
        """The voltage before the first step, in spikes."""
        return self._initial_voltage

    @initial_voltage.setter
    def initial_voltage(self, value: str | ArrayLike) -> None:
        if isinstance(value, str):
            if value not in _STARTS:
                raise NetworkError(
                    f"{self!r}: initial_voltage must be one of {_STARTS} or an array in spikes, "
                    f"got {value!r}"
                )
            self._initial_voltage: InitialVoltage = value  # type: ignore[assignment]
        else:
            self._initial_voltage = self._per_neuron("initial_voltage", value)

    @property
    def restart_every(self) -> int | None:
        """The number of steps after which the neurons start again, or None for never."""
        return self._restart_every

    @restart_every.setter
    def restart_every(self, value: int | None) -> None:
        self._restart_every = as_period(value, f"{self!r}")

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return math.prod(self.shape)

    @property
    def neurons(self) -> Neurons:
        """The neurons themselves, to connect to and from and to probe."""
        return Neurons(self)

    def __repr__(self) -> str:
        return f"<Ensemble {self.label!r}>" if self.label else f"<Ensemble at {id(self):#x}>"


class Neurons:
    """Direct access to an ensemble's neurons: input is current (times gain), output is spikes."""

    def __init__(self, ensemble: Ensemble) -> None:
        self.ensemble = ensemble

    @property
    def shape(self) -> Shape:
        """Shape of the population."""
        return self.ensemble.shape

    def __getitem__(self, key: Any) -> ObjView:
        return ObjView(self, key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Neurons) and other.ensemble is self.ensemble

    def __hash__(self) -> int:
        return hash((Neurons, id(self.ensemble)))

    def __repr__(self) -> str:
        return f"<Neurons of {self.ensemble!r}>"
