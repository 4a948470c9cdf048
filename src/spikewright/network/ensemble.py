"""Ensembles: populations of neurons."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.arguments import is_whole
from spikewright.errors import NetworkError
from spikewright.network.attributes import Checked
from spikewright.network.config import configurable
from spikewright.network.distributions import Distribution, ScatteredHypersphere
from spikewright.network.network import container
from spikewright.network.neurons import LIF, Direct, NeuronType
from spikewright.network.neurons.initial_state import check_kept
from spikewright.network.processes import EachStep, Process
from spikewright.network.shapes import (
    Shape,
    above_zero,
    as_label,
    as_period,
    as_seed,
    as_shape,
    count,
    finite,
)
from spikewright.network.view import NeuronsView, ObjView

Drawn = NDArray | Distribution
InitialVoltage = Literal["zero", "half", "uniform"] | Drawn
NAMED_VOLTAGES: Mapping[str, float] = MappingProxyType({"zero": 0.0, "half": 0.5})
"""Initial voltages by name, in spikes; "uniform" is drawn."""
_STARTS = (*NAMED_VOLTAGES, "uniform")


@configurable
class Ensemble(Checked):
    """A population of neurons, flat or shaped, which may represent a vector.

    `n_neurons` is a number or a shape. A neuron's current is `J = gain * input + bias`; both are
    scalars, arrays that broadcast to the shape, or distributions. Where they are not given they
    follow from `max_rates` (Hz) and `intercepts`, arrays, distributions or `(low, high)` ranges
    drawn from uniformly.

    Connections to the ensemble itself deliver a vector `x` of `dimensions`; the neurons' input is
    `encoders . x / radius` (plus the input of `.neurons`), and connections from it decode functions
    of `x` (Eliasmith & Anderson 2003). `encoders` are `(neurons, dimensions)` or a distribution,
    made to length 1 unless `normalize_encoders` is False. Decoders are found at `eval_points`,
    `(points, dimensions)` or a distribution of which `n_eval_points` are drawn (None: 500 a
    dimension, between 750 and 2500, two a neuron at least), for a radius of 1. `noise` is a process
    added to every neuron's current. With `Direct()` there are no neurons. With `dimensions=None`,
    as in layers of converted networks, no vector is represented: connections and probes of the
    ensemble are those of its `.neurons`.

    `rate_scale` multiplies firing rates: effective gain and bias are `rate_scale` times the given
    ones and spikes are that much lower, formed when a simulator is built, never stored. For types
    whose response is not linear it acts on the spiking instead; LIF refuses it. `initial_voltage`
    is "zero", "half", "uniform" (seeded, one draw a neuron), an array or a distribution, in spikes;
    `initial_state` gives the same for all state variables of the neuron type, by name:
    `{"voltage": 0, "refractory_time": Uniform(0, 0.002)}`. Both come before the `initial_state` of
    the neuron type; a voltage that neither gives is "uniform". These are attributes that may be
    changed, and so are `gain`, `bias` and `neuron_type`. `restart_every` is None, or the period in
    steps after which all state is set to its initial value; it does not affect stateless types and
    random draws.

    Raises `NetworkError` for values that are not finite numbers, one or one a neuron.
    """

    def __init__(
        self,
        n_neurons: int | tuple[int, ...],
        dimensions: int | None = 1,
        *,
        neuron_type: NeuronType | None = None,
        gain: ArrayLike | Distribution | None = None,
        bias: ArrayLike | Distribution | None = None,
        max_rates: ArrayLike | Distribution | tuple[float, float] = (200.0, 400.0),
        intercepts: ArrayLike | Distribution | tuple[float, float] = (-1.0, 0.9),
        radius: float = 1.0,
        encoders: ArrayLike | Distribution | None = None,
        eval_points: ArrayLike | Distribution | None = None,
        n_eval_points: int | None = None,
        noise: Process | None = None,
        normalize_encoders: bool = True,
        rate_scale: ArrayLike = 1.0,
        initial_voltage: str | ArrayLike | Distribution | None = None,
        initial_state: Mapping[str, ArrayLike | Distribution] | None = None,
        restart_every: int | None = None,
        seed: int | None = None,
        label: str | None = None,
    ) -> None:
        self.label = as_label(label, "Ensemble")
        self.shape = as_shape(n_neurons, f"{self!r}: n_neurons", empty=False)
        self.dimensions = self._dimensions(dimensions)
        self._rate_scale: NDArray = np.array(1.0)
        self._initial_state: dict[str, Drawn] = {}
        self.neuron_type = LIF() if neuron_type is None else neuron_type
        if self.is_direct and not self.represents:
            raise NetworkError(f"{self!r}: with Direct() and no dimensions there is nothing in it")
        if (gain is None) != (bias is None):
            raise NetworkError(f"{self!r}: gain and bias must be given both or neither")
        self.gain = gain
        self.bias = bias
        self.max_rates = self._range_or_values("max_rates", max_rates)
        self.intercepts = self._range_or_values("intercepts", intercepts)
        self._represent(radius, encoders, eval_points, n_eval_points, noise)
        self.normalize_encoders = bool(normalize_encoders)
        self.seed = as_seed(seed, f"{self!r}")
        self.rate_scale = rate_scale
        self.initial_voltage = initial_voltage
        self.initial_state = initial_state
        self.restart_every = restart_every
        container("Ensemble").ensembles.append(self)

    def _dimensions(self, value: Any) -> int:
        """The number of represented values; 0 for None."""
        if value is None:
            return 0
        if not (is_whole(value) and value >= 1):
            raise NetworkError(
                f"{self!r}: dimensions must be at least 1, got {value!r}; None is for neurons that "
                "represent no vector"
            )
        return int(value)

    def _per_neuron(self, name: str, value: ArrayLike) -> NDArray:
        meant = f"a number or broadcast to {self.shape}, finite numbers"
        array = finite(value, f"{self!r}: {name}", meant)
        try:
            np.broadcast_to(array, self.shape)
        except ValueError:
            raise NetworkError(f"{self!r}: {name} must be {meant}, got {array.shape}") from None
        return array

    def _represent(
        self,
        radius: float,
        encoders: ArrayLike | Distribution | None,
        eval_points: ArrayLike | Distribution | None,
        n_eval_points: int | None,
        noise: Process | None,
    ) -> None:
        """Set the parameters of the represented vector."""
        self.radius = above_zero(radius, f"{self!r}: radius")
        directions = ScatteredHypersphere(surface=True) if encoders is None else encoders
        points = ScatteredHypersphere() if eval_points is None else eval_points
        self.encoders: Drawn = self._vectors("encoders", directions, self.n_neurons)
        self.eval_points: Drawn = self._vectors("eval_points", points, None)
        self.n_eval_points = n_eval_points
        if n_eval_points is not None:
            self.n_eval_points = count(n_eval_points, f"{self!r}: n_eval_points")
        if noise is not None and not isinstance(noise, Process):
            raise NetworkError(f"{self!r}: noise must be a process, got {noise!r}")
        if noise is not None:
            try:
                noise.check_shapes((0,), self.shape)
            except NetworkError as error:
                raise NetworkError(f"{self!r}: its noise, one value a neuron: {error}") from None
        self.noise = noise

    def _vectors(self, name: str, value: Any, n: int | None) -> Drawn:
        """A distribution, or `(n, dimensions)` finite numbers."""
        if isinstance(value, Distribution):
            return value
        array = finite(value, f"{self!r}: {name}")
        if array.ndim == 1 and self.dimensions == 1:
            array = array[:, None]
        rows = len(array) if n is None and array.ndim else n
        if array.shape != (rows, self.dimensions) or rows == 0:
            wanted = f"({'points' if n is None else n}, {self.dimensions})"
            raise NetworkError(f"{self!r}: {name} must be {wanted}, got shape {array.shape}")
        if name == "encoders" and not np.all(np.any(array != 0, axis=1)):
            zero = np.flatnonzero(~np.any(array != 0, axis=1))
            raise NetworkError(
                f"{self!r}: {len(zero)} of {len(array)} encoders are zero (the first is number "
                f"{zero[0]}): such a neuron has no direction to respond to"
            )
        return array

    @property
    def step_biases(self) -> NDArray | None:
        """The biases that each of the first steps has of its own, `(steps, ...)`, if it has any."""
        return self.noise.values if isinstance(self.noise, EachStep) else None

    def mean_step_bias(self, steps: int) -> Any:
        """The mean of `step_biases` over a run of so many steps, `(...)`; 0 without any.

        Neurons of signed digits take all of them, once, before they send.
        """
        biases = self.step_biases
        if biases is None:
            return 0.0
        taken = biases if self.neuron_type.sends_digits else biases[:steps]
        return taken.sum(axis=0) / steps

    @property
    def default_eval_points(self) -> int:
        """The number of evaluation points drawn where it is not given."""
        return max(int(np.clip(500 * self.dimensions, 750, 2500)), 2 * self.n_neurons)

    @property
    def represents(self) -> bool:
        """Whether it represents a vector."""
        return self.dimensions > 0

    @property
    def is_direct(self) -> bool:
        """Whether there are no neurons."""
        return isinstance(self.neuron_type, Direct)

    def __getitem__(self, key: Any) -> ObjView:
        return ObjView(self if self.represents else self.neurons, key)

    def __len__(self) -> int:
        return self.dimensions

    def __bool__(self) -> bool:
        return True

    def _range_or_values(
        self, name: str, value: Any
    ) -> NDArray | Distribution | tuple[float, float]:
        if isinstance(value, Distribution):
            return value
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
    def gain(self) -> Drawn | None:
        """The factor of a neuron's input, unscaled; None: solved from rates and intercepts."""
        return self._gain

    @gain.setter
    def gain(self, value: ArrayLike | Distribution | None) -> None:
        self._gain = None if value is None else self._drawn_or_values("gain", value)

    @property
    def bias(self) -> Drawn | None:
        """The constant part of a neuron's current, unscaled; None as for `gain`."""
        return self._bias

    @bias.setter
    def bias(self, value: ArrayLike | Distribution | None) -> None:
        self._bias = None if value is None else self._drawn_or_values("bias", value)

    @property
    def given_gain_bias(self) -> tuple[NDArray, NDArray] | None:
        """Gain and bias where both are given as numbers; None where they are drawn or solved."""
        gain, bias = self._gain, self._bias
        numbers = isinstance(gain, np.ndarray) and isinstance(bias, np.ndarray)
        return (gain, bias) if numbers else None  # type: ignore[return-value]

    @property
    def neuron_type(self) -> NeuronType:
        """The neurons' equation; a type that refuses the present `rate_scale` is an error."""
        return self._neuron_type

    @neuron_type.setter
    def neuron_type(self, value: NeuronType) -> None:
        if not isinstance(value, NeuronType):
            raise NetworkError(f"{self!r}: neuron_type must be a NeuronType, got {value!r}")
        self._check_scaling(value, self._rate_scale)
        self._check_kept(value, self._initial_state)
        for name, start in value.starts.items():
            self._drawn_or_values(f"initial_state[{name!r}] of its neuron type", start)
        for kind in (value, getattr(value, "base_type", value)):
            for name, values in kind.arrays.items():
                self._per_neuron(f"{name} of its neuron type", values)
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
            advice = (
                f" Use RegularSpiking({name}Rate()), or {name}(skewed_scaling=True) to accept the "
                "skew."
                if hasattr(neuron_type, "skewed_scaling")
                else ""
            )
            raise NetworkError(
                f"{self!r}: firing rates of {name} cannot be scaled by {scale.tolist()!r}: its "
                "response is curved and its spiking is its own dynamics, so a larger gain would "
                f"change the output.{advice}"
            )

    @property
    def initial_voltage(self) -> InitialVoltage:
        """The voltage before the first step, in spikes; where it is None, the neuron type's."""
        if self._initial_voltage is not None:
            return self._initial_voltage
        return self._neuron_type.starts.get("voltage", "uniform")

    @initial_voltage.setter
    def initial_voltage(self, value: str | ArrayLike | Distribution | None) -> None:
        self._initial_voltage: InitialVoltage | None
        if value is None:
            self._initial_voltage = None
        elif isinstance(value, str):
            if value not in _STARTS:
                raise NetworkError(
                    f"{self!r}: initial_voltage must be one of {_STARTS} or an array in spikes, "
                    f"got {value!r}"
                )
            self._initial_voltage = value  # type: ignore[assignment]
        else:
            self._initial_voltage = self._drawn_or_values("initial_voltage", value)

    def _drawn_or_values(self, name: str, value: Any) -> Drawn:
        return value if isinstance(value, Distribution) else self._per_neuron(name, value)

    @property
    def initial_state(self) -> dict[str, Drawn]:
        """Initial values of the neurons' state by name, the voltage apart, where they are set."""
        return self._initial_state

    @initial_state.setter
    def initial_state(self, value: Mapping[str, ArrayLike | Distribution] | None) -> None:
        if not isinstance(value, Mapping | None):
            raise NetworkError(f"{self!r}: initial_state is {{name: values}}, got {value!r}")
        given = dict(value or {})
        self._check_kept(self._neuron_type, given)
        if "voltage" in given:
            self.initial_voltage = given.pop("voltage")
        self._initial_state = {
            name: self._drawn_or_values(f"initial_state[{name!r}]", v) for name, v in given.items()
        }

    @property
    def starts(self) -> dict[str, Drawn]:
        """Initial values of state that are set here or by the neuron type, the voltage apart."""
        own = {n: v for n, v in self._neuron_type.starts.items() if n not in self._initial_state}
        own.pop("voltage", None)
        return {**self._initial_state, **own}

    def _check_kept(self, neuron_type: NeuronType, state: Mapping[str, Any]) -> None:
        """Raise `NetworkError` for a name that is no state variable of the neuron type."""
        names = () if isinstance(neuron_type, Direct) else neuron_type.state_names
        for name in state:
            check_kept(type(neuron_type).__name__, name, names, f"{self!r}: initial_state")

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
    def neurons(self) -> NeuronsView:
        """The neurons themselves, to connect to and from and to probe."""
        return NeuronsView(self)

    @property
    def shape_in(self) -> Shape:
        """Shape of the represented vector; of the population where there is none."""
        return (self.dimensions,) if self.represents else self.shape

    @property
    def size_in(self) -> int:
        """Number of values that a connection to it delivers, and one from it takes."""
        return math.prod(self.shape_in)

    shape_out, size_out = shape_in, size_in

    def __repr__(self) -> str:
        return f"<Ensemble {self.label!r}>" if self.label else f"<Ensemble at {id(self):#x}>"
