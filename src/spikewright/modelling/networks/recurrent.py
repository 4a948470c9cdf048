"""Loops that remember: integrators, oscillators, gated memories and races of accumulators."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewright.errors import NetworkError
from spikewright.modelling.networks.arrays import EnsembleArray, ThresholdingEnsembles
from spikewright.network import Connection, Ensemble, Network, Node
from spikewright.network.pointwise import Step
from spikewright.network.shapes import above_zero, count, number


class Integrator(Network):
    """`d(output)/dt = input`: an ensemble whose feedback holds its value.

    Behind a lowpass filter of `recurrent_tau` seconds feedback of the value itself, and an input of
    `recurrent_tau` times the value, make an integral (Eliasmith & Anderson 2003). A longer
    `recurrent_tau` drifts less. `ens_kwargs` are further arguments of the `ensemble`.
    """

    def __init__(
        self,
        recurrent_tau: float,
        n_neurons: int,
        dimensions: int = 1,
        label: str | None = None,
        seed: int | None = None,
        **ens_kwargs: Any,
    ) -> None:
        super().__init__(label, seed)
        tau = above_zero(recurrent_tau, f"{self!r}: recurrent_tau")
        d = count(dimensions, f"{self!r}: dimensions")
        name = "integrator" if label is None else label
        with self:
            self.input = Node(size_in=d, label=f"input of {name}")
            self.ensemble = Ensemble(
                count(n_neurons, f"{self!r}: n_neurons"), d, label=name, **ens_kwargs
            )
            self.feedback = Connection(self.ensemble, self.ensemble, synapse=tau)
            Connection(self.input, self.ensemble, synapse=tau, transform=tau)
        self.output = self.ensemble


class Oscillator(Network):
    """A harmonic oscillator of two values: `d(x0)/dt = -w x1 + input0`, `d(x1)/dt = w x0 + input1`.

    `w` is `frequency`, in radians per second (a negative one turns the other way). The feedback,
    behind a lowpass filter of `recurrent_tau` seconds, is `[[1, -w tau], [w tau, 1]]`. It needs a
    push from its `input` to start; a short one is enough. `ens_kwargs` are further arguments of the
    `ensemble`.
    """

    def __init__(
        self,
        recurrent_tau: float,
        frequency: float,
        n_neurons: int,
        label: str | None = None,
        seed: int | None = None,
        **ens_kwargs: Any,
    ) -> None:
        super().__init__(label, seed)
        tau = above_zero(recurrent_tau, f"{self!r}: recurrent_tau")
        turn = tau * number(frequency, f"{self!r}: frequency")
        name = "oscillator" if label is None else label
        with self:
            self.input = Node(size_in=2, label=f"input of {name}")
            self.ensemble = Ensemble(
                count(n_neurons, f"{self!r}: n_neurons"), 2, label=name, **ens_kwargs
            )
            matrix = np.array([[1.0, -turn], [turn, 1.0]])
            self.feedback = Connection(self.ensemble, self.ensemble, synapse=tau, transform=matrix)
            Connection(self.input, self.ensemble, synapse=tau, transform=tau)
        self.output = self.ensemble


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


_REACH = 2.0  # of a sum that has won: it saturates above 1


class IndependentAccumulator(Network):
    """Of `n_items` utilities, chooses the largest: `output` is 1 for it and 0 for all others.

    Each utility from 0 to 1 is integrated by itself, `1 / timescale` a second (behind a filter of
    `synapse` seconds). The first sum above `threshold` wins: it is held, and silences the others.
    So close utilities take longer to separate, and the choice is held for all inputs until `reset`
    is 1. `n_neurons` are for each of two ensembles an item. Gosmann, Voelker & Eliasmith (2017).
    Raises `NetworkError` naming the network.
    """

    def __init__(
        self,
        n_items: int,
        n_neurons: int = 50,
        threshold: float = 0.8,
        timescale: float = 0.2,
        synapse: float = 0.1,
        label: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(label, seed)
        self.n_items = count(n_items, f"{self!r}: n_items")
        n = count(n_neurons, f"{self!r}: n_neurons")
        least = above_zero(threshold, f"{self!r}: threshold")
        if least >= 1:
            raise NetworkError(f"{self!r}: threshold must be below 1, got {threshold!r}")
        pace = above_zero(synapse, f"{self!r}: synapse") / above_zero(
            timescale, f"{self!r}: timescale"
        )
        name = "choice" if label is None else label
        one = np.eye(self.n_items)
        with self:
            self.input = Node(size_in=self.n_items, label=f"input of {name}")
            self.reset = Node(size_in=1, label=f"reset of {name}")
            with ThresholdingEnsembles(0.0):
                self.accumulators = EnsembleArray(n, self.n_items, label=f"sums of {name}")
            with ThresholdingEnsembles(least, radius=_REACH):
                self.arrived = EnsembleArray(n, self.n_items, label=f"arrived of {name}")
            self.output = self.arrived.add_output("whole", Step(0.0))
            sums = self.accumulators
            Connection(self.input, sums.input, synapse, transform=pace)
            Connection(sums.output, sums.input, synapse)
            Connection(sums.output, self.arrived.input, 0.005)
            Connection(self.output, sums.input, 0.005, transform=2.0 * one - 1.0)
            sums.silenced_by(self.reset)
            self.arrived.silenced_by(self.reset)
