"""A memory that follows its input or holds its value, by a gate."""

from __future__ import annotations

from typing import Any

from spikewright.modelling.networks.checks import above_zero, count, number
from spikewright.modelling.networks.ensemble_array import EnsembleArray
from spikewright.network import Connection, Network, Node


class InputGatedMemory(Network):
    """Holds a vector: `gate` 0 lets `output` follow `input`, `gate` 1 holds it.

    The array `mem` integrates the difference between `input` and itself, which the array `diff`
    represents, `difference_gain` times; the gate silences `diff`, and `reset` 1 silences `mem`,
    which then forgets. `feedback` below 1 makes it forget slowly, behind `recurrent_synapse`
    seconds; `difference_synapse` (None: the recurrent one) filters the difference. `mem_kwargs` are
    further arguments of every `Ensemble`.
    """

    def __init__(
        self,
        n_neurons: int,
        dimensions: int,
        feedback: float = 1.0,
        difference_gain: float = 1.0,
        recurrent_synapse: float = 0.1,
        difference_synapse: Any = None,
        label: str | None = None,
        seed: int | None = None,
        **mem_kwargs: Any,
    ) -> None:
        super().__init__(label, seed)
        n = count(n_neurons, f"{self!r}: n_neurons")
        d = count(dimensions, f"{self!r}: dimensions")
        kept = number(feedback, f"{self!r}: feedback")
        gain = number(difference_gain, f"{self!r}: difference_gain")
        tau = above_zero(recurrent_synapse, f"{self!r}: recurrent_synapse")
        followed = tau if difference_synapse is None else difference_synapse
        name = "memory" if label is None else label
        with self:
            self.input = Node(size_in=d, label=f"input of {name}")
            self.gate = Node(size_in=1, label=f"gate of {name}")
            self.reset = Node(size_in=1, label=f"reset of {name}")
            self.mem = EnsembleArray(n, d, label=name, **mem_kwargs)
            self.diff = EnsembleArray(n, d, label=f"difference of {name}", **mem_kwargs)
            Connection(self.mem.output, self.mem.input, tau, transform=kept)
            Connection(self.input, self.diff.input, None)
            Connection(self.mem.output, self.diff.input, 0.005, transform=-1.0)
            Connection(self.diff.output, self.mem.input, followed, transform=gain)
            self.diff.silenced_by(self.gate)
            self.mem.silenced_by(self.reset)
        self.output = self.mem.output
