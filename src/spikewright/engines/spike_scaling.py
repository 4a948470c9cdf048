"""Factors beside signals: counts of spikes stay counts in operators that only move and add.

The height of a population's spikes, `amplitude / (s dt)`, and the means of pooling are factors of
the first operator that needs the values. Where neurons of one population differ in height, the
first weights absorb the heights. The maximum of values with one factor is the maximum of their
counts times that factor, so maxima are taken of counts.

Spikes of height 1000 pass a node as counts; the weights behind it have the factor:

>>> with sw.Network() as net:
...     a = sw.Ensemble(3, None, neuron_type=sw.IntegrateAndFire())
...     passed, weighed = sw.Node(size_in=3), sw.Node(size_in=2)
...     moves = sw.Connection(a.neurons, passed, synapse=None)
...     weighs = sw.Connection(passed, weighed, transform=np.ones((2, 3)), synapse=None)
...     probe = sw.Probe(weighed)
>>> program = compile_network(net, 0.001, 0, "float32")
>>> [(type(op.transform).__name__, op.factor) for op in program.operators if hasattr(op, "factor")]
[('Dense', 1000.0)]
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import frozen
from spikewright.network import (
    Connection,
    Ensemble,
    MaxPool,
    Network,
    NeuronsView,
    Node,
    NodeFunction,
    output_shape,
)
from spikewright.network.transforms import (
    Convolution,
    Dense,
    Permute,
    Place,
    Reshape,
    Shape,
    Slice,
    Sparse,
    SumPool,
    Take,
    Transform,
)


class ScaledSignal(NamedTuple):
    """A signal and the factor that makes its values, e.g. counts of spikes and their height."""

    signal: int
    factor: float


def carries(transform: Transform) -> float | None:
    """The factor of a transform that only moves and adds values; None for all others."""
    if isinstance(transform, Reshape | Permute | Slice | Place | Take):
        return 1.0
    if isinstance(transform, SumPool) and transform.factor.ndim == 0 and transform.factor != 0:
        return float(transform.factor)
    return None


def plain(transform: Transform) -> Transform:
    """A transform that `carries` accepts, without its own factor."""
    return replace(transform, factor=np.array(1.0)) if isinstance(transform, SumPool) else transform


class CountChain(NamedTuple):
    """A chain for counts of spikes, and the heights that its first weights are multiplied by.

    `heights` `(channels,)` are those of the inputs of these weights; None where the chain has
    taken them up.
    """

    chain: tuple[Transform, ...]
    heights: NDArray | None


def with_heights(chain: tuple[Transform, ...], heights: NDArray, shape: Shape) -> CountChain | None:
    """A chain for counts that does what `chain` does to values: first weights times `heights`.

    `heights` broadcast to `shape`, that of the signal. None where the chain does not begin with
    weights, or where these are shared by neurons that differ in height.
    """
    each = np.broadcast_to(heights, shape)
    for place, transform in enumerate(chain):
        moved = _moved(transform, each)
        if moved is None:
            return _taken_up(chain, place, each)
        each = moved
    return None


def _moved(transform: Transform, values: NDArray) -> NDArray | None:
    """Values behind a transform that only moves them; None behind any other."""
    if isinstance(transform, Reshape):
        return values.reshape(transform.shape)
    if isinstance(transform, Permute):
        return values.transpose(transform.axes)
    return values[transform.index] if isinstance(transform, Slice) else None


def _taken_up(chain: tuple[Transform, ...], place: int, heights: NDArray) -> CountChain | None:
    """The chain for counts of these heights, whose first weights are at `place`, or None.

    The heights stay beside matrices and kernels, which are the network's own and may be large.
    """
    transform = chain[place]
    if isinstance(transform, Sparse):
        values = transform.values * heights.reshape(-1)[transform.columns]
        taken = replace(transform, values=values)
        return CountChain((*chain[:place], taken, *chain[place + 1 :]), None)
    if not isinstance(transform, Dense | Convolution):
        return None
    last = isinstance(transform, Dense) or transform.channels_last
    shared = _along(heights, -1 if last else 0)
    if shared is None:
        return None
    if not _finite(transform, shared):
        weighted(transform, shared)  # which raises the error
    return CountChain(chain, np.array(shared, np.float64))


def _finite(transform: Dense | Convolution, heights: NDArray) -> bool:
    """True where every weight times a height is within the range of float64."""
    weights = transform.matrix if isinstance(transform, Dense) else transform.kernel
    largest = max(float(weights.max(initial=0.0)), -float(weights.min(initial=0.0)))
    return math.isfinite(largest * float(np.abs(heights).max(initial=0.0)))


def weighted(transform: Transform, heights: NDArray | None) -> Transform:
    """A transform that does to counts of these heights what this one does to values."""
    if heights is None:
        return transform
    if isinstance(transform, Dense):
        return replace(transform, matrix=frozen(transform.matrix * heights))
    if isinstance(transform, Convolution):
        return channels_scaled(transform, heights)
    raise TypeError(f"{type(transform).__name__} takes up no heights of spikes")


def in_steps(transform: Transform, steps: NDArray) -> Transform:
    """The transform whose weights are whole numbers of an output channel's step `(out,)`."""
    if isinstance(transform, Dense):
        return replace(transform, matrix=frozen(np.rint(transform.matrix / steps[:, None])))
    if isinstance(transform, Convolution):
        each = steps.reshape(-1, *(1 for _ in transform.kernel.shape[1:]))
        return replace(transform, kernel=frozen(np.rint(transform.kernel / each)))
    raise TypeError(f"{type(transform).__name__} has no whole numbers for weights")


def heights_of(transform: Transform, heights: NDArray | None) -> NDArray | None:
    """Heights of input channels as they broadcast to the weights of a transform."""
    if heights is None or not isinstance(transform, Convolution):
        return heights
    out, inner, *size = transform.kernel.shape
    each = np.repeat(heights.reshape(transform.groups, inner), out // transform.groups, axis=0)
    return each.reshape(out, inner, *(1 for _ in size))


def _along(heights: NDArray, axis: int) -> NDArray | None:
    """Heights that differ along one axis alone, `(axis,)`; else None."""
    return shared_row(np.moveaxis(heights, axis, -1).reshape(-1, heights.shape[axis]))


def shared_row(rows: NDArray) -> NDArray | None:
    """The one row that all rows are like, or None."""
    alike = len(rows) > 0 and np.array_equal(rows, np.broadcast_to(rows[0], rows.shape))
    return rows[0] if alike else None


def channels_scaled(transform: Convolution, factors: NDArray | None) -> Convolution:
    """A convolution whose input channels are multiplied by these factors, if there are any."""
    if factors is None:
        return transform
    kernel = transform.kernel
    groups, inner = transform.groups, kernel.shape[1]
    shared = factors.reshape(groups, 1, inner, *(1,) * (kernel.ndim - 2))
    scaled = kernel.reshape(groups, -1, *kernel.shape[1:]) * shared
    return replace(transform, kernel=frozen(scaled).reshape(kernel.shape))


def takes_counts(node: Node) -> bool:
    """Whether a node's function of counts is that of their values up to the factor."""
    return isinstance(node.output, NodeFunction) and node.output.homogeneous


def pooled_heights(
    network: Network, heights: Mapping[NeuronsView, NDArray]
) -> dict[NeuronsView | Node, NDArray]:
    """Heights of the outputs of maxima over windows, by channel, where those of inputs differ.

    They broadcast to the input and output of such a node. Only maxima that one population alone
    drives, directly, have them.
    """
    arriving: dict[Node, list[Connection]] = {}
    for connection in network.all_connections:
        if isinstance(connection.post_obj, Node):
            arriving.setdefault(connection.post_obj, []).append(connection)
    found: dict[NeuronsView | Node, NDArray] = {}
    for node, connections in arriving.items():
        if isinstance(node.output, MaxPool) and len(connections) == 1:
            each = _of_channels(connections[0], node.output.channels_last, heights)
            if each is not None:
                found[node] = each
    return found


def passed_heights(
    network: Network, junctions: Collection[Node], heights: Mapping[NeuronsView, NDArray]
) -> dict[NeuronsView | Node, NDArray]:
    """Heights at junctions that one connection alone leads to, where those of neurons differ.

    It only moves what it brings, so that weights behind the junction may absorb the heights.
    """
    arriving = Counter(connection.post_obj for connection in network.all_connections)
    found: dict[Any, NDArray] = {n: each for n, each in heights.items() if each.ndim > 0}
    left = [
        c for c in network.all_connections if c.post_obj in junctions and arriving[c.post_obj] == 1
    ]
    known = -1
    while known < len(found):
        known = len(found)
        for connection in left:
            pre = connection.pre_obj
            if (
                pre not in found
                or connection.synapse
                or connection.function
                or np.any(connection.delay)
            ):
                continue
            each: NDArray | None = np.broadcast_to(found[pre], output_shape(pre))
            for transform in connection.chain():
                each = None if each is None else _moved(transform, each)
            if each is not None:
                found[connection.post_obj] = each
    return {place: each for place, each in found.items() if isinstance(place, Node)}


def _of_channels(
    connection: Connection, last: bool, heights: Mapping[NeuronsView, NDArray]
) -> NDArray | None:
    """Heights of a population that a connection passes on as they are, if channels share them."""
    pre = connection.pre_obj
    delayed = np.any(connection.delay)
    if not isinstance(pre, NeuronsView) or connection.synapse is not None or delayed:
        return None
    each, shape = heights[pre], pre.shape
    if each.ndim == 0 or np.any(each <= 0.0) or connection.chain() or connection.function:
        return None
    shared = _along(np.broadcast_to(each, shape), -1 if last else 0)
    if shared is None or last:
        return shared
    return shared.reshape(-1, *[1] * (len(shape) - 1))


def carried_factors(
    network: Network, junctions: Collection[Node], heights: Mapping[NeuronsView, NDArray]
) -> dict[Node, float]:
    """The factor of every junction all of whose inputs have the same one.

    So signals pooled, reshaped, concatenated or added between populations of one spike height stay
    counts of spikes. Junctions within loops have values. `heights` are those of spikes. `junctions`
    may contain nodes that take counts; their factor is positive.
    """
    arriving: dict[Node, list[Connection]] = {node: [] for node in junctions}
    for connection in network.all_connections:
        if isinstance(connection.post_obj, Node) and connection.post_obj in arriving:
            arriving[connection.post_obj].append(connection)
    known: dict[Node, float] = {}
    while True:
        ready = [
            node
            for node, connections in arriving.items()
            if node not in known
            and not any(c.pre_obj in arriving and c.pre_obj not in known for c in connections)
        ]
        if not ready:
            return known
        for node in ready:
            factors = {_factor_after(c, known, heights) for c in arriving[node]}
            factor = factors.pop() if len(factors) == 1 else 1.0
            known[node] = 1.0 if takes_counts(node) and factor <= 0.0 else factor


def _factor_after(
    connection: Connection,
    known: Mapping[Node, float],
    heights: Mapping[NeuronsView, NDArray],
) -> float:
    """The factor of a connection's output."""
    pre, synapse = connection.pre_obj, connection.synapse
    if synapse is not None and synapse.stepped:
        return 1.0
    if isinstance(pre, Ensemble) or connection.function is not None:
        factor = 1.0
    elif isinstance(pre, Node):
        factor = known.get(pre, 1.0)
    else:
        height = heights.get(pre, np.ones(1))
        factor = float(height) if height.ndim == 0 else 1.0
    for transform in connection.chain():
        carried = carries(transform)
        factor = 1.0 if carried is None else factor * carried
    return factor
