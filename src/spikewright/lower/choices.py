"""The neurons of each layer: the user's choices, and the defaults of layers that round.

Neurons with negative spikes have sent, after T steps of a mean current J clipped to theta,
`floor(v0 + T s dt J)` spikes. With `s = 1 / (theta dt)`, and T the layer's number of levels, that
is the number that the layer rounds to. So the layer says which scale and start its neurons have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from spikewright._base.arguments import refuse
from spikewright.errors import ConversionError, Refusal
from spikewright.graph.layers import Activation, Layer, ParametricReLU
from spikewright.lower.node_functions import is_function
from spikewright.network import Ensemble
from spikewright.network.ensemble import NAMED_VOLTAGES
from spikewright.network.neurons import (
    ClippedReLU,
    Elementwise,
    IntegrateAndFire,
    LeakyReLU,
    NeuronType,
    RectifiedLinear,
    RunningMeanSpiking,
    Sigmoid,
    SignedIntegrateAndFire,
    Softplus,
    Tanh,
)
from spikewright.network.neurons import ParametricReLU as ParametricReLUNeurons

ROUNDED = "rounded_relu"
STEP = 0.001
"""The step of time in seconds for which a layer with a threshold of its own chooses a scale."""

Spiking = bool | Mapping[Any, NeuronType | type[NeuronType]]


def rate_type(layer: Layer) -> NeuronType:
    """The rate neuron with this activation as response, or for a function the identity.

    Raises `TypeError` for a layer that has no neurons.
    """
    if isinstance(layer, ParametricReLU):
        return ParametricReLUNeurons(layer.slope)
    if is_function(layer):
        return VALUES
    if not isinstance(layer, Activation):
        raise TypeError(f"{layer.kind} has no neurons")
    types: dict[str, Callable[[], NeuronType]] = {
        "relu": RectifiedLinear,
        "relu6": ClippedReLU,
        "leaky_relu": lambda: LeakyReLU(float(layer.parameters["negative_slope"])),
        "sigmoid": lambda: Sigmoid(tau_ref=1.0),
        "tanh": lambda: Tanh(tau_ref=1.0),
        "softplus": Softplus,
    }
    make = types.get(layer.function)
    if make is not None:
        return make()
    return Elementwise.of(layer.function, **{n: float(v) for n, v in layer.parameters.items()})


VALUES = Elementwise("linear")
"""What the neurons behind a function answer: the value itself."""


def spiking_type(rate: NeuronType) -> NeuronType:
    """The default spiking form: signed integration for ReLU, running means for curved responses.

    Of a layer that rounds it is that of the values before they are rounded: counting spikes rounds.
    Neurons behind a function pass its value on in spikes of either sign.
    """
    if isinstance(rate, RectifiedLinear):
        return IntegrateAndFire()
    if isinstance(rate, Elementwise) and rate.function == ROUNDED:
        return RunningMeanSpiking(ClippedReLU(dict(rate.parameters)["threshold"]))
    return SignedIntegrateAndFire() if rate == VALUES else RunningMeanSpiking(rate)


@dataclass(frozen=True)
class NeuronChoice:
    """Chooses the neuron type of each activation: `spiking` as `convert` takes it.

    `max_spikes_per_step` bounds the spikes of all types, chosen by hand or not. `coded` gives the
    spiking type of a rate type where a code has one of its own, else None. Raises
    `ConversionError` where `spiking` is neither True, False nor a dict.
    """

    spiking: Spiking
    max_spikes_per_step: int | None = None
    coded: Callable[[NeuronType], NeuronType | None] = lambda rate: None

    def __post_init__(self) -> None:
        if isinstance(self.spiking, Mapping):
            named = {function_name(key): value for key, value in self.spiking.items()}
            object.__setattr__(self, "spiking", named)
        elif not isinstance(self.spiking, bool | np.bool_):
            reason = (
                f"it is True, False or {{layer or activation: neuron type}}, got {self.spiking!r}"
            )
            options = "spiking={'relu': sw.IntegrateAndFire()} chooses neurons"
            raise refuse("spiking", reason, options)
        else:
            object.__setattr__(self, "spiking", bool(self.spiking))

    @property
    def is_spiking(self) -> bool:
        """Whether the network is to spike."""
        return self.spiking is not False

    def neuron_type(self, layer: Layer, key: Any = None) -> NeuronType:
        """The neuron type of a layer with neurons, which this key of `spiking` means, or none.

        Raises `NetworkError` for a type that cannot obey the cap.
        """
        chosen = self._chosen(layer, key)
        if self.max_spikes_per_step is None or not chosen.spiking:
            return chosen
        return chosen.capped(self.max_spikes_per_step)

    def _chosen(self, layer: Layer, key: Any) -> NeuronType:
        rate = rate_type(layer)
        if not self.is_spiking:
            return rate
        if isinstance(self.spiking, Mapping) and key is not None:
            return _instance(key, self.spiking[key])
        return self.coded(rate) or spiking_type(rate)


def function_name(key: Any) -> Any:
    """A framework's activation function (`torch.relu`, `keras.activations.relu`) by its name."""
    if isinstance(key, str | type | NeuronType):
        return key
    return getattr(key, "__name__", key)


def _without_starts(key: Any, kind: NeuronType) -> NeuronType:
    """The type, unless it says where its neurons begin, which a conversion does."""
    if not kind.starts:
        return kind
    raise ConversionError(
        [
            Refusal(
                str(key), "value of spiking", f"{kind!r} has an initial_state",
                "Leave it out, and give initial_voltage= to convert",
            )
        ]
    )  # fmt: skip


def _instance(key: Any, value: NeuronType | type[NeuronType]) -> NeuronType:
    try:
        made = value() if isinstance(value, type) and issubclass(value, NeuronType) else value
    except TypeError as error:  # a wrapper without the type that it wraps
        made, detail = None, f": {error}"
    else:
        detail = ""
    if isinstance(made, NeuronType):
        return _without_starts(key, made)
    raise ConversionError(
        [
            Refusal(
                str(key), "value of spiking", f"{value!r} is no neuron type{detail}",
                "Give one such as sw.IntegrateAndFire() or sw.RegularSpiking(sw.Sigmoid())",
            )
        ]
    )  # fmt: skip


class LayerDefaults(NamedTuple):
    """The default firing-rate scale and initial voltage of a layer."""

    scale: float = 1.0
    start: Any = "half"


def rounded(layer: Layer) -> Activation | None:
    """The layer, if it rounds to levels by itself."""
    return layer if isinstance(layer, Activation) and layer.function == ROUNDED else None


def unrounded(layer: Layer) -> Layer:
    """The layer, or for one that rounds the values that it rounds."""
    found = rounded(layer)
    if found is None:
        return layer
    return Activation("clip", {"minimum": 0.0, "maximum": found.parameters["threshold"]})


def defaults_of(layer: Layer) -> LayerDefaults:
    """The defaults of a layer: those of a layer that rounds, else the usual ones."""
    found = rounded(layer)
    if found is None:
        return LayerDefaults()
    start = float(found.parameters.get("start", 0.5))
    scale = 1.0 / (float(found.parameters["threshold"]) * STEP)
    return LayerDefaults(scale, "half" if start == 0.5 else start)


def seconds_until_exact(layer: Layer, ensemble: Ensemble) -> float | None:
    """The time after which neurons have sent what a layer rounds to; None where they never have.

    In T seconds neurons that answer the values before they are rounded, in spikes whose number
    follows the sum of their currents alone, have sent `floor(v0 + T s J / amplitude)` of them. With
    the layer's start that is its number of levels, `floor(start + L J / theta)`, at
    `T = L amplitude / (s theta)` alone. So it is one time for neurons of one scale.
    """
    found, kind = rounded(layer), ensemble.neuron_type
    held = kind.most_spikes is not None or kind.integer_charge or len(kind.spike_heights) > 0
    if found is None or held or not (kind.spiking and kind.order_independent):
        return None
    start: Any = ensemble.initial_voltage
    if isinstance(start, str):
        start = NAMED_VOLTAGES.get(start, np.nan)
    scales = np.unique(ensemble.rate_scale)
    if len(scales) > 1 or not np.all(start == found.parameters.get("start", 0.5)):
        return None
    levels, threshold = float(found.parameters["levels"]), float(found.parameters["threshold"])
    return levels * kind.amplitude / (float(scales[0]) * threshold)


def in_numbers(given: Any, found: Mapping[str, Any], usual: Any) -> Any:
    """A choice in numbers: by layer where it was given by layer, or layers have their own."""
    if given is not None and not isinstance(given, Mapping):
        return given
    numbers = {name: plain(value) for name, value in found.items()}
    if given is None and all(isinstance(v, str | float) and v == usual for v in numbers.values()):
        return usual
    return numbers


def plain(value: Any) -> Any:
    """A value; an array without axes becomes a number."""
    return float(value) if isinstance(value, np.ndarray) and value.ndim == 0 else value
