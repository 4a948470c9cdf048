"""Connections without decoders as operators: maps, filters and delays of values and spikes.

Spikes are filtered after sparse weights, once for each receiver. If several such connections into
one receiver have the same synapse, their sum is filtered:

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
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from spikewright.engines.builder import NO_DELAYS, Signals
from spikewright.engines.nef_operators import NefOperators
from spikewright.engines.operators import ScaledSum
from spikewright.engines.spike_scaling import CountChain, ScaledSignal, absorb_heights
from spikewright.network import Connection, Ensemble, NeuronsView, Node, input_shape, output_shape
from spikewright.network.connection import Whole
from spikewright.network.layer_times import is_carried
from spikewright.network.synapses import Synapse
from spikewright.network.transforms import Sparse

_Key = tuple[Whole, Synapse]


def reads_spikes_sparsely(connection: Connection) -> bool:
    """Whether a connection multiplies spikes by sparse weights: its cost follows the spikes."""
    pre = connection.pre_obj
    spikes = isinstance(pre, NeuronsView) and pre.ensemble.neuron_type.spiking
    return spikes and any(isinstance(transform, Sparse) for transform in connection.chain())


class DirectConnections:
    """Adds connections of values and spikes, without decoders, to a program.

    A connection in `apart`, or one that learns, has a filter of its own. With `waits` every layer
    runs in steps of its own: connections read ahead, and only carry values from one row of `row`
    steps of a sequence to the next.
    """

    def __init__(
        self,
        signals: Signals,
        nef: NefOperators,
        connections: Iterable[Connection],
        apart: Collection[object],
        waits: Mapping[Connection, int] | None = None,
        *,
        row: int = 0,
    ) -> None:
        self.waits, self._row = waits, row
        self.signals, self.builder, self.nef = signals, signals.builder, nef
        keys = {c: _key(c) for c in connections if c not in apart}
        number = Counter(keys.values())
        self._shared = {c: key for c, key in keys.items() if key is not None and number[key] > 1}
        self._sums: dict[_Key, tuple[int, list[int]]] = {}

    def connected(self, connection: Connection) -> ScaledSignal | None:
        """The output of a connection that maps values, or an exact function of them.

        None if it is added to the input of another connection's filter.
        """
        synapse, pre = connection.synapse, connection.pre_obj
        sent, (chain, heights) = self._sent(connection)
        if connection.function is not None or isinstance(pre, Ensemble):
            sent = self.nef.applied(connection, sent)
        shape_in, shape_out = self.builder.shapes[sent.signal], input_shape(connection.post_obj)
        # Linear maps and filters commute: the filter goes where there are fewer values to filter,
        # but after sparse weights that read spikes, whose cost follows the spikes. A mean over
        # windows is taken of the sent values.
        fewer = bool(np.prod(shape_in) < np.prod(shape_out))
        fewer = fewer and not reads_spikes_sparsely(connection)
        by_windows = synapse is not None and synapse.by_windows
        last = synapse is not None and not synapse.commutes  # of the values that are delivered
        stepped = synapse is not None and synapse.stepped
        delay, delays = connection.delay, NO_DELAYS
        if isinstance(delay, np.ndarray):  # each synapse waits by itself
            delays, delay = {connection.transform_place: delay}, 0.0
        if self.waits is None and not (by_windows or stepped):  # spikes wait as counts
            sent = self.builder.delayed(sent, delay, f"{connection!r}")
        elif self.waits is not None and is_carried(connection):
            sent = self.builder.carried(sent, self._row, f"{connection!r}")
        first = by_windows or (synapse is not None and fewer and not last)
        label, of = f"{connection!r}", f"synapse of {connection!r}"
        if synapse is not None and first:
            sent = self.builder.filtered(sent, synapse, of, connection)
        if by_windows:
            sent = self.builder.delayed(sent, delay, label)
        cut = len(chain) - (len(connection.placing) if last else 0)
        sent = self.builder.map(sent, chain[:cut], label, delays, heights)
        if connection in self._shared:
            return self._filtered(connection, sent)
        if synapse is not None and not first:
            sent = self.builder.filtered(sent, synapse, of, connection)
        if stepped:
            sent = self.builder.delayed(sent, delay, label)
        return self.builder.map(sent, chain[cut:], label)

    def _sent(self, connection: Connection) -> tuple[ScaledSignal, CountChain]:
        """The signal that a connection reads, and its chain of transforms.

        The signal is counts of spikes, not values, where weights can absorb different heights, or
        maxima are taken of counts.
        """
        pre, chain = connection.pre_obj, connection.chain()
        heights, sent = self.signals.heights, self._ahead(connection)
        if connection.post_obj in heights and isinstance(connection.post_obj, Node):
            return ScaledSignal(sent, 1.0), CountChain(chain, None)
        synapse = connection.synapse
        alike = synapse is None or (synapse.commutes and not synapse.by_windows)
        plain = connection.function is None and alike
        each = None if isinstance(pre, Ensemble) else heights.get(pre)
        if plain and each is not None and each.ndim > 0:
            of_counts = absorb_heights(chain, each, output_shape(pre))
            if of_counts is not None:
                return ScaledSignal(sent, 1.0), of_counts
        return self.signals.value(pre, sent), CountChain(chain, None)

    def _ahead(self, connection: Connection) -> int:
        """The sender's signal; where layers run in their own steps, as its reader needs it."""
        signal = self.signals.output_of[connection.pre_obj]
        if self.waits is None:
            return signal
        waits = self.waits.get(connection, 0)
        return self.builder.advanced(ScaledSignal(signal, 1.0), waits, f"{connection!r}").signal

    def _filtered(self, connection: Connection, sent: ScaledSignal) -> ScaledSignal | None:
        """The output of a shared filter for its first connection, to which the others are added."""
        key = receiver, synapse = self._shared[connection]
        shape, label = input_shape(receiver), f"sparse input of {receiver!r}"
        values = self.builder.values(sent, f"{connection!r}")
        if key in self._sums:
            self._sums[key][1].append(values)
            return None
        total = self.builder.signal(shape, label)
        self._sums[key] = total, [values]
        return self.builder.filtered(ScaledSignal(total, 1.0), synapse, f"synapse of {label}", None)

    def finish(self) -> None:
        """Add the sums of connections that share a filter."""
        for (receiver, _), (total, terms) in self._sums.items():
            label = f"sparse input of {receiver!r}"
            self.builder.operators.append(ScaledSum(label, tuple(terms), total))


def _key(connection: Connection) -> _Key | None:
    synapse = connection.synapse
    if synapse is None or synapse.by_windows or not synapse.commutes:
        return None
    if connection.function is not None or connection.learned or connection.learning_rules:
        return None
    if not reads_spikes_sparsely(connection):
        return None
    return connection.post_obj, synapse
