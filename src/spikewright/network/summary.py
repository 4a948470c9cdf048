"""Networks and recordings in few words, for `repr`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikewright.network.connection import Connection
    from spikewright.network.ensemble import Ensemble
    from spikewright.network.network import Network

_SHOWN = 12  # entries of a mapping that are listed


def contents(network: Network) -> str:
    """`2 ensembles (200 neurons), 1 node, 3 connections, 1 probe`, inner networks included.

    Empty while a network is empty, or not made yet.
    """
    if "networks" not in vars(network):
        return ""
    counts = {kind: len(getattr(network, f"all_{kind}s")) for kind in _KINDS}
    found = [f"{n} {kind}{'' if n == 1 else 's'}" for kind, n in counts.items() if n]
    if counts["ensemble"]:
        found[0] += f" ({network.n_neurons} neurons)"
    return ", ".join(found)


_KINDS = ("ensemble", "node", "connection", "probe")


def of_ensemble(ensemble: Ensemble) -> str:
    """What `sim.data[ensemble]` has, with the shape of the encoders."""
    if not ensemble.represents:
        return f"gain and bias {ensemble.shape}"
    if ensemble.is_direct:
        return f"eval_points (points, {ensemble.dimensions})"
    return f"gain, bias and encoders {(ensemble.n_neurons, ensemble.dimensions)}"


def of_connection(connection: Connection) -> str:
    """What `sim.data[connection]` has, with the shape of the decoders."""
    pre = connection.pre_obj
    if not connection.decodes:
        return "weights"
    return f"weights and decoders {(math.prod(connection.sent_shape), pre.n_neurons)}"  # type: ignore[union-attr]


def listed(title: str, entries: Iterable[tuple[Any, str]]) -> str:
    """A title, and a line for each of the first entries: the key and what is there."""
    return "\n".join([title, *_lines(list(entries))])


def _lines(entries: list[tuple[Any, str]]) -> Iterator[str]:
    shown = entries if len(entries) <= _SHOWN + 1 else entries[:_SHOWN]
    for key, text in shown:
        yield f"  {key!r}: {text}"
    if len(shown) < len(entries):
        yield f"  ... and {len(entries) - len(shown)} more"
