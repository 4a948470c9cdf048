"""Conversions in files: the network, the graphs it came from, trace, names and arguments.

The source framework is not needed to load one: it is converted again from the graph that was read,
and `verify` compares with that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple, NotRequired, TypedDict

from numpy.typing import NDArray

from spikewright._base import storage as _storage
from spikewright._base.schema import Natural, Positive, check, check_types, row
from spikewright.errors import NetworkError
from spikewright.graph import Carried, Graph
from spikewright.graph import storage as graph_storage
from spikewright.graph.layers import Activation, Shape
from spikewright.lower import Lowered, RowStepping
from spikewright.lower.trace import Entry, Status, Trace
from spikewright.network import Ensemble, Network, Node
from spikewright.network import storage as network_storage
from spikewright.running.converted import Converted
from spikewright.running.kept import arguments_from_data, arguments_to_data

WHAT = "conversion"


class _SteppingEntry(TypedDict):
    """Plain data of a `RowStepping`."""

    steps: Positive
    carried: list[Annotated[list[Any], row(str, str, Any)]]
    inputs: dict[str, Natural | None]
    outputs: dict[str, Natural | None]
    values: dict[str, Natural | None]


class _ConversionFile(TypedDict):
    """Plain data of a conversion: objects of the network go by their numbers."""

    network: Any
    layers: dict[str, Natural]
    exact_values: list[str]
    inputs: dict[str, Natural]
    outputs: dict[str, Natural]
    readouts: dict[str, Any]
    graph: Any
    stepping: NotRequired[_SteppingEntry | None]
    canonical: Any
    trace: list[Annotated[list[Any], row(str, str, str, Status)]]
    arguments: NotRequired[Any]


class Parts(NamedTuple):
    """The contents of a file of a conversion."""

    lowered: Lowered
    graph: Graph
    canonical: Graph
    trace: Trace
    arguments: Mapping[str, Any]


def save(conversion: Converted, path: str | Path, overwrite: bool = False) -> None:
    """See `Conversion.save`."""
    _storage.write(path, WHAT, *as_data(conversion), overwrite=overwrite)


def as_bytes(conversion: Converted) -> bytes:
    """The bytes of the file that holds a conversion; raises as `Conversion.save` does."""
    return _storage.packed(WHAT, *as_data(conversion))


def from_bytes(content: bytes) -> Parts:
    """The contents of the bytes that `as_bytes` made; raises `DamagedFileError`."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "conversion"
        path.write_bytes(content)
        return load_parts(path)


def as_data(conversion: Converted) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """A conversion as plain data and arrays; raises as `Conversion.save` does."""
    refusal = graph_storage.why_no_file(conversion.graph)
    if refusal is not None:
        raise NetworkError(refusal)
    encoder = _storage.ManifestEncoder()
    network, objects = network_storage.to_manifest(conversion.network, encoder)
    index = {id(item): i for i, item in enumerate(objects)}
    lowered = conversion.lowered

    def places(items: Mapping[str, Ensemble | Node]) -> dict[str, int]:
        return {name: index[id(item)] for name, item in items.items()}

    manifest = {
        "network": network,
        "layers": places(lowered.layers),
        "exact_values": sorted(lowered.exact_values),
        "inputs": places(lowered.inputs),
        "outputs": places(lowered.outputs),
        "readouts": {name: encoder.encode(a) for name, a in lowered.readouts.items()},
        "graph": graph_storage.to_manifest(conversion.graph, encoder),
        "stepping": _stepping(lowered.stepping, encoder),
        "canonical": graph_storage.to_manifest(conversion.canonical, encoder),
        "trace": [[e.stage, e.layer, e.text, e.status] for e in conversion.trace],
        "arguments": arguments_to_data(conversion.resolved, encoder),
    }
    return manifest, encoder.arrays


def _stepping(
    stepping: RowStepping | None, encoder: _storage.ManifestEncoder
) -> dict[str, Any] | None:
    if stepping is None:
        return None
    return {
        "steps": stepping.steps,
        "carried": [[s.read, s.made, encoder.encode(s.initial)] for s in stepping.carried],
        "inputs": dict(stepping.inputs),
        "outputs": dict(stepping.outputs),
        "values": dict(stepping.values),
    }


def _read_stepping(whole: Any, decoder: _storage.ManifestDecoder) -> RowStepping | None:
    content = whole.get("stepping")
    if content is None:
        return None
    if any(set(content[name]) != set(whole[name]) for name in ("inputs", "outputs")):
        raise TypeError("the axes of time are not those of the inputs and outputs")
    carried = tuple(
        Carried(read, made, decoder.decode(value)) for read, made, value in content["carried"]
    )
    inputs, outputs, values = ({**content[name]} for name in ("inputs", "outputs", "values"))
    return RowStepping(carried, inputs, outputs, values, content["steps"])


def load_parts(path: str | Path) -> Parts:
    """The contents of a file of `save`; raises `MissingFileError` or `DamagedFileError`."""
    content, arrays = _storage.read(path, WHAT)
    with _storage.describing("a conversion", path):
        check(content, _ConversionFile)
        network, objects = network_storage.from_manifest(content["network"], arrays, path)
        graph = graph_storage.from_manifest(content["graph"], arrays, path)
        canonical = graph_storage.from_manifest(content["canonical"], arrays, path)
        lowered = replace(_lowered(content, network, objects, arrays), graph=canonical)
        _check_together(lowered, graph, canonical)
        trace = Trace([Entry(*entry) for entry in content["trace"]])
        arguments = arguments_from_data(content.get("arguments"), arrays)
    return Parts(lowered, graph, canonical, trace, arguments)


def _lowered(
    content: Any, network: Network, objects: Sequence[Any], arrays: Mapping[str, NDArray]
) -> Lowered:
    """The network with the names of its objects."""
    decoder = _storage.ManifestDecoder(arrays, {"Activation": Activation})

    def items(name: str, kinds: tuple[type, ...] = (Ensemble, Node)) -> dict[str, Any]:
        found = {key: objects[place] for key, place in content[name].items()}
        if not all(isinstance(item, kinds) for item in found.values()):
            raise TypeError(f"an entry of {name} is of the wrong kind")
        return found

    readouts = {name: decoder.decode(entry) for name, entry in content["readouts"].items()}
    for activation in readouts.values():
        check_types(activation)
    return Lowered(
        network=network,
        layers=items("layers"),
        exact_values=frozenset(content["exact_values"]),
        inputs=items("inputs", (Node,)),
        outputs=items("outputs"),
        readouts=readouts,
        notes=(),
        stepping=_read_stepping(content, decoder),
    )


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
