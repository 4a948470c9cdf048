"""Building a program: numbered signals, operators of maps and filters, and the signals that every
object of the network reads and sends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.grid import Precision
from spikewright.engines.operators import (
    Advance,
    Delay,
    DelayedLinear,
    Filter,
    Generate,
    Linear,
    NodeSource,
    Operator,
    Smooth,
)
from spikewright.engines.parameters import object_key
from spikewright.engines.spike_scaling import ScaledSignal, passthrough_factor, without_factor
from spikewright.engines.windows import Average, Carry
from spikewright.errors import BuildError, NetworkError
from spikewright.network import (
    Connection,
    Ensemble,
    LearningRule,
    Network,
    NeuronsView,
    Node,
    Probe,
)
from spikewright.network.connection import output_shape
from spikewright.network.network import detached
from spikewright.network.synapses import Synapse, WindowMean
from spikewright.network.transforms import Reshape, Scale, Shape, Sparse, Transform

_SYNAPSE = 101  # a word of a key: the synapse of a connection or probe
NO_DELAYS: Mapping[int, NDArray] = MappingProxyType({})


class ProgramBuilder:
    """Collects the signals and operators of a program while a network is compiled.

    `dt` is the step in seconds, `precision` that of weights. `encoders` are the signals that
    encoders make of represented vectors.
    """

    def __init__(self, dt: float, precision: Precision) -> None:
        self.dt, self.precision = dt, precision
        self.shapes: list[Shape] = []
        self.labels: dict[int, str] = {}
        self.operators: list[Operator] = []
        self.encoders: set[int] = set()
        self.keys: Mapping[Any, tuple[int, int]] = {}
        """Keys of random numbers, by connection and probe."""
        self._delayed: dict[tuple[int, int], int] = {}

    def signal(self, shape: Shape, label: str) -> int:
        """Add a signal; returns its number."""
        self.shapes.append(shape)
        self.labels[len(self.shapes) - 1] = label
        return len(self.shapes) - 1

    def constant(self, values: NDArray, label: str) -> int:
        """A signal that never changes."""
        with detached(), Network():
            node = Node(values, label=label)
        signal = self.signal(node.shape_out, label)
        self.operators.append(NodeSource(label, (), signal, node))
        return signal

    def filtered(
        self,
        sent: ScaledSignal,
        synapse: Synapse,
        label: str,
        owner: Connection | Probe | None,
    ) -> ScaledSignal:
        """A signal filtered by its owner's synapse; a linear synapse keeps the factor separate.

        Raises `BuildError` for time constants of another number of values.
        """
        if not synapse.stepped:
            return self._linear(sent, synapse, label)
        source, shape = self.values(sent, label), self.shapes[sent.signal]
        now, later = self.signal(shape, label), self.signal(shape, label)
        key = object_key(*self.keys[owner], _SYNAPSE)
        self.operators.append(Generate(label, (source,), now, synapse, shape, key))
        self.operators.append(Delay(label, (now,), later, 1))  # its output a step later is read
        return ScaledSignal(later, 1.0)

    def _linear(self, sent: ScaledSignal, synapse: Synapse, label: str) -> ScaledSignal:
        """A signal after a linear filter, or a mean over windows."""
        (signal, factor), shape = sent, self.shapes[sent.signal]
        output = self.signal(shape, label)
        if isinstance(synapse, WindowMean):
            initial = _initial_means(synapse, shape, label) / factor
            self.operators.append(Average(label, (signal,), output, synapse.steps, initial))
        else:
            discrete = synapse.discretise(self.dt)
            try:
                discrete.check_shape(shape, label)
            except NetworkError as error:
                raise BuildError(str(error)) from None
            self.operators.append(Filter(label, (signal,), output, discrete))
        return ScaledSignal(output, factor)

    def delayed(self, sent: ScaledSignal, seconds: float | NDArray, label: str) -> ScaledSignal:
        """A signal delayed by whole steps; connections with the same delay share it.

        Raises `BuildError` for a delay that rounds to 0 steps, and for a delay of each synapse.
        """
        if isinstance(seconds, np.ndarray):
            raise BuildError(
                f"{label}: delays by synapse are those of fixed weights between neurons or nodes; "
                "give decoded values and weights that learn one delay, or a connection for each"
            )
        if seconds == 0.0:
            return sent
        steps = round(seconds / self.dt)
        if steps == 0:
            raise self._too_short(seconds, label, "delay=0")
        key = (sent.signal, steps)
        if key not in self._delayed:
            output = self.signal(self.shapes[sent.signal], f"delay of {label}")
            self.operators.append(Delay(f"delay of {label}", (sent.signal,), output, steps))
            self._delayed[key] = output
        return ScaledSignal(self._delayed[key], sent.factor)

    def advanced(self, sent: ScaledSignal, steps: int, label: str) -> ScaledSignal:
        """A signal some steps earlier; connections that read as far ahead share it."""
        if steps == 0:
            return sent
        key = (sent.signal, -steps)
        if key not in self._delayed:
            output = self.signal(self.shapes[sent.signal], f"advance of {label}")
            self.operators.append(Advance(f"advance of {label}", (sent.signal,), output, steps))
            self._delayed[key] = output
        return ScaledSignal(self._delayed[key], sent.factor)

    def carried(self, sent: ScaledSignal, steps: int, label: str) -> ScaledSignal:
        """A signal one window of `steps` steps later."""
        output = self.signal(self.shapes[sent.signal], f"carry of {label}")
        self.operators.append(Carry(f"carry of {label}", (sent.signal,), output, steps))
        return ScaledSignal(output, sent.factor)

    def _too_short(self, seconds: float, label: str, instead: str) -> BuildError:
        return BuildError(
            f"{label}: a delay of {seconds:g} s is less than half a step of {self.dt:g} s; "
            f"take a smaller dt, a longer delay, or {instead}"
        )

    def steps_of(self, seconds: NDArray, label: str) -> NDArray:
        """Delays of synapses in whole steps; raises `BuildError` for one that rounds to 0."""
        steps = np.round(seconds / self.dt).astype(np.int64)
        if not steps.all():
            instead = "a connection of their own for synapses without"
            raise self._too_short(float(seconds[np.argmin(steps)]), label, instead)
        return steps

    def map(
        self,
        sent: ScaledSignal,
        chain: tuple[Transform, ...],
        label: str,
        delays: Mapping[int, NDArray] = NO_DELAYS,
        heights: NDArray | None = None,
    ) -> ScaledSignal:
        """Add a chain of transforms; those that only move and add values pass the factor on.

        `delays` are seconds for each entry of the sparse matrices at these places of the chain;
        `heights` are those of the spikes that its first weights multiply.
        """
        (signal, factor), shape = sent, self.shapes[sent.signal]
        for place, transform in enumerate(chain):
            shape = transform.output_shape(shape)
            output = self.signal(shape, label)
            carried = passthrough_factor(transform)
            if carried is None:
                waits = delays.get(place)
                self.operators.append(
                    self._weights(
                        label, signal, output, transform, factor, delays=waits, heights=heights
                    )
                )
                factor, heights = 1.0, None
            else:
                self.operators.append(Linear(label, (signal,), output, without_factor(transform)))
                factor *= carried
            signal = output
        return ScaledSignal(signal, factor)

    def deliver(
        self, connection: Connection, sent: ScaledSignal, chain: tuple[Transform, ...], cut: int
    ) -> ScaledSignal:
        """The output of a connection, which is filtered and delayed after its first `cut` maps."""
        label, synapse = f"{connection!r}", connection.synapse
        sent = self.map(sent, chain[:cut], label)
        if synapse is not None:
            sent = self.filtered(sent, synapse, f"synapse of {label}", connection)
        sent = self.delayed(sent, connection.delay, label)
        return self.map(sent, chain[cut:], label)

    def encode(self, signal: int, chain: tuple[Transform, ...], label: str) -> ScaledSignal:
        """Add the encoders of a represented vector."""
        before = len(self.operators)
        encoded = self.map(ScaledSignal(signal, 1.0), chain, label)
        self.encoders.update(op.output for op in self.operators[before:])
        return encoded

    def _weights(
        self,
        label: str,
        signal: int,
        output: int,
        transform: Transform,
        factor: float,
        *,
        delays: NDArray | None,
        heights: NDArray | None,
    ) -> Operator:
        """The operator of a transform with weights."""
        if delays is None or not isinstance(transform, Sparse):
            return Linear(label, (signal,), output, transform, factor, heights=heights)
        steps = self.steps_of(delays, label)
        return DelayedLinear(label, (signal,), output, transform, steps, factor)

    def values(self, sent: ScaledSignal, label: str) -> int:
        """The number of a signal of values, into which the factor is multiplied."""
        if np.all(sent.factor == 1.0):
            return sent.signal
        output = self.signal(self.shapes[sent.signal], label)
        each = np.ndim(sent.factor) > 0
        scale, factor = (sent.factor, 1.0) if each else (1.0, float(sent.factor))
        scaled = Linear(label, (sent.signal,), output, Scale(np.asarray(scale)), factor)
        self.operators.append(scaled)
        return output


def _initial_means(synapse: WindowMean, shape: Shape, label: str) -> NDArray:
    """The output of a mean over windows during its first window, in the signal's shape."""
    values = np.array(synapse.initial or (0.0,))
    if len(values) not in (1, np.prod(shape)):
        raise BuildError(
            f"{label}: {len(values)} initial values are neither one nor one for each of {shape}"
        )
    return values.reshape(shape) if len(values) > 1 else np.broadcast_to(values[0], shape)


Receiver = Node | NeuronsView | Ensemble | LearningRule
Sender = Node | NeuronsView | Ensemble
Spiking = Node | NeuronsView
"""Objects that may send counts: populations, and maxima of their spikes."""


class Signals:
    """The signals of a network's objects while it is compiled.

    `input_of` and `output_of` are those of an object, `arriving` the outputs of the connections
    that lead to it, `delivered` the output of one connection. `heights` are those of a population's
    spikes, or of maxima of spikes that differ in height; `factors` are those of junctions that
    carry counts.
    """

    def __init__(self, builder: ProgramBuilder) -> None:
        self.builder = builder
        self.input_of: dict[Receiver, int] = {}
        self.output_of: dict[Sender, int] = {}
        self.arriving: dict[Receiver, list[ScaledSignal]] = {}
        self.delivered: dict[Connection, ScaledSignal] = {}
        self.heights: dict[Spiking, NDArray] = {}
        self.factors: dict[Node, float] = {}
        self._values: dict[tuple[Spiking, int], int] = {}
        self._activities: dict[NeuronsView, int] = {}
        self._smoothed: dict[tuple[int, Synapse], int] = {}

    def value(self, pre: Sender, sent: int | None = None) -> ScaledSignal:
        """The signal that an object sends, with the factor of its values.

        `sent` replaces that signal where it is read at another time.
        """
        source = self.output_of[pre] if sent is None else sent
        if isinstance(pre, Ensemble):
            return ScaledSignal(source, 1.0)
        height = self.heights.get(pre)
        if height is None:
            return ScaledSignal(source, self.factors.get(pre, 1.0))  # type: ignore[arg-type]
        if height.ndim == 0:
            return ScaledSignal(source, float(height))
        if (pre, source) not in self._values:
            signal = self.builder.signal(output_shape(pre), f"values of {pre!r}")
            self.builder.operators.append(
                Linear(f"heights of {pre!r}", (source,), signal, Scale(height))
            )
            self._values[pre, source] = signal
        return ScaledSignal(self._values[pre, source], 1.0)

    def activity(self, neurons: NeuronsView) -> int:
        """A population's output in Hz, `(n,)`, which all learning rules share."""
        if neurons not in self._activities:
            label, size = f"activities of {neurons!r}", math.prod(neurons.shape)
            chain = () if len(neurons.shape) == 1 else (Reshape((size,)),)
            sent = self.builder.map(self.value(neurons), chain, label)
            self._activities[neurons] = self.builder.values(sent, label)
        return self._activities[neurons]

    def smoothed(self, signal: int, synapse: Synapse | None, label: str) -> int:
        """A signal after a filter without delay, which all its readers share."""
        if synapse is None:
            return signal
        key = (signal, synapse)
        if key not in self._smoothed:
            output = self.builder.signal(self.builder.shapes[signal], label)
            filtered = synapse.discretise(self.builder.dt)
            filtered.check_shape(self.builder.shapes[signal], label)
            self.builder.operators.append(Smooth(label, (signal,), output, filtered))
            self._smoothed[key] = output
        return self._smoothed[key]
