"""What a user chooses for each layer, resolved: one value a layer, nothing left open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from spikewright.errors import ConversionError, NetworkError, Refusal
from spikewright.graph.layers import Activation
from spikewright.network.neurons import (
    ClippedReLU,
    IntegrateAndFire,
    LeakyReLU,
    NeuronType,
    RectifiedLinear,
    RunningMeanSpiking,
    Sigmoid,
    Softplus,
    Tanh,
)

T = TypeVar("T")

Spiking = bool | Mapping[Any, NeuronType | type[NeuronType]]


def rate_type(activation: Activation) -> NeuronType | None:
    """The rate neuron whose response is this activation, or None (softmax has none)."""
    types: dict[str, Callable[[], NeuronType]] = {
        "relu": RectifiedLinear,
        "relu6": ClippedReLU,
        "leaky_relu": lambda: LeakyReLU(float(activation.parameters["negative_slope"])),
        "sigmoid": lambda: Sigmoid(tau_ref=1.0),
        "tanh": lambda: Tanh(tau_ref=1.0),
        "softplus": Softplus,
    }
    make = types.get(activation.function)
    return None if make is None else make()


def spiking_type(rate: NeuronType, max_spikes_per_step: int | None) -> NeuronType:
    """The default spiking form: signed integration for ReLU, running means for curved responses."""
    if isinstance(rate, RectifiedLinear):
        return IntegrateAndFire(max_spikes_per_step=max_spikes_per_step)
    return RunningMeanSpiking(rate)


@dataclass(frozen=True)
class NeuronChoice:
    """Chooses the neuron type of each activation: `spiking` as `convert` takes it.

    Raises `ConversionError` where `spiking` is neither True, False nor a dict.
    """

    spiking: Spiking
    max_spikes_per_step: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.spiking, Mapping):
            named = {_named(key): value for key, value in self.spiking.items()}
            object.__setattr__(self, "spiking", named)
        elif not isinstance(self.spiking, bool | np.bool_):
            reason = f"it is True, False or {{activation: neuron type}}, got {self.spiking!r}"
            options = "spiking={'relu': sw.IntegrateAndFire()} chooses neurons"
            raise ConversionError([Refusal("spiking", "argument", reason, options)])
        else:
            object.__setattr__(self, "spiking", bool(self.spiking))

    @property
    def is_spiking(self) -> bool:
        """Whether the network is to spike."""
        return self.spiking is not False

    def neuron_type(self, activation: Activation) -> NeuronType | None:
        """The neuron type for an activation, or None where no neuron has its response."""
        rate = rate_type(activation)
        if rate is None or not self.is_spiking:
            return rate
        if isinstance(self.spiking, Mapping):
            for key in _keys(activation, rate):
                if key in self.spiking:
                    return _instance(key, self.spiking[key])
        return spiking_type(rate, self.max_spikes_per_step)

    def check(self, activations: Sequence[Activation]) -> None:
        """Raise `ConversionError` for keys that no activation of the model has."""
        if not isinstance(self.spiking, Mapping):
            return
        known: list[Any] = []
        for activation in activations:
            rate = rate_type(activation)
            known += [] if rate is None else _keys(activation, rate)
        unknown = [key for key in self.spiking if key not in known]
        if unknown:
            names = sorted({key for key in known if isinstance(key, str)})
            raise ConversionError(
                [
                    Refusal(
                        str(key), "key of spiking", "the model has no such activation",
                        f"It has {', '.join(names) or 'none'}",
                    )
                    for key in unknown
                ]
            )  # fmt: skip


def _keys(activation: Activation, rate: NeuronType) -> list[Any]:
    """What may name an activation in a `spiking` dict, most specific first."""
    return [rate, type(rate), activation.function]


def _named(key: Any) -> Any:
    """A framework's activation function (`torch.relu`, `keras.activations.relu`) by its name."""
    if isinstance(key, str | type | NeuronType):
        return key
    return getattr(key, "__name__", key)


def _instance(key: Any, value: NeuronType | type[NeuronType]) -> NeuronType:
    try:
        made = value() if isinstance(value, type) and issubclass(value, NeuronType) else value
    except TypeError as error:  # a wrapper without the type that it wraps
        made, detail = None, f": {error}"
    else:
        detail = ""
    if isinstance(made, NeuronType):
        return made
    raise ConversionError(
        [
            Refusal(
                str(key), "value of spiking", f"{value!r} is no neuron type{detail}",
                "Give one such as sw.IntegrateAndFire() or sw.RegularSpiking(sw.Sigmoid())",
            )
        ]
    )  # fmt: skip


def per_layer(
    value: Any,
    layers: Sequence[str],
    names: Mapping[str, str],
    what: str,
    convert: Callable[[Any], T],
) -> dict[str, T]:
    """One converted value for each of `layers`, from one for all or a `{layer name: value}`.

    `names` maps every name that a user may give to a layer. Raises `ConversionError` naming layers
    that are unknown, left out, given twice with different values, or given what `convert` refuses
    with a `NetworkError`.
    """
    if not isinstance(value, Mapping):
        try:
            single = convert(value)
        except NetworkError as error:
            raise ConversionError([Refusal(what, "argument", str(error))]) from None
        return dict.fromkeys(layers, single)
    chosen: dict[str, T] = {}
    given_as: dict[str, str] = {}
    refusals = []
    for name, item in value.items():
        layer = names.get(name)
        if layer is None:
            options = f"Layers with neurons are {', '.join(layers)}"
            refusals.append(Refusal(str(name), f"key of {what}", "no such layer", options))
            continue
        try:
            converted = convert(item)
        except NetworkError as error:
            refusals.append(Refusal(str(name), f"value of {what}", str(error)))
            given_as[layer] = name
            continue
        if layer in chosen and not _same(chosen[layer], converted):
            reason = f"it and {given_as[layer]!r} are one population, with different values"
            refusals.append(Refusal(str(name), f"key of {what}", reason, "Give one of them"))
        chosen[layer], given_as[layer] = converted, name
    missing = [layer for layer in layers if layer not in given_as]
    refusals += [
        Refusal(layer, f"layer without {what}", "the dict leaves it out", "Name every layer")
        for layer in missing
    ]
    if refusals:
        raise ConversionError(refusals)
    return chosen


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return np.array_equal(first, second)
    return bool(first == second)
