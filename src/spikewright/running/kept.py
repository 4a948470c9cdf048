"""The arguments of a conversion in its file: the arguments of another conversion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._base import storage as _storage
from spikewright.errors import NetworkError
from spikewright.lower import NeuronChoice
from spikewright.network.manifest.registries import TYPES, check
from spikewright.network.neurons import NeuronType
from spikewright.network.synapses import SYNAPSES, Synapse
from spikewright.passes import MaxPoolForm
from spikewright.quantising import Quantised

Numbers = float | NDArray
Filter = float | Synapse | None
Start = str | float | NDArray


@dataclass(frozen=True)
class NeuronClass:
    """A class of neuron types, by its name."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in TYPES:
            raise TypeError(f"{self.name} is not registered, so that a file could not name it")


Neurons = NeuronType | NeuronClass


@dataclass(frozen=True)
class Arguments:
    """Those of `convert` as a file holds them, with numbers in the place of rules and data.

    `spiking` has pairs: the names of neurons, and their type.
    """

    spiking: bool | tuple[tuple[str | Neurons, Neurons], ...]
    scale_firing_rates: Numbers | Mapping[str, Numbers]
    synapse: Filter | Mapping[str, Filter]
    initial_voltage: Start | Mapping[str, Start]
    max_pool: MaxPoolForm
    max_spikes_per_step: int | None
    bias_correction: Numbers | Mapping[str, Numbers] | None
    sequence_step: int | None
    outputs: tuple[str, ...] | None
    fallback: Literal["python"] | None = None
    weights: Quantised | None = field(default=None, metadata=_storage.ADDED)
    fission: Mapping[str, NDArray] | None = field(default=None, metadata=_storage.ADDED)


_OWN = {"Arguments": Arguments, "NeuronClass": NeuronClass, "Quantised": Quantised}
_KINDS = {**_OWN, **TYPES, **SYNAPSES}


def arguments_to_data(arguments: Mapping[str, Any], encoder: _storage.ManifestEncoder) -> Any:
    """Plain data for arguments of `convert` in which no rule is left; None where there are none.

    Raises `NetworkError` naming the part that a file cannot hold.
    """
    if not arguments:
        return None
    try:
        kept = Arguments(
            **{f.name: _plain(f.name, arguments.get(f.name)) for f in fields(Arguments)}
        )
        check(kept, _KINDS)
        return encoder.encode(kept)
    except TypeError as error:
        raise NetworkError(f"an argument of this conversion cannot be saved: {error}") from error


def arguments_from_data(content: Any, arrays: Mapping[str, NDArray]) -> dict[str, Any]:
    """The arguments that `arguments_to_data` wrote, as `convert` takes them.

    Empty for a file from before arguments were kept. Raises `TypeError` or another error of data
    that describe no arguments.
    """
    if content is None:
        return {}
    kept = _storage.ManifestDecoder(arrays, _KINDS).decode(content)
    if not isinstance(kept, Arguments):
        raise TypeError(f"arguments are expected, not {kept!r}")
    check(kept, _KINDS)
    found = {f.name: getattr(kept, f.name) for f in fields(Arguments)}
    found["outputs"] = None if kept.outputs is None else list(kept.outputs)
    if isinstance(kept.spiking, tuple):
        found["spiking"] = {_meant(key): _meant(value) for key, value in kept.spiking}
    return {**found, "calibration": None}


def _plain(name: str, value: Any) -> Any:
    """An argument as a field of `Arguments`."""
    if name == "spiking":
        chosen = NeuronChoice(value).spiking
        if not isinstance(chosen, Mapping):
            return chosen
        return tuple((_named(key), _named(neurons)) for key, neurons in chosen.items())
    if isinstance(value, Mapping):
        return {key: _plain(name, item) for key, item in value.items()}
    if name == "outputs" or value is None or isinstance(value, str | Synapse | Quantised):
        return tuple(value) if isinstance(value, list) else value
    numbers = np.asarray(value)
    return numbers.item() if numbers.ndim == 0 else numbers


def _named(value: Any) -> Any:
    return NeuronClass(value.__name__) if isinstance(value, type) else value


def _meant(value: Any) -> Any:
    return TYPES[value.name] if isinstance(value, NeuronClass) else value
