"""Names of a network's objects on a page: their labels, or what and the how many-eth they are."""

from __future__ import annotations

from typing import Any

from spikewright.network import Connection, Ensemble, Network, NeuronsView, Node, ObjView, Probe

_PLAIN = ("decoded_output", "output")  # what a probe of values records, unless it says otherwise


class Names:
    """The names of a network's nodes, ensembles and probes."""

    def __init__(self, network: Network) -> None:
        self._places: dict[Any, str] = {}
        for place, node in enumerate(network.all_nodes, 1):
            self._places[node] = node.label or f"Node {place}"
        for place, ensemble in enumerate(network.all_ensembles, 1):
            self._places[ensemble] = ensemble.label or f"Ensemble {place}"

    def of(self, item: Node | Ensemble) -> str:
        """The name of a node or an ensemble."""
        return self._places[item]

    def of_probe(self, probe: Probe) -> str:
        """A probe's label, or what it records of which object."""
        if probe.label:
            return str(probe.label)
        spikes = isinstance(probe.obj, NeuronsView) and probe.obj.ensemble.neuron_type.spiking
        recorded = "spikes" if spikes and probe.attr == "output" else probe.attr.replace("_", " ")
        plain = probe.attr in _PLAIN and not isinstance(probe.obj, NeuronsView)
        part = " (a part)" if isinstance(probe.target, ObjView) else ""
        return f"{self._target(probe.obj)}{part}" + ("" if plain else f": {recorded}")

    def _target(self, item: Any) -> str:
        if isinstance(item, NeuronsView):
            return self.of(item.ensemble)
        if isinstance(item, Node | Ensemble):
            return self.of(item)
        if isinstance(item, Connection):
            return f"{self._target(item.pre_obj)} to {self._target(item.post_obj)}"
        return type(item).__name__
