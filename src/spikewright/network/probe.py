"""Probes: what is recorded."""

from __future__ import annotations

from typing import Any

from spikewright.errors import NetworkError
from spikewright.network.config import configurable, handed_down
from spikewright.network.connection import Connection
from spikewright.network.ensemble import Ensemble, Neurons
from spikewright.network.network import container
from spikewright.network.node import Node
from spikewright.network.shapes import is_number
from spikewright.network.solvers import LstsqL2, Solver
from spikewright.network.synapses import as_synapse
from spikewright.network.view import ObjView

PROBEABLE = {
    Node: ("output", "input"),
    Ensemble: ("decoded_output", "input"),
    Neurons: ("output", "input", "voltage", "spike_count"),
    Connection: ("output",),
}
"""What a probe can record of each kind of object; the first is the default."""


@configurable
class Probe:
    """Records a signal at every step, or every `sample_every` seconds.

    `target` is a node, an ensemble, an ensemble's `.neurons` or a connection. `attr` of an ensemble
    is "decoded_output" (the vector that it represents, decoded by `solver`) or "input"; of neurons
    "output" (spikes of height `amplitude / (s dt)`, or rates), "input" (the current), "voltage" (in
    spikes) or "spike_count". A `synapse` filters what is recorded and delays it by one step.
    Without `solver` the one is used that connections made at this place would have.
    """

    _from_defaults: frozenset[str] = frozenset()

    def __init__(
        self,
        target: Node | Ensemble | Neurons | Connection,
        attr: str | None = None,
        *,
        sample_every: float | None = None,
        synapse: Any = None,
        label: str | None = None,
        solver: Solver | None = None,
    ) -> None:
        self.label = label
        if isinstance(target, Ensemble) and not target.represents:
            target = target.neurons
        kind = next((kind for kind in PROBEABLE if isinstance(target, kind)), None)
        if kind is None:
            raise NetworkError(
                f"a probe records a Node, an Ensemble, its neurons or a Connection, got {target!r}"
                f"{_hint(target)}"
            )
        self.target = target
        self.attr = PROBEABLE[kind][0] if attr is None else attr
        if self.attr not in PROBEABLE[kind]:
            raise NetworkError(
                f"a probe of {target!r} records one of {PROBEABLE[kind]}, not {attr!r}"
            )
        if self.attr != "decoded_output" and "solver" in self._from_defaults:
            solver = None  # a default that does not concern this probe
        found = handed_down(Connection).get("solver") if solver is None else solver
        self.solver = LstsqL2() if found is None else found
        if not isinstance(self.solver, Solver):
            raise NetworkError(f"{self!r}: solver must be a Solver, got {solver!r}")
        if solver is not None and self.attr != "decoded_output":
            raise NetworkError(f"{self!r}: a solver is for probes of an Ensemble's decoded output")
        if isinstance(target, Neurons):
            self._check_neurons(target.ensemble)
        if sample_every is not None and not (is_number(sample_every) and sample_every > 0):
            raise NetworkError(f"{self!r}: sample_every must be above 0 s, got {sample_every!r}")
        self.sample_every = sample_every
        self.synapse = as_synapse(synapse, f"{self!r}")
        container("Probe").probes.append(self)

    def _check_neurons(self, ensemble: Ensemble) -> None:
        if ensemble.is_direct:
            raise NetworkError(f"{ensemble!r}: with Direct() there are no neurons to probe")
        neuron_type = ensemble.neuron_type
        has = {"voltage": neuron_type.has_voltage, "spike_count": neuron_type.spiking}
        if not has.get(self.attr, True):
            raise NetworkError(
                f"{ensemble!r}: {type(neuron_type).__name__} neurons have no {self.attr} to probe"
            )

    def __repr__(self) -> str:
        if self.label:
            return f"<Probe {self.label!r}>"
        return f"<Probe of {getattr(self, 'attr', '?')} of {self.target!r}>"


def _hint(target: Any) -> str:
    """What to probe in place of something that cannot be."""
    if isinstance(target, ObjView):
        return "; connect the part to sw.Node(size_in=...) with synapse=None, and probe that"
    return ""
