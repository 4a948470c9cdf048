"""Nodes with a state, under the semantics of a reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.exchange.nir.checking.semantics import Semantics
from spikewright.exchange.nir.checking.wiring import kind
from spikewright.exchange.nir.walks import SPIKING
from spikewright.network.neurons.integrator import TOLERANCE


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
