"""Spikes that sparse weights read: their filters stand behind the weights, one for each receiver.

Where several such connections into one receiver have the same synapse, their sum is filtered:

>>> with sw.Network() as net:
...     cells = sw.Ensemble(3, None, neuron_type=sw.LIF())
...     for _ in range(2):
...         some = sw.Sparse((3, 3), indices=[[0, 1], [2, 0]], init=0.01)
...         made = sw.Connection(cells.neurons, cells.neurons, 0.01, some)
>>> program = compile_network(net, 0.001, 0, "float32")
>>> sorted(type(op).__name__ for op in program.operators)
['Filter', 'Linear', 'Linear', 'Neurons', 'ScaledSum', 'ScaledSum']
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from spikewright.engines.draft import ProgramDraft
from spikewright.engines.factors import Scaled
from spikewright.engines.operators import ScaledSum
from spikewright.network import Connection, NeuronsView
from spikewright.network.connection import Whole, input_shape
from spikewright.network.synapses import Synapse, WindowMean
from spikewright.network.transforms import Sparse

_Key = tuple[Whole, Synapse]


def reads_spikes_sparsely(connection: Connection) -> bool:
    """Whether spikes meet sparse weights, which read little of what spikes little."""
    pre = connection.pre_obj
    spikes = isinstance(pre, NeuronsView) and pre.ensemble.neuron_type.spiking
    return spikes and any(isinstance(transform, Sparse) for transform in connection.chain())


class SparseInput:
    """The filters that connections share, as they are added to a program in the making.

    A connection in `apart`, or one that learns, has a filter of its own.
    """

    def __init__(
        self, draft: ProgramDraft, connections: Iterable[Connection], apart: Collection[object]
    ) -> None:
        self._draft = draft
        keys = {c: _key(c) for c in connections if c not in apart}
        number = Counter(keys.values())
        self._keys = {c: key for c, key in keys.items() if key is not None and number[key] > 1}
        self._sums: dict[_Key, tuple[int, list[int]]] = {}

    def shares(self, connection: Connection) -> bool:
        """Whether a connection shares a filter with others."""
        return connection in self._keys

    def filtered(self, connection: Connection, sent: Scaled) -> Scaled | None:
        """The filter's output, of the first connection; None for others, whose part is in it."""
        key = receiver, synapse = self._keys[connection]
        shape, label = input_shape(receiver), f"sparse input of {receiver!r}"
        values = self._draft.values(sent, shape, f"{connection!r}")
        if key in self._sums:
            self._sums[key][1].append(values)
            return None
        total = self._draft.signal(shape, label)
        self._sums[key] = total, [values]
        return self._draft.filtered(Scaled(total, 1.0), synapse, shape, f"synapse of {label}", None)

    def finish(self) -> None:
        """Add the sums that are filtered, of all connections."""
        for (receiver, _), (total, terms) in self._sums.items():
            label = f"sparse input of {receiver!r}"
            self._draft.operators.append(ScaledSum(label, tuple(terms), total))


def _key(connection: Connection) -> _Key | None:
    synapse = connection.synapse
    if synapse is None or isinstance(synapse, WindowMean) or connection.function is not None:
        return None
    if not synapse.commutes:
        return None
    if connection.learned or connection.learning_rules or not reads_spikes_sparsely(connection):
        return None
    return connection.post_obj, synapse
