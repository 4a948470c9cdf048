"""Signals that every object of a network reads and sends, while a program is made."""

from __future__ import annotations

import math

from numpy.typing import NDArray

from spikewright.engines.draft import ProgramDraft
from spikewright.engines.factors import Scaled
from spikewright.engines.operators import Linear, Smooth
from spikewright.network import Connection, Ensemble, LearningRule, NeuronsView, Node
from spikewright.network.connection import output_shape
from spikewright.network.synapses import Synapse
from spikewright.network.transforms import Reshape, Scale

Receiver = Node | NeuronsView | Ensemble | LearningRule
Sender = Node | NeuronsView | Ensemble
Spiking = Node | NeuronsView
"""What may send counts: populations, and maxima of their spikes."""


class Signals:
    """The signals of objects so far.

    `input_of` and `output_of` are an object's, `arriving` the signals of its connections,
    `delivered` that of one connection. `heights` are those of spikes, per population, and of the
    maxima of spikes whose heights differ; `factors` are those of junctions between counts.
    """

    def __init__(self, draft: ProgramDraft) -> None:
        self.draft = draft
        self.input_of: dict[Receiver, int] = {}
        self.output_of: dict[Sender, int] = {}
        self.arriving: dict[Receiver, list[Scaled]] = {}
        self.delivered: dict[Connection, Scaled] = {}
        self.heights: dict[Spiking, NDArray] = {}
        self.factors: dict[Node, float] = {}
        self._values: dict[Spiking, int] = {}
        self._activities: dict[NeuronsView, int] = {}
        self._smoothed: dict[tuple[int, Synapse], int] = {}

    def value(self, pre: Sender) -> Scaled:
        """The signal that an object sends, and the factor that makes it the value."""
        if isinstance(pre, Ensemble):
            return Scaled(self.output_of[pre], 1.0)
        height = self.heights.get(pre)
        if height is None:
            return Scaled(self.output_of[pre], self.factors.get(pre, 1.0))  # type: ignore[arg-type]
        if height.ndim == 0:
            return Scaled(self.output_of[pre], float(height))
        if pre not in self._values:
            signal = self.draft.signal(output_shape(pre), f"values of {pre!r}")
            source = self.output_of[pre]
            self.draft.operators.append(
                Linear(f"heights of {pre!r}", (source,), signal, Scale(height))
            )
            self._values[pre] = signal
        return Scaled(self._values[pre], 1.0)

    def activity(self, neurons: NeuronsView) -> int:
        """A population's output in Hz, `(n,)`, made once however many rules read it."""
        if neurons not in self._activities:
            label, size = f"activities of {neurons!r}", math.prod(neurons.shape)
            chain = () if len(neurons.shape) == 1 else (Reshape((size,)),)
            sent = self.draft.map(self.value(neurons), chain, neurons.shape, label)
            self._activities[neurons] = self.draft.values(sent, (size,), label)
        return self._activities[neurons]

    def smoothed(self, signal: int, synapse: Synapse | None, label: str) -> int:
        """A signal behind a filter without delay, made once however many read it."""
        if synapse is None:
            return signal
        key = (signal, synapse)
        if key not in self._smoothed:
            output = self.draft.signal(self.draft.shapes[signal], label)
            filtered = synapse.discretise(self.draft.dt)
            filtered.check_shape(self.draft.shapes[signal], label)
            self.draft.operators.append(Smooth(label, (signal,), output, filtered))
            self._smoothed[key] = output
        return self._smoothed[key]
