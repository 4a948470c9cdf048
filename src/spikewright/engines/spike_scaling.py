"""Scale factors of spike counts: signals stay counts in operators that only move and add values.

The height of a population's spikes, `amplitude / (s dt)`, and the averages of pooling are factors
of the first operator that needs the values. Where neurons of one population differ in height, the
first weights absorb the heights. Maxima of values with one positive factor are that factor times
the maxima of their counts, so maxima are taken of counts.

Here spikes of height 1000 pass through a node as counts, and the weights after it have the factor:

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
    """A signal and the factor of its values, e.g. counts of spikes and the height of a spike."""

    signal: int
    factor: float


def passthrough_factor(transform: Transform) -> float | None:
    """The factor of a transform that only moves and adds values; None for other transforms."""
    if isinstance(transform, Reshape | Permute | Slice | Place | Take):
        return 1.0
    if isinstance(transform, SumPool) and transform.factor.ndim == 0 and transform.factor != 0:
        return float(transform.factor)
    return None


def without_factor(transform: Transform) -> Transform:
    """A transform that has a `passthrough_factor`, without that factor."""
    return replace(transform, factor=np.array(1.0)) if isinstance(transform, SumPool) else transform


class CountChain(NamedTuple):
    """A chain of transforms for counts of spikes, and the heights to multiply its first weights by.

    `heights` `(channels,)` belong to the inputs of these weights; None where the weights include
    them already.
    """

    chain: tuple[Transform, ...]
    heights: NDArray | None


def absorb_heights(
    chain: tuple[Transform, ...], heights: NDArray, shape: Shape
) -> CountChain | None:
    """The chain for counts that is equal to `chain` for values: its first weights absorb `heights`.

    `heights` broadcast to `shape`, that of the signal. None if the chain does not begin with
    weights, or if neurons that differ in height share them.
    """
    each = np.broadcast_to(heights, shape)
    for place, transform in enumerate(chain):
        moved = _rearranged(transform, each)
        if moved is None:
            return _absorbed(chain, place, each)
        each = moved
    return None


def _rearranged(transform: Transform, values: NDArray) -> NDArray | None:
    """The values after a transform that only moves them; None for other transforms."""
    if isinstance(transform, Reshape):
        return values.reshape(transform.shape)
    if isinstance(transform, Permute):
        return values.transpose(transform.axes)
    return values[transform.index] if isinstance(transform, Slice) else None


def _absorbed(chain: tuple[Transform, ...], place: int, heights: NDArray) -> CountChain | None:
    """The chain for counts of these heights, whose first weights are at `place`, or None.

    Matrices and kernels are the network's own arrays and may be large, so their heights are kept
    separately and not multiplied in.
    """
    transform = chain[place]
    if isinstance(transform, Sparse):
        values = transform.values * heights.reshape(-1)[transform.columns]
        taken = replace(transform, values=values)
        return CountChain((*chain[:place], taken, *chain[place + 1 :]), None)
    if not isinstance(transform, Dense | Convolution):
        return None
    last = isinstance(transform, Dense) or transform.channels_last
    shared = _shared_along(heights, -1 if last else 0)
    if shared is None:
        return None
    if not _finite(transform, shared):
        apply_heights(transform, shared)  # which raises the error
    return CountChain(chain, np.array(shared, np.float64))


def _finite(transform: Dense | Convolution, heights: NDArray) -> bool:
    """True where every weight times a height is within the range of float64."""
    weights = transform.matrix if isinstance(transform, Dense) else transform.kernel
    largest = max(float(weights.max(initial=0.0)), -float(weights.min(initial=0.0)))
    return math.isfinite(largest * float(np.abs(heights).max(initial=0.0)))


def apply_heights(transform: Transform, heights: NDArray | None) -> Transform:
    """The transform for counts of these heights that is equal to `transform` for values."""
    if heights is None:
        return transform
    if isinstance(transform, Dense):
        return replace(transform, matrix=frozen(transform.matrix * heights))
    if isinstance(transform, Convolution):
        return channels_scaled(transform, heights)
    raise TypeError(f"{type(transform).__name__} absorbs no heights of spikes")


def to_step_units(transform: Transform, steps: NDArray) -> Transform:
    """The transform with its weights as integers, in units of each output channel's step."""
    if isinstance(transform, Dense):
        return replace(transform, matrix=frozen(np.rint(transform.matrix / steps[:, None])))
    if isinstance(transform, Convolution):
        each = steps.reshape(-1, *(1 for _ in transform.kernel.shape[1:]))
        return replace(transform, kernel=frozen(np.rint(transform.kernel / each)))
    raise TypeError(f"{type(transform).__name__} has no integer weights")


def broadcast_heights(transform: Transform, heights: NDArray | None) -> NDArray | None:
    """The heights of input channels in a shape that broadcasts to the weights of a transform."""
    if heights is None or not isinstance(transform, Convolution):
        return heights
    out, inner, *size = transform.kernel.shape
    each = np.repeat(heights.reshape(transform.groups, inner), out // transform.groups, axis=0)
    return each.reshape(out, inner, *(1 for _ in size))


def _shared_along(heights: NDArray, axis: int) -> NDArray | None:
    """The heights along one axis, if they are the same along all others; else None."""
    return shared_row(np.moveaxis(heights, axis, -1).reshape(-1, heights.shape[axis]))


def shared_row(rows: NDArray) -> NDArray | None:
    """The row that all rows are equal to, or None."""
    alike = len(rows) > 0 and np.array_equal(rows, np.broadcast_to(rows[0], rows.shape))
    return rows[0] if alike else None


def channels_scaled(transform: Convolution, factors: NDArray | None) -> Convolution:
    """A convolution with the weights of its input channels multiplied by factors, if any."""
    if factors is None:
        return transform
    kernel = transform.kernel
    groups, inner = transform.groups, kernel.shape[1]
    shared = factors.reshape(groups, 1, inner, *(1,) * (kernel.ndim - 2))
    scaled = kernel.reshape(groups, -1, *kernel.shape[1:]) * shared
    return replace(transform, kernel=frozen(scaled).reshape(kernel.shape))


def accepts_counts(node: Node) -> bool:
    """Whether a node's function is homogeneous: of counts, it differs only by their factor."""
    return isinstance(node.output, NodeFunction) and node.output.homogeneous


def pooled_heights(
    network: Network, heights: Mapping[NeuronsView, NDArray]
) -> dict[NeuronsView | Node, NDArray]:
    """The heights by channel of maxima over windows, of spikes that differ in height.

    They broadcast to the input and output of such a node. Only nodes that a single population
    drives directly have them.
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
    """The heights at junctions with one incoming connection, for spikes that differ in height.

    That connection only moves values, so that weights after the junction can absorb the heights.
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
                each = None if each is None else _rearranged(transform, each)
            if each is not None:
                found[connection.post_obj] = each
    return {place: each for place, each in found.items() if isinstance(place, Node)}


def _of_channels(
    connection: Connection, last: bool, heights: Mapping[NeuronsView, NDArray]
) -> NDArray | None:
    """The heights by channel of a population that a connection passes on unchanged, or None."""
    pre = connection.pre_obj
    delayed = np.any(connection.delay)
    if not isinstance(pre, NeuronsView) or connection.synapse is not None or delayed:
        return None
    each, shape = heights[pre], pre.shape
    if each.ndim == 0 or np.any(each <= 0.0) or connection.chain() or connection.function:
        return None
    shared = _shared_along(np.broadcast_to(each, shape), -1 if last else 0)
    if shared is None or last:
        return shared
    return shared.reshape(-1, *[1] * (len(shape) - 1))


def propagate_factors(
    network: Network, junctions: Collection[Node], heights: Mapping[NeuronsView, NDArray]
) -> dict[Node, float]:
    """The factor of every junction whose inputs all have the same factor.

    So signals that are pooled, reshaped, concatenated or added between populations of one spike
    height stay counts of spikes. Junctions in loops hold values. `heights` are those of spikes.
    `junctions` may contain nodes with homogeneous functions; their factor is positive.
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
            known[node] = 1.0 if accepts_counts(node) and factor <= 0.0 else factor


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
        carried = passthrough_factor(transform)
        factor = 1.0 if carried is None else factor * carried
    return factor
