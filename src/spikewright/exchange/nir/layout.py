"""The layout of a network's arrays: how many spatial axes they have, and where channels lie."""

from __future__ import annotations

from collections.abc import Sequence

from spikewright.exchange.nir.waits import Object, object_of, waits
from spikewright.network import Connection
from spikewright.network import transforms as t


def layout_of(connections: Sequence[Connection], item: Object) -> bool | None:
    """True where the windows over an object have channels last; None if there are none."""
    for connection in connections:
        if object_of(connection.pre_obj) is not item:
            continue
        for part in connection.chain():
            if isinstance(part, t.Convolution | t.SumPool):
                return part.channels_last
            if not isinstance(part, t.Scale):
                break
        else:
            found = (
                None
                if waits(connection)
                else layout_of(connections, object_of(connection.post_obj))
            )
            if found is not None:
                return found
    return None


def rank_of(connections: Sequence[Connection]) -> int:
    """The number of spatial axes of a graph's arrays: that of its windows, two at most."""
    parts = [part for c in connections for part in c.chain()]
    ranks = [len(p.windows.size) for p in parts if isinstance(p, t.Convolution | t.SumPool)]
    return max((rank for rank in ranks if rank <= 2), default=0)
