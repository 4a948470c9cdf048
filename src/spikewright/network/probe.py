"""Probes: recordings of signals."""

from __future__ import annotations

from typing import Any

from spikewright.errors import NetworkError
from spikewright.network.attributes import Checked
from spikewright.network.config import configurable, handed_down
from spikewright.network.connection import Connection, input_shape, output_shape
from spikewright.network.ensemble import Ensemble
from spikewright.network.learning import LearningRule
from spikewright.network.network import container
from spikewright.network.node import Node
from spikewright.network.shapes import Shape, above_zero, as_label
from spikewright.network.solvers import LstsqL2, Solver
from spikewright.network.synapses import as_synapse
from spikewright.network.view import NeuronsView, ObjView

Target = Node | Ensemble | NeuronsView | Connection | LearningRule
PROBEABLE: dict[type, tuple[str, ...]] = {
    Node: ("output", "input"),
    Ensemble: ("decoded_output", "input", "scaled_encoders"),
    NeuronsView: ("output", "input", "spike_count"),
    Connection: ("output", "input", "weights"),
    LearningRule: (),
}
"""What a probe can record of each kind of object, the first being the default.

Of neurons also what their type keeps from step to step, of a learning rule what it reads and makes.
"""


@configurable
class Probe(Checked):
    """Records a signal at every step, or every `sample_every` seconds.

    `target` is a node, an ensemble, an ensemble's `.neurons`, a part of one of them, a connection
    or a learning rule. `attr` of an ensemble is "decoded_output" (the vector that it represents,
    decoded by `solver`), "input" or "scaled_encoders"; of neurons "output" (spikes of height
    `amplitude / (s dt)`, or rates; "spikes" and "rates" mean the same), "input" (the current),
    "spike_count", or a state variable of the neuron type: "voltage" (in spikes), "refractory_time"
    (seconds), "adaptation", "recovery" and so on, "rate_out" (Hz) of types that make spikes of
    rates; of a connection "output" (the value that it sends, in its own order; at the end of a
    step, so that behind a synapse it is what arrives in the next one), "input" (the whole output of
    `pre`; of a decoded one the neurons' output) or "weights"; of a rule one of its `probeable`.
    `obj` is the whole of `target`. A `synapse` filters the recording and delays it by one step: it
    reads what arrives in a step, and what a rule made in the step before. `solver` defaults to that
    of connections made at this place.
    """

    _from_defaults: frozenset[str] = frozenset()

    def __init__(
        self,
        target: Target | ObjView,
        attr: str | None = None,
        *,
        sample_every: float | None = None,
        synapse: Any = None,
        label: str | None = None,
        solver: Solver | None = None,
    ) -> None:
        self.label = as_label(label, "Probe")
        if isinstance(target, Ensemble) and not target.represents:
            target = target.neurons
        self.target = target
        self.attr = self._checked(attr)
        if self.attr != "decoded_output" and "solver" in self._from_defaults:
            solver = None  # a default that does not concern this probe
        found = handed_down(Connection).get("solver") if solver is None else solver
        self.solver = LstsqL2() if found is None else found
        if not isinstance(self.solver, Solver):
            raise NetworkError(f"{self!r}: solver must be a Solver, got {solver!r}")
        if solver is not None and self.attr != "decoded_output":
            raise NetworkError(f"{self!r}: a solver is for probes of an Ensemble's decoded output")
        if sample_every is not None:
            above_zero(sample_every, f"{self!r}: sample_every", " s")
        self.sample_every = sample_every
        self.synapse = as_synapse(synapse, f"{self!r}")
        container("Probe").probes.append(self)

    @property
    def obj(self) -> Target:
        """The whole object that `target` is (a part of)."""
        return self.target.target if isinstance(self.target, ObjView) else self.target

    @property
    def size_in(self) -> int:
        """Number of values that the target sends."""
        return self.target.size_out

    @property
    def size_out(self) -> int:
        """0: a probe sends nothing."""
        return 0

    def _checked(self, attr: str | None) -> str:
        """The checked attribute to record; raises `NetworkError` where the target lacks it."""
        whole = self.obj
        kind = next((kind for kind in PROBEABLE if isinstance(whole, kind)), None)
        if kind is None:
            raise NetworkError(
                "a probe records a Node, an Ensemble, its neurons, a part of one of them, a "
                f"Connection or a learning rule, got {self.target!r}"
            )
        names = PROBEABLE[kind]
        if isinstance(whole, NeuronsView):
            if whole.ensemble.is_direct:
                raise NetworkError(f"{whole.ensemble!r}: with Direct() there are no neurons")
            neurons = whole.ensemble.neuron_type
            names = ("output", "input", *neurons.probeable)
            attr = "output" if attr == ("spikes" if neurons.spiking else "rates") else attr
        elif isinstance(whole, LearningRule):
            names = whole.probeable
        chosen = names[0] if attr is None else attr
        if chosen not in names:
            of = type(whole.ensemble.neuron_type).__name__ if isinstance(whole, NeuronsView) else ""
            raise NetworkError(
                f"a probe of {whole!r}{of and f' ({of})'} records one of {names}, not {attr!r}"
            )
        if isinstance(self.target, ObjView):
            self._check_part(self.target, chosen)
        return chosen

    def _check_part(self, view: ObjView, attr: str) -> None:
        """Raise `NetworkError` for a part that the target does not have."""
        whole = view.target
        if isinstance(whole, Connection | LearningRule):
            raise NetworkError(f"a probe records all of {whole!r}, or a part of what it leads to")
        if attr == "scaled_encoders":
            shape: Shape = (whole.n_neurons, whole.dimensions)
        elif attr == "input":
            shape = input_shape(whole)
        else:
            shape = output_shape(whole)
        view.numbers(shape)

    def __repr__(self) -> str:
        if self.label:
            return f"<Probe {self.label!r}>"
        return f"<Probe of {getattr(self, 'attr', '?')} of {self.target!r}>"
