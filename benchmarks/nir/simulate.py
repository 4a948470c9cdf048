"""NIR's equations under the semantics of any reader, in float64.

This is the evidence of a check: a difference is explained where these equations, with a reader's
semantics and its own spikes as input, give its spikes again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.nir.semantics import OURS, ReaderSemantics
from benchmarks.nir.wiring import NirWiring
from spikewright.engines.operators import Linear as Operator
from spikewright.engines.reference.linear import LinearKernel
from spikewright.exchange.nir.primitives import READERS, LinearForm, PortForm, Time
from spikewright.exchange.nir.reading import SPIKING, NodeRecord
from spikewright.network.neurons.namespace import TOLERANCE
from spikewright.network.transforms import Shape


class NotSimulated(Exception):
    """A node has no equation here, so that nothing can be said of its reader."""


def map_of(node: NodeRecord, shape: Shape) -> Callable[[NDArray], NDArray]:
    """The map of a node without a state, of values `(batch, *shape)`; raises `NotSimulated`."""
    reader = READERS.get(node.kind)
    form = None if reader is None else reader(node, shape, _TIME)
    if isinstance(form, PortForm):
        return lambda x: x
    if not isinstance(form, LinearForm):
        raise NotSimulated(f"a {node.kind} has no equation in the check")
    chain, _ = form.fitted(shape)
    kernels = [LinearKernel(Operator(node.name, (0,), 0, part), "float64") for part in chain]
    bias = 0.0 if form.bias is None else form.bias

    def apply(x: NDArray) -> NDArray:
        values: Any = x[:, None]
        for kernel in kernels:
            (values,) = kernel.run([values], 0, 1)
        return np.asarray(values[:, 0] + bias)

    return apply


_TIME = Time(1.0, None, OURS, 1.0)  # no node without a state reads it


@dataclass
class SimulatedNeurons:
    """A node with a state: current behind a synapse, voltage, and spikes unless it sends `v`."""

    node: NodeRecord
    semantics: ReaderSemantics
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
        return self.semantics.resets(self.node.kind) == "zero"

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
            self.voltage = np.where(count > 0, self.node.numbers("v_reset", 0.0), self.voltage)
        else:
            self.voltage = self.voltage - count * self.threshold
        if self.floor is not None:
            self.voltage = np.maximum(self.voltage, -self.floor * self.threshold)


def cell_of(
    node: NodeRecord, semantics: ReaderSemantics, batch: int, dt: float = 1.0
) -> SimulatedNeurons:
    """The state of a node for a batch, under the semantics of a reader, for steps of `dt`."""
    shape = (batch, *node.numbers("r").shape)
    metadata = node.metadata if semantics.stated else {}
    voltage = np.zeros(shape) + metadata.get("v_init", 0.0)
    cell = SimulatedNeurons(
        node, semantics, voltage, np.full(shape, np.inf), *_decay(node, semantics, dt)
    )
    if node.kind.startswith("Cuba"):
        left = semantics.left(node.numbers("tau_syn"), dt)
        cell.synapse = (left, semantics.gain(node.kind, node.numbers("w_in", 1.0), left))
    if node.kind in SPIKING:
        cell.threshold = node.numbers("v_threshold")
        cell.floor = metadata.get("voltage_floor", semantics.floor)
        cell.most = metadata.get("max_spikes", semantics.most)
    return cell


def _decay(node: NodeRecord, semantics: ReaderSemantics, dt: float) -> tuple[Any, Any, Any]:
    """The share of the voltage that a step leaves, the factor of the current, and an addend."""
    r = node.numbers("r")
    if node.kind in ("IF", "I"):
        read = "IF" in semantics.resists or node.kind == "I"
        return 1.0 - semantics.leak, dt * r if read else 1.0, 0.0
    left = semantics.left(node.numbers("tau_mem" if node.kind.startswith("Cuba") else "tau"), dt)
    return left, semantics.gain(node.kind, r, left), node.numbers("v_leak") * (1.0 - left)


@dataclass
class SpikeTrace:
    """Spikes by node and outputs, `(batch, steps, *shape)`.

    `near` is how close each neuron was to another number of spikes, as a share of its threshold.
    """

    spikes: dict[str, NDArray]
    near: dict[str, NDArray]
    output: NDArray


def simulate(
    wiring: NirWiring,
    semantics: ReaderSemantics,
    x: NDArray,
    given: Mapping[str, NDArray] = MappingProxyType({}),
    dt: float = 1.0,
) -> SpikeTrace:
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
    maps: dict[str, Callable[[NDArray], NDArray]] = {}
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
                current = arriving(name)
                if name not in maps:
                    maps[name] = map_of(wiring.nodes[name], current.shape[1:])
                values[name] = maps[name](current)
        for name in late:
            cells[name].take(arriving(name))
        outputs.append(values[wiring.output])
    return SpikeTrace(_over_time(spikes), _over_time(near), np.stack(outputs, 1))


def _over_time(values: Mapping[str, list[NDArray]]) -> dict[str, NDArray]:
    return {name: np.stack(found, 1) for name, found in values.items()}


_EDGES: dict[str, Callable[[NirWiring], NirWiring]] = {
    "all": lambda wiring: wiring,
    "no late ones": NirWiring.without_late_ones,
    "chain": NirWiring.as_chain,
    "through loops": NirWiring.through_loops,
}


TIES = "sums within 2^-16 of a threshold"


@dataclass(frozen=True)
class Explanation:
    """Reasons in words, and the share of neurons whose every spike they give again.

    `reproduced` is None where nothing could be simulated. Each neuron is given the input that it
    had in the reader, so that a difference does not explain those behind it.
    """

    why: tuple[str, ...]
    reproduced: float | None


def explain(
    wiring: NirWiring,
    semantics: ReaderSemantics,
    x: NDArray,
    there: Mapping[str, NDArray],
    dt: float = 1.0,
    ours: ReaderSemantics = OURS,
) -> Explanation:
    """Compare a reader's spikes with its stated semantics, on samples `(batch, steps, *shape)`.

    A step has the length `dt` in the file's unit of time.

    A choice is a reason where the reader's spikes need it: with ours in its place, they are no
    longer given again.
    """
    try:
        stated = simulate(wiring, semantics, x, there, dt)
    except NotSimulated as error:
        return Explanation((f"not explained: {error}",), None)
    here = simulate(wiring, ours, x, dt=dt)
    apart = missed, _ = _apart(stated, there)
    why = []
    for name in semantics.differences(ours):
        without = simulate(wiring, semantics.taking(name, ours), x, there, dt)
        if _apart(without, there) > apart:
            alone = simulate(wiring, ours.taking(name, semantics), x, dt=dt)
            why.append(f"{semantics.describe(name)} ({_change(alone, here)})")
    total = sum(spikes[:, 0].size for spikes in there.values())
    if missed:
        why.append(f"not explained: {missed} of {total} neurons send other spikes than stated")
    elif not why and not _same(here, there):
        why.append(TIES)
    return Explanation(tuple(why), 1.0 - missed / total if total else None)


def _apart(trace: SpikeTrace, there: Mapping[str, NDArray]) -> tuple[int, int]:
    """Neurons with other spikes than a reader's: those whose sums were no near thing, and all.

    A neuron's first other spike counts: those behind it may be others because of it.
    """
    missed = every = 0
    for name, spikes in there.items():
        other = trace.spikes[name] != spikes
        first = np.expand_dims(other.argmax(axis=1), 1)
        near = np.take_along_axis(trace.near[name], first, axis=1)[:, 0]
        missed += int((other.any(axis=1) & (near > TOLERANCE)).sum())
        every += int(other.any(axis=1).sum())
    return missed, every


def _change(alone: SpikeTrace, ours: SpikeTrace) -> str:
    """The change of all spikes by a choice alone: `-17 % of spikes`."""
    now, before = (sum(s.sum() for s in t.spikes.values()) for t in (alone, ours))
    if now == before:
        return "as many spikes" if _same(alone, ours.spikes) else "as many spikes at other steps"
    if not before:
        return "spikes without ours"
    if now > 100 * before:
        return "more than 100 times the spikes"
    rounded = float(f"{100 * (now - before) / before:.2g}")
    return f"{rounded:+,g} % of spikes"


def _same(trace: SpikeTrace, spikes: Mapping[str, NDArray]) -> bool:
    return all(np.array_equal(trace.spikes[name], sent) for name, sent in spikes.items())
