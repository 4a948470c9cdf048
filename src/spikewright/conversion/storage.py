"""Conversions in files: the network, the graphs it came from, the trace, and their names.

The source framework is not needed to load one; `verify` then compares with the graph that was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikewright import _storage
from spikewright.conversion.trace import Entry, Trace
from spikewright.errors import DamagedFileError
from spikewright.graph import storage as graph_storage
from spikewright.graph.layers import Activation
from spikewright.lower import Lowered
from spikewright.network import Ensemble, Node
from spikewright.network import storage as network_storage

if TYPE_CHECKING:
    from spikewright.conversion.conversion import Conversion

_DAMAGE = (LookupError, TypeError, ValueError, AttributeError, RecursionError)


def save(conversion: Conversion, path: str | Path) -> None:
    """See `Conversion.save`."""
    encoder = _storage.Encoder()
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
        "canonical": graph_storage.to_manifest(conversion.canonical, encoder),
        "trace": [[e.stage, e.layer, e.text, e.status] for e in conversion.trace],
    }
    _storage.write(path, "conversion", manifest, encoder.arrays)


def load_parts(path: str | Path) -> tuple[Lowered, Any, Any, Trace]:
    """What `save` wrote: the lowered network, the two graphs, the trace.

    Raises `FileNotFoundError` or `DamagedFileError`.
    """
    content, arrays = _storage.read(path, "conversion")
    try:
        network, objects = network_storage.from_manifest(content["network"], arrays, path)
        graph = graph_storage.from_manifest(content["graph"], arrays, path)
        canonical = graph_storage.from_manifest(content["canonical"], arrays, path)
        decoder = _storage.Decoder(arrays, {"Activation": Activation})

        def items(name: str, kinds: tuple[type, ...] = (Ensemble, Node)) -> dict[str, Any]:
            found = {key: objects[place] for key, place in content[name].items()}
            if not all(isinstance(item, kinds) for item in found.values()):
                raise TypeError(f"an entry of {name} is of the wrong kind")
            return found

        readouts = {name: decoder.decode(entry) for name, entry in content["readouts"].items()}
        for activation in readouts.values():
            _storage.check_types(activation)
        lowered = Lowered(
            network,
            items("layers"),
            frozenset(content["exact_values"]),
            items("inputs", (Node,)),
            items("outputs"),
            readouts,
            (),
        )
        trace = Trace([Entry(*entry) for entry in content["trace"]])
    except _DAMAGE as error:
        if isinstance(error, DamagedFileError):
            raise
        raise DamagedFileError(
            f"{path}: its manifest does not describe a conversion "
            f"({type(error).__name__}: {error})."
        ) from error
    return lowered, graph, canonical, trace
