"""NIR's equations under the semantics of any reader, in NumPy and float64.

This is the evidence of a check: a difference is explained where these equations, with a reader's
semantics and its own spikes as input, give its spikes again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Windows
from spikewright.exchange.nir.checking.semantics import Semantics
from spikewright.exchange.nir.checking.wiring import Wiring, kind
from spikewright.exchange.nir.walks import SPIKING
from spikewright.network.neurons.integrator import TOLERANCE


class NotSimulated(Exception):
    """A node has no equation here, so that nothing can be said of its reader."""


def apply(node: Any, x: NDArray) -> NDArray:
    """The value of a node without state; raises `NotSimulated`."""
    make = _MAPS.get(kind(node))
    if make is None:
        raise NotSimulated(f"a {kind(node)} has no equation in the check")
    return make(node, x)


def _affine(node: Any, x: NDArray) -> NDArray:
    bias = getattr(node, "bias", None)
    product = x @ np.asarray(node.weight, np.float64).T
    return product if bias is None else product + bias


def _convolution(node: Any, x: NDArray) -> NDArray:
    weight = np.asarray(node.weight, np.float64)
    rank = weight.ndim - 2
    windows = _windows(node, weight.shape[2:], _each(node.dilation, rank))
    patches = windows.patches(np.moveaxis(x, 1, -1))  # (batch, *places, taps, channels)
    outputs = []
    for group, part in enumerate(np.split(weight, node.groups)):
        wide = part.shape[1]
        seen = patches[..., group * wide : (group + 1) * wide]
        kernel = part.reshape(len(part), wide, -1)
        outputs.append(np.tensordot(seen, kernel, ((-1, -2), (1, 2))))
    y = np.concatenate(outputs, -1) + (0.0 if node.bias is None else node.bias)
    return np.moveaxis(y, -1, 1)


def _pool(node: Any, x: NDArray) -> NDArray:
    size = _each(node.kernel_size, x.ndim - 2)
    patches = _windows(node, size, (1,) * len(size)).patches(np.moveaxis(x, 1, -1))
    total = patches.sum(-2)
    total = total / np.prod(size) if kind(node) == "AvgPool2d" else total
    return np.moveaxis(total, -1, 1)


def _windows(node: Any, size: tuple[int, ...], dilation: tuple[int, ...]) -> Windows:
    stride = _each(node.stride, len(size))
    if isinstance(node.padding, str):  # "valid" is none; "same" has half before, the rest behind
        same = node.padding == "same"
        reach = [d * (s - 1) * same for s, d in zip(size, dilation, strict=True)]
        return Windows(size, stride, tuple((r // 2, r - r // 2) for r in reach), dilation)
    pads = _each(node.padding, len(size))
    return Windows(size, stride, tuple((p, p) for p in pads), dilation)


def _each(value: Any, rank: int) -> tuple[int, ...]:
    """A number, or one an axis, as one an axis."""
    return tuple(int(v) for v in np.broadcast_to(value, (rank,)))


def _flatten(node: Any, x: NDArray) -> NDArray:
    """Its dimensions count from the first behind the batch."""
    last = x.ndim - 1 if node.end_dim == -1 else node.end_dim + 1
    first = node.start_dim + 1
    return x.reshape(*x.shape[:first], -1, *x.shape[last + 1 :])


_MAPS: dict[str, Callable[[Any, NDArray], NDArray]] = {
    "Input": lambda node, x: x,
    "Output": lambda node, x: x,
    "Affine": _affine,
    "Linear": _affine,
    "Scale": lambda node, x: x * node.scale,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "SumPool2d": _pool,
    "AvgPool2d": _pool,
    "Flatten": _flatten,
}


@dataclass
class Cell:
    """A node with a state: current behind a synapse, voltage, and spikes unless it sends `v`."""

    node: Any
    semantics: Semantics
    voltage: NDArray
    near: NDArray
    keeps: NDArray | float
    gain: NDArray | float
    rest: NDArray | float
    threshold: NDArray | None = None
    floor: float | None = None
    most: float | None = None
    synapse: tuple[NDArray, NDArray | float] | None = None
    current: NDArray | float = 0.0
    owed: NDArray | float = 0.0
    above: NDArray | bool = False

    @property
    def hard(self) -> bool:
        """True where a spike sets the voltage."""
        return self.semantics.resets(kind(self.node)) == "zero"

    def take(self, arriving: NDArray) -> None:
        """Integrate the current of a step."""
        if self.synapse is not None:
            keeps, gain = self.synapse
            arriving = self.current = keeps * self.current + gain * arriving
        self.above = False if self.threshold is None else self.voltage > self.threshold
        self.voltage = self.keeps * self.voltage + self.gain * arriving + self.rest - self.owed

    def send(self) -> NDArray:
        """Spikes for the voltage, which loses them, or the voltage of a node without spikes."""
        if self.threshold is None:
            return self.voltage
        count = self._count(self.voltage - self.semantics.again * self.threshold * self.above)
        if self.semantics.late and self.synapse is None:
            self.owed = count * self.threshold  # taken off with the next current, and not decayed
        else:
            self._reset(count)
        return count

    def _count(self, voltage: NDArray) -> NDArray:
        """Spikes for a voltage; notes how near it is to a whole number of thresholds."""
        assert self.threshold is not None
        ratio = voltage / self.threshold
        most = np.inf if self.most is None else self.most
        whole = np.clip(np.rint(ratio), 1, most)
        self.near = np.abs(ratio - whole)
        count = np.ceil(ratio) - 1 if self.semantics.strict else np.floor(ratio + TOLERANCE)
        return np.clip(count, 0, most)

    def _reset(self, count: NDArray) -> None:
        assert self.threshold is not None
        if self.hard:
            self.voltage = np.where(count > 0, self.node.v_reset, self.voltage)
        else:
            self.voltage = self.voltage - count * self.threshold
        if self.floor is not None:
            self.voltage = np.maximum(self.voltage, -self.floor * self.threshold)


def cell_of(node: Any, semantics: Semantics, batch: int, dt: float = 1.0) -> Cell:
    """The state of a node for a batch, under the semantics of a reader, for steps of `dt`."""
    shape = (batch, *np.atleast_1d(node.input_type["input"]))
    said = node.metadata if semantics.stated else {}
    voltage = np.zeros(shape) + said.get("v_init", 0.0)
    cell = Cell(node, semantics, voltage, np.full(shape, np.inf), *_decay(node, semantics, dt))
    if kind(node).startswith("Cuba"):
        left = semantics.left(node.tau_syn, dt)
        cell.synapse = (left, semantics.gain(kind(node), node.w_in, left))
    if kind(node) in SPIKING:
        cell.threshold = np.asarray(node.v_threshold, np.float64)
        cell.floor = said.get("voltage_floor", semantics.floor)
        cell.most = said.get("max_spikes", semantics.most)
    return cell


def _decay(node: Any, semantics: Semantics, dt: float) -> tuple[Any, Any, Any]:
    """The share of the voltage that a step leaves, the factor of the current, and an addend."""
    if kind(node) in ("IF", "I"):
        gain = (
            dt * np.asarray(node.r, np.float64)
            if "IF" in semantics.resists or kind(node) == "I"
            else 1.0
        )
        return 1.0 - semantics.leak, gain, 0.0
    tau = np.asarray(node.tau_mem if kind(node).startswith("Cuba") else node.tau, np.float64)
    left = semantics.left(tau, dt)
    return left, semantics.gain(kind(node), node.r, left), node.v_leak * (1.0 - left)


@dataclass
class Trace:
    """Spikes by node and outputs, `(batch, steps, *shape)`.

    `near` is how close each neuron was to another number of spikes, as a share of its threshold.
    """

    spikes: dict[str, NDArray]
    near: dict[str, NDArray]
    output: NDArray


def simulate(
    wiring: Wiring,
    semantics: Semantics,
    x: NDArray,
    given: Mapping[str, NDArray] = MappingProxyType({}),
    dt: float = 1.0,
) -> Trace:
    """The graph on `x`, `(batch, steps, *shape)`, in steps of `dt` in the file's unit of time.

    Where spikes of a node are `given`, what reads it gets those, not the computed ones. Raises
    `NotSimulated`.
    """
    wiring = wiring.as_walked() if semantics.order == "walk" else wiring
    wiring = _EDGES[semantics.edges](wiring)
    cells = {name: cell_of(wiring.nodes[name], semantics, len(x), dt) for name in wiring.neurons}
    late = tuple(cells) if semantics.late else ()
    order = [name for name in wiring.order if name not in late]
    spikes: dict[str, list[NDArray]] = {name: [] for name in wiring.spiking}
    near: dict[str, list[NDArray]] = {name: [] for name in wiring.spiking}
    values: dict[str, NDArray] = {}
    outputs = []

    def arriving(name: str) -> NDArray:
        found = [values[source] for source in wiring.sources[name] if source in values]
        if not found:  # what comes round a loop is there a step later
            raise NotSimulated(f"nothing but a loop leads to {name!r}")
        return np.asarray(sum(found[1:], start=found[0]))

    def send(name: str, made: NDArray, step: int) -> None:
        values[name] = made if name not in given else given[name][:, step]
        if name in spikes:
            spikes[name].append(made)
            near[name].append(cells[name].near)

    for step in range(x.shape[1]):
        values[wiring.input] = x[:, step].astype(np.float64)
        for name in late:
            send(name, cells[name].send(), step)
        for name in order:
            if name in cells:
                cells[name].take(arriving(name))
                send(name, cells[name].send(), step)
            elif name != wiring.input:
                values[name] = apply(wiring.nodes[name], arriving(name))
        for name in late:
            cells[name].take(arriving(name))
        outputs.append(values[wiring.output])
    return Trace(_over_time(spikes), _over_time(near), np.stack(outputs, 1))


def _over_time(values: Mapping[str, list[NDArray]]) -> dict[str, NDArray]:
    return {name: np.stack(found, 1) for name, found in values.items()}


_EDGES: dict[str, Callable[[Wiring], Wiring]] = {
    "all": lambda wiring: wiring,
    "no late ones": Wiring.without_late_ones,
    "chain": Wiring.as_chain,
    "through loops": Wiring.through_loops,
}
