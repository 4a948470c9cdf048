"""Conversions in files: the network, the graphs it came from, trace, names and arguments.

The source framework is not needed to load one: it is converted again from the graph that was read,
and `verify` compares with that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base import storage as _storage
from spikewright._base.codec import ADDED, Format, describing
from spikewright._base.schema import Natural
from spikewright.errors import NetworkError
from spikewright.graph import Graph
from spikewright.graph import storage as graph_storage
from spikewright.graph.layers import Activation, Shape
from spikewright.lower import Lowered, NeuronChoice, RowStepping
from spikewright.lower.coding import CODINGS, Coding
from spikewright.lower.trace import Entry, Trace
from spikewright.network import Ensemble, Node
from spikewright.network import storage as network_storage
from spikewright.network.entries import REGISTRIES, NetworkEntry
from spikewright.network.neurons import NEURON_TYPES, Direct, NeuronType
from spikewright.network.synapses import Synapse
from spikewright.passes import MaxPoolForm
from spikewright.quantising import Quantised
from spikewright.running.protocols import ConversionLike

WHAT = "conversion"
_USES = 8  # of an array that the file holds once: a reader's budget pays for each of them

Numbers = float | NDArray
Filter = float | Synapse | None
Start = str | float | NDArray


@dataclass(frozen=True)
class NeuronClass:
    """A class of neuron types, by its name."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in NEURON_TYPES and self.name != Direct.__name__:
            raise TypeError(f"{self.name} is not registered, so that a file could not name it")

    @property
    def kind(self) -> Any:
        """The class."""
        return NEURON_TYPES.get(self.name, Direct)


Neurons = NeuronType | NeuronClass


@dataclass(frozen=True)
class Arguments:
    """The arguments of `convert` as a file holds them, with numbers in place of rules and data.

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
    weights: Quantised | None = field(default=None, metadata=ADDED)
    fission: Mapping[str, NDArray] | None = field(default=None, metadata=ADDED)
    """Channels that are several, in files of earlier versions: no arguments make those again."""
    coding: Coding | None = field(default=None, metadata=ADDED)


@dataclass(frozen=True, kw_only=True)
class ConversionEntry:
    """A conversion: objects of the network go by their numbers."""

    network: NetworkEntry
    layers: Mapping[str, Natural]
    exact_values: tuple[str, ...]
    inputs: Mapping[str, Natural]
    outputs: Mapping[str, Natural]
    readouts: Mapping[str, Activation]
    graph: Graph
    stepping: RowStepping | None = None
    canonical: Graph
    trace: tuple[Entry, ...]
    arguments: Arguments | None = None


_OWN = {kind.__name__: kind for kind in (Arguments, NeuronClass, Quantised)}
_REGISTRIES = (*REGISTRIES, *graph_storage.REGISTRIES, CODINGS, _OWN)
FORMAT = Format(WHAT, ConversionEntry, _REGISTRIES, _USES)


class Parts(NamedTuple):
    """The contents of a file of a conversion."""

    lowered: Lowered
    graph: Graph
    canonical: Graph
    trace: Trace
    arguments: Mapping[str, Any]


def save(conversion: ConversionLike, path: str | Path, overwrite: bool = False) -> None:
    """See `Conversion.save`."""
    _storage.write(path, WHAT, *as_data(conversion), overwrite=overwrite)


def as_bytes(conversion: ConversionLike) -> bytes:
    """The bytes of the file that holds a conversion; raises as `Conversion.save` does."""
    return _storage.packed(WHAT, *as_data(conversion))


def from_bytes(content: bytes) -> Parts:
    """The contents of the bytes that `as_bytes` made; raises `DamagedFileError`."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "conversion"
        path.write_bytes(content)
        return load_parts(path)


def as_data(conversion: ConversionLike) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """A conversion as plain data and arrays; raises as `Conversion.save` does."""
    refusal = graph_storage.why_no_file(conversion.graph)
    if refusal is not None:
        raise NetworkError(refusal)
    network, objects = network_storage.described(conversion.network)
    index = {id(item): i for i, item in enumerate(objects)}
    lowered = conversion.lowered

    def places(items: Mapping[str, Ensemble | Node]) -> dict[str, int]:
        return {name: index[id(item)] for name, item in items.items()}

    try:
        return FORMAT.encoded(
            ConversionEntry(
                network=network,
                layers=places(lowered.layers),
                exact_values=tuple(sorted(lowered.exact_values)),
                inputs=places(lowered.inputs),
                outputs=places(lowered.outputs),
                readouts=lowered.readouts,
                graph=conversion.graph,
                stepping=lowered.stepping,
                canonical=conversion.canonical,
                trace=tuple(conversion.trace),
                arguments=_arguments(conversion.resolved),
            )
        )
    except TypeError as error:
        raise NetworkError(f"this conversion cannot be saved: {error}") from error


def _arguments(arguments: Mapping[str, Any]) -> Arguments | None:
    """Arguments of `convert` in which no rule is left; None where there are none."""
    if not arguments:
        return None
    return Arguments(**{f.name: _plain(f.name, arguments.get(f.name)) for f in fields(Arguments)})


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


def load_parts(path: str | Path) -> Parts:
    """The contents of a file of `save`; raises `MissingFileError` or `DamagedFileError`."""
    entry = FORMAT.read(path)
    with describing(FORMAT.kind, path):
        network, objects = network_storage.rebuilt(entry.network)
        lowered = Lowered(
            network=network,
            layers=_items(entry.layers, objects, Ensemble, Node),
            exact_values=frozenset(entry.exact_values),
            inputs=_items(entry.inputs, objects, Node),
            outputs=_items(entry.outputs, objects, Ensemble, Node),
            readouts=entry.readouts,
            guarantees=(),
            stepping=entry.stepping,
            graph=entry.canonical,
        )
        _check_together(lowered, entry.graph, entry.canonical)
        kept = entry.arguments
        arguments = {} if kept is None or kept.fission is not None else _given(kept)
    return Parts(lowered, entry.graph, entry.canonical, Trace([*entry.trace]), arguments)


def _items(places: Mapping[str, int], objects: Sequence[Any], *kinds: type) -> dict[str, Any]:
    """The objects of a network at some places, by name; raises `TypeError` for other kinds."""
    found = {name: objects[place] for name, place in places.items()}
    if not all(isinstance(item, kinds) for item in found.values()):
        raise TypeError(f"{sorted(found)} are not all of {[kind.__name__ for kind in kinds]}")
    return found


def _given(kept: Arguments) -> dict[str, Any]:
    """Arguments as `convert` takes them."""
    found = {f.name: getattr(kept, f.name) for f in fields(kept) if f.name != "fission"}
    found["outputs"] = None if kept.outputs is None else list(kept.outputs)
    if isinstance(kept.spiking, tuple):
        found["spiking"] = {_meant(key): _meant(value) for key, value in kept.spiking}
    return {**found, "calibration": None}


def _meant(value: Any) -> Any:
    return value.kind if isinstance(value, NeuronClass) else value


def _check_together(lowered: Lowered, graph: Graph, canonical: Graph) -> None:
    """Raise `ValueError` where the network and its graphs are not of the same things."""
    states = lowered.stepping.carried if lowered.stepping else ()
    wanted = _inputs_of_a_step(graph, lowered.stepping)
    inputs = {
        "network": {name: node.shape_out for name, node in lowered.inputs.items()},
        "canonical graph": {
            name: canonical.shapes[name]
            for name in set(canonical.inputs) - {state.read for state in states}
        },
    }
    for what, found in inputs.items():
        if found != wanted:
            raise ValueError(f"its {what} takes {found}, its graph {wanted}")
    outputs = {
        "network": set(lowered.outputs),
        "canonical graph": set(canonical.outputs) - {state.made for state in states},
    }
    axes = lowered.stepping and (lowered.stepping.inputs, lowered.stepping.outputs)
    if axes and [set(axis) for axis in axes] != [set(lowered.inputs), set(lowered.outputs)]:
        raise ValueError("the axes of time are not those of the inputs and outputs")
    for what, names in outputs.items():
        if names != set(graph.outputs):
            raise ValueError(f"its {what} gives {sorted(names)}, its graph {sorted(graph.outputs)}")
    stray = {*lowered.exact_values} - {*lowered.layers} | {*lowered.readouts} - {*lowered.outputs}
    if stray:
        raise ValueError(f"it says something of {sorted(stray)}, which are not in it")


def _inputs_of_a_step(graph: Graph, stepping: RowStepping | None) -> dict[str, Shape]:
    """The shapes of the values fed at once: of a sequence, one step."""
    axes = stepping.inputs if stepping else {}
    return {
        name: tuple(n for axis, n in enumerate(graph.shapes[name]) if axis != axes.get(name))
        for name in graph.inputs
    }
