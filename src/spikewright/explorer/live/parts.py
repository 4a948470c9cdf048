"""The parts of a network on a page: inputs to move, and recordings of its probes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.program import Recording
from spikewright.network import Connection, Ensemble, Network, NeuronsView, Node, ObjView, Probe
from spikewright.simulator import Simulator

STEPS = 1000
"""Latest steps of the recordings that are kept, and that a page shows."""

SLIDERS = 16
"""Values of an input that has sliders, at most: a larger one is held at its constant."""

_LINES = 10  # of values that are drawn over time
_ROWS = 50  # of neurons, evenly chosen

Names = Mapping[Any, str]
"""The names of a network's nodes and ensembles."""


@dataclass(frozen=True, eq=False)
class ConstantInput:
    """A constant node that a page may feed, with values from `-bound` to `bound`.

    `first` are its own values.
    """

    node: Node
    name: str
    first: list[float]
    bound: float


@dataclass(frozen=True, eq=False)
class Plot:
    """A probe, and which of its values are shown: a trace, or a raster of spikes.

    `numbers` are the places of the shown values among all `size` of them, `every` the steps from
    one sample to the next. `height` is what one spike of each shown neuron is recorded as; None is
    a trace, which is drawn from `-bound` to `bound` at least.
    """

    probe: Probe
    name: str
    size: int
    numbers: NDArray
    every: int
    height: NDArray | None
    bound: float

    def shown(self, recorded: NDArray) -> NDArray:
        """The shown values of recordings `(samples, *shape)`: float32, or counts of spikes."""
        chosen = recorded.reshape(len(recorded), self.size)[:, self.numbers]
        if self.height is None:
            return chosen.astype(np.float32)
        return np.clip(np.rint(chosen / self.height), -127, 127).astype(np.int8)


def names_of(network: Network) -> Names:
    """Labels of nodes and ensembles, or what and the how many-eth they are."""
    kinds: dict[str, Any] = {"Node": network.all_nodes, "Ensemble": network.all_ensembles}
    return {
        item: item.label or f"{kind} {place}"
        for kind, items in kinds.items()
        for place, item in enumerate(items, 1)
    }


def _name_of(probe: Probe, names: Names) -> str:
    """A probe's label, or what it records of which object."""
    if probe.label:
        return str(probe.label)
    neurons = probe.obj if isinstance(probe.obj, NeuronsView) else None
    part = " (a part)" if isinstance(probe.target, ObjView) else ""
    if neurons is None and probe.attr in ("decoded_output", "output"):
        return f"{_target(probe.obj, names)}{part}"
    spikes = neurons is not None and neurons.ensemble.neuron_type.spiking
    recorded = "spikes" if spikes and probe.attr == "output" else probe.attr.replace("_", " ")
    return f"{_target(probe.obj, names)}{part}: {recorded}"


def _target(item: Any, names: Names) -> str:
    if isinstance(item, Connection):
        return f"{_target(item.pre_obj, names)} to {_target(item.post_obj, names)}"
    named = item.ensemble if isinstance(item, NeuronsView) else item
    return names.get(named) or type(item).__name__


def inputs_of(simulator: Simulator, names: Names) -> list[ConstantInput]:
    """The nodes with a constant output that no connection drives, in order."""
    fed = simulator.program.sources
    return [
        ConstantInput(node, names[node], node.output.ravel().tolist(), _reach(simulator, node))
        for node in simulator.network.all_nodes
        if isinstance(node.output, np.ndarray) and node in fed
    ]


def _reach(simulator: Simulator, node: Any) -> float:
    """Twice a constant node's largest value, or the largest radius that it leads to; 1 at least."""
    leads = (c.post_obj for c in simulator.network.all_connections if c.pre_obj is node)
    radii = [end.radius for end in leads if isinstance(end, Ensemble) and end.represents]
    own = np.abs(node.output).max(initial=0.0) if isinstance(node.output, np.ndarray) else 0.0
    return float(max([1.0, *radii, 2 * own]))


def plots_of(simulator: Simulator, names: Names) -> list[Plot]:
    """All probes, in order."""
    return [_plot(simulator, recording, names) for recording in simulator.program.recordings]


def _plot(simulator: Simulator, recording: Recording, names: Names) -> Plot:
    probe, shape = recording.probe, simulator.program.shapes[recording.signal]
    size, height = math.prod(shape), _height(simulator, probe)
    most = _LINES if height is None else _ROWS
    numbers = np.unique(np.linspace(0, max(0, size - 1), min(size, most)).astype(int))
    return Plot(
        probe,
        _name_of(probe, names),
        size,
        numbers,
        every=recording.every,
        height=None if height is None else height[numbers],
        bound=_bound(simulator, probe),
    )


def _bound(simulator: Simulator, probe: Probe) -> float:
    """The values that are expected, of either sign; 0 where nothing is known of them."""
    if isinstance(probe.obj, Ensemble) and probe.attr == "decoded_output":
        return probe.obj.radius
    constant = isinstance(probe.obj, Node) and isinstance(probe.obj.output, np.ndarray)
    return _reach(simulator, probe.obj) if constant else 0.0


def _height(simulator: Simulator, probe: Probe) -> NDArray | None:
    """The recorded value of a spike of each neuron; None for recordings without spikes."""
    neurons = probe.obj
    if not isinstance(neurons, NeuronsView) or probe.synapse is not None:
        return None
    shape = neurons.ensemble.shape
    if probe.attr == "output" and neurons.ensemble.neuron_type.spiking:
        whole = simulator.data[neurons.ensemble].amplitude / simulator.dt
    elif probe.attr == "spike_count":
        whole = np.ones(shape)
    else:
        return None
    part = probe.target.numbers(shape) if isinstance(probe.target, ObjView) else slice(None)
    return whole.ravel()[part].ravel()
