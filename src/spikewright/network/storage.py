"""Networks in files (see `spikewright._base.storage` for the format and its guarantees).

A firing-rate scale is saved as a field of its own, beside unscaled parameters. Python functions are
refused: a file is data.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from spikewright._base import storage as _storage
from spikewright.errors import NetworkError
from spikewright.network.connection import Connection
from spikewright.network.manifest.reading import ManifestReader
from spikewright.network.manifest.registries import Object
from spikewright.network.manifest.writing import ManifestWriter
from spikewright.network.network import Network, detached
from spikewright.network.node import Node
from spikewright.network.node_functions import PythonCall
from spikewright.network.pointwise import Pointwise


def save(network: Network, path: str | Path, *, overwrite: bool = False) -> None:
    """Write the network to one file, atomically.

    An older network is replaced, any other file only with `overwrite`. Raises `NetworkError` naming
    objects that a file cannot hold, before anything is written: nodes with Python functions, types
    that no registry knows, connections to objects outside the network. Raises `ExistingFileError`
    for a file that is not replaced.
    """
    encoder = _storage.ManifestEncoder()
    content, _ = to_manifest(network, encoder)
    _storage.write(path, "network", content, encoder.arrays, overwrite=overwrite)


def load(path: str | Path) -> Network:
    """Read a network, which becomes part of no other until it is added there.

    Raises `MissingFileError` or `DamagedFileError`.
    """
    content, arrays = _storage.read(path, "network")
    network, _ = from_manifest(content, arrays, path)
    return network


def to_manifest(
    network: Network, encoder: _storage.ManifestEncoder
) -> tuple[dict[str, Any], list[Object]]:
    """Plain data for a network, its arrays collected in the encoder, and its objects in order.

    `from_manifest` returns the loaded objects in the same order, so that an index stands for one.
    Raises `NetworkError` as `save` does.
    """
    _refuse_functions(network)
    objects: list[Object] = [
        *network.all_nodes,
        *network.all_ensembles,
        *network.all_connections,
        *network.all_probes,
    ]
    writer = ManifestWriter(objects, encoder)
    return writer.network(network), objects


def from_manifest(
    content: Any, arrays: Mapping[str, NDArray], place: str | Path
) -> tuple[Network, list[Object]]:
    """The network that `to_manifest` wrote, and its objects in the same order.

    Raises `DamagedFileError` naming `place`.
    """
    with _storage.describing("a network", place), detached():
        return ManifestReader(arrays).network(content)


def _calls_python(connection: Connection) -> bool:
    return callable(connection.function) and not isinstance(connection.function, Pointwise)


def _runs_python(node: Node) -> bool:
    return callable(node.output) or isinstance(node.output, PythonCall)


def _refuse_functions(network: Network) -> None:
    calling: list[Object] = [n for n in network.all_nodes if _runs_python(n)]
    calling += [c for c in network.all_connections if _calls_python(c)]
    if calling:
        names = ", ".join(map(repr, calling))
        raise NetworkError(
            f"{names}: Python functions cannot be saved, a file is data. Give such nodes a "
            "constant or a NodeFunction, such connections wanted values or a function of "
            "spikewright.network.pointwise, or keep them in another network and connect them "
            "after loading."
        )
