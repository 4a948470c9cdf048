"""A program's time step as an ONNX graph: operator by operator, states in and states out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, ValueInfoProto, helper

from spikewright.engines.kernels import scaled_sum
from spikewright.engines.operators import (
    Apply,
    Delay,
    Filter,
    Generate,
    Linear,
    NodeSource,
    Operator,
    ScaledSum,
    Smooth,
)
from spikewright.engines.populations import Neurons
from spikewright.engines.program import Program
from spikewright.engines.windows import Average
from spikewright.errors import Refusal
from spikewright.exchange.onnx.functions import OnnxArray, OnnxFunctions, OnnxWriter, Shape
from spikewright.exchange.onnx.maps import MAPS, MOVES, Bounds, OnnxSignal, applied
from spikewright.network import Node, NodeFunction
from spikewright.network.neurons import Clock, no_draws
from spikewright.network.node_functions import Lookup, PythonCall
from spikewright.network.processes import EachStep

STEP, BATCH = "step", "batch"
NEXT = "next "
"""The beginning of a state's name where it comes out."""


class OnnxState(OnnxArray):
    """A state as a step begins; the model calls it `called`."""

    def __init__(self, writer: OnnxWriter, name: str, shape: Shape, called: str) -> None:
        super().__init__(writer, name, shape)
        self.called = called


@dataclass(eq=False)
class OnnxStep:
    """The graph under construction: signals, states and what came out of each operator.

    `counter` names the input that counts steps.
    """

    program: Program
    counter: str = STEP
    writer: OnnxWriter = field(default_factory=OnnxWriter)
    inputs: list[ValueInfoProto] = field(default_factory=list)
    outputs: list[ValueInfoProto] = field(default_factory=list)
    signals: dict[int, OnnxSignal] = field(default_factory=dict)
    states: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.xp: Any = OnnxFunctions(self.writer)
        self.inputs.append(helper.make_tensor_value_info(self.counter, TensorProto.INT64, []))
        self._since: dict[int | None, OnnxArray] = {}

    def since(self, every: int | None) -> OnnxArray:
        """Steps since the state began, from 0: a whole number in float64."""
        if every not in self._since:
            name = self.counter
            if every is not None:
                name = self.writer.node(
                    "Mod", [self.counter, self.writer.constant(every, np.int64)]
                )
            self._since[every] = OnnxArray(self.writer, name, ()).cast(TensorProto.DOUBLE)
        return self._since[every]

    def clock_of(self, every: int | None) -> _Clock:
        """The clock of the whole run, or of every so many steps."""
        now: Any = self.since(every) + 1.0
        return _Clock(now, self.program.dt, 1.0, no_draws)

    def given(self, name: str, shape: Shape) -> OnnxArray:
        """An input in single precision, `(batch, *shape)`."""
        kind = TensorProto.FLOAT
        self.inputs.append(helper.make_tensor_value_info(name, kind, [BATCH, *shape]))
        found: OnnxArray = OnnxArray(self.writer, name, (1, *shape)).cast(TensorProto.DOUBLE)
        return found

    def state(self, name: str, shape: Shape, initial: Any, every: int | None = None) -> OnnxState:
        """A state as it came in, or its initial value at the first step (of every so many)."""
        if name in self.states:
            name = f"{name} {len(self.states)}"
        self.states.append(name)
        kind = TensorProto.DOUBLE
        self.inputs.append(helper.make_tensor_value_info(name, kind, [BATCH, *shape]))
        before = OnnxArray(self.writer, name, (1, *shape))
        value = np.broadcast_to(np.asarray(initial, np.float64), shape)
        begins = self.since(every) == 0.0
        return OnnxState(
            self.writer, begins.make("Where", value[None], before).name, (1, *shape), name
        )

    def goes_on(self, before: OnnxState, after: OnnxArray) -> None:
        """The value that a state has for the next step."""
        name = f"{NEXT}{before.called}"
        self.writer.named(after.name, name)
        shape = [BATCH, *before.shape[1:]]
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.DOUBLE, shape))

    def output(self, name: str, value: OnnxArray) -> None:
        """A value that comes out of every step."""
        self.writer.named(value.name, name)
        shape = [BATCH, *value.shape[1:]]
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.DOUBLE, shape))

    def zeros(self, op: Operator) -> OnnxArray:
        """Zeros of the shape of an operator's output."""
        return self.constant(np.zeros(self.program.shapes[op.output]))

    def constant(self, array: NDArray) -> OnnxArray:
        """A constant signal, `(1, *shape)`."""
        value = np.asarray(array, np.float64)[None]
        return OnnxArray(self.writer, self.writer.constant(value), value.shape)


def written(program: Program, inputs: Mapping[Node, str]) -> OnnxStep:
    """The step of a program whose nodes in `inputs` are given."""
    counter = STEP
    while counter in inputs.values():  # a diffusion model may have an input of this name
        counter = f"{counter} number"
    step = OnnxStep(program, counter)
    late: list[Callable[[], None]] = []
    for op in program.operators:  # what a step begins with does not wait for its inputs
        if type(op) in _DELAYED:
            late.append(_DELAYED[type(op)](step, op))
    for op in program.operators:
        if type(op) not in _DELAYED:
            _NOW[type(op)](step, op, inputs)
    for finish in late:
        finish()
    return step


def refusals(program: Program, inputs: Mapping[Node, str]) -> list[Refusal]:
    """Operators that a step in ONNX cannot say, each with what would help."""
    found = [_refusal(op, inputs) for op in program.operators]
    return [refusal for refusal in found if refusal is not None]


def _refusal(op: Operator, inputs: Mapping[Node, str]) -> Refusal | None:
    name, kind = op.label or type(op).__name__, type(op).__name__
    if isinstance(op, NodeSource) and op.node not in inputs and callable(op.node.output):
        reason = "its value is a Python function of time"
        return Refusal(name, kind, reason, "Give the node constant values: they become an input")
    if isinstance(op, Generate) and not isinstance(op.process, EachStep):
        return Refusal(name, kind, "a process draws its values in Python")
    if isinstance(op, Apply):
        function = op.node.output
        if not isinstance(function, NodeFunction) or isinstance(function, PythonCall):
            return Refusal(name, kind, "it calls Python code", "")
    if isinstance(op, Neurons) and op.neuron_type.stochastic:
        reason = f"{type(op.neuron_type).__name__} draws random numbers"
        return Refusal(name, kind, reason, "Choose neurons without chance")
    if isinstance(op, Linear) and type(op.transform) not in {*MAPS, *MOVES}:
        return Refusal(name, kind, f"{type(op.transform).__name__} is unknown here")
    if type(op) not in {*_NOW, *_DELAYED}:
        return Refusal(name, kind, _ABSENT.get(kind, "it is unknown here"))
    return None


_ABSENT = {
    "Learned": "weights that change at every step have no form here",
    "DelayedLinear": "delays of single synapses have no form here; delays of connections do",
}


def _source(step: OnnxStep, op: NodeSource, inputs: Mapping[Node, str]) -> None:
    if op.node in inputs:
        value = step.given(inputs[op.node], op.node.shape_out)
    else:
        value = step.constant(np.asarray(op.node.output))
    if op.node.at_once > 1 or op.node.once:
        clock = step.clock_of(op.repeats)
        share = clock.within(1) * float(op.node.at_once)
        if not op.node.once:
            share = share + (1.0 - clock.within(int(op.node.at_once)))
        value = value * share
    step.signals[op.output] = OnnxSignal(value)


def _each_step(step: OnnxStep, op: Generate, inputs: Mapping[Node, str]) -> None:
    """One of the values in each of the first steps, and zero after them: sums of differences."""
    assert isinstance(op.process, EachStep)
    shape = step.program.shapes[op.output]
    values = op.process.values
    value = step.zeros(op)
    for number, fall in enumerate(-np.diff(values, axis=0, append=0.0 * values[:1]), 1):
        if fall.any():
            each = np.ascontiguousarray(np.broadcast_to(fall, shape))
            value = value + step.constant(each) * step.clock_of(None).within(number)
    step.signals[op.output] = OnnxSignal(value)


def _linear(step: OnnxStep, op: Linear, inputs: Mapping[Node, str]) -> None:
    x = step.signals[op.inputs[0]]
    step.signals[op.output] = applied(op, x, step.xp, step.program.precision)


def _sum(step: OnnxStep, op: ScaledSum, inputs: Mapping[Node, str]) -> None:
    values = [step.signals[i].values for i in op.inputs]
    step.signals[op.output] = OnnxSignal(scaled_sum(op, values or [step.zeros(op)]))


def _neurons(step: OnnxStep, op: Neurons, inputs: Mapping[Node, str]) -> None:
    kind, shape, every = op.neuron_type, op.ensemble.shape, op.restart
    initial: dict[str, Any] = dict(op.initial_state)
    if kind.has_voltage:
        initial["voltage"] = op.initial_voltage
    before = {
        name: step.state(f"{op.ensemble.label or op.label}.{name}", shape, value, every)
        for name, value in initial.items()
    }
    state: dict[str, Any] = dict(before)
    current, now = step.signals[op.inputs[0]].values, step.since(every) + 1.0
    clock: Any = _Clock(now, step.program.dt, op.threshold, no_draws)
    sent = kind.step(step.xp, current, state, clock)
    for name, value in before.items():
        step.goes_on(value, state[name])
    step.signals[op.output] = OnnxSignal(sent, _bounds(op))
    for name, signal in op.states.items():
        step.signals[signal] = OnnxSignal(state[name])


class _Clock(Clock):
    """A clock whose step is a symbol."""

    def within(self, steps: int) -> Any:
        """See `Clock`."""
        now: Any = self.step
        return (now <= float(steps)).cast(TensorProto.DOUBLE)

    def listed(self, values: Sequence[float], last: float) -> Any:
        """See `Clock`: a sum of differences."""
        falls = (before - after for before, after in pairwise((*values, last)))
        return last + sum(fall * self.within(i) for i, fall in enumerate(falls, 1) if fall)


def _bounds(op: Neurons) -> Bounds | None:
    """The numbers of spikes that a population may send in a step, where a cap bounds them.

    Those that receivers take as sent are among them.
    """
    kind = op.neuron_type
    first = (kind.start or 0) + 1
    least, most = kind.most_spikes, kind.most_in(first)
    if not kind.spiking or least is None or most is None:
        return None
    return Bounds(-least * kind.height_at(first) if kind.negative else 0, most)


def _apply(step: OnnxStep, op: Apply, inputs: Mapping[Node, str]) -> None:
    function: Any = op.node.output
    if isinstance(function, Lookup):  # a number without a row takes the nearest one
        function = Lookup(function.table, function.accumulate)
    x = step.signals[op.inputs[0]].values
    if not function.accumulate:
        step.signals[op.output] = OnnxSignal(function.apply(step.xp, x))
        return
    sums = step.state(f"{op.label}.sums", op.node.shape_in, 0.0, op.restart)
    sent = step.state(f"{op.label}.sent", op.node.shape_out, 0.0, op.restart)
    reached = sums + x
    t = op.mean_over(step.since(op.restart) + 1.0)
    value = function.reached(step.xp, reached, t, sent)
    step.signals[op.output] = OnnxSignal(value - sent)
    step.goes_on(sums, reached)
    step.goes_on(sent, value)


def _filter(step: OnnxStep, op: Filter) -> Callable[[], None]:
    """A synapse: it passes on the output of the step before."""
    shape = step.program.shapes[op.output]
    states = [step.state(f"{op.label}.{i}", shape, 0.0) for i in range(op.filter.order)]
    held = step.state(f"{op.label}.output", shape, 0.0)
    step.signals[op.output] = OnnxSignal(held)

    def finish() -> None:
        u = step.signals[op.inputs[0]].values
        after, output = op.filter.by_line(states, u, step.zeros(op))
        for old, new in zip([*states, held], [*after, output], strict=True):
            step.goes_on(old, new)

    return finish


def _smooth(step: OnnxStep, op: Smooth, inputs: Mapping[Node, str]) -> None:
    shape = step.program.shapes[op.output]
    states = [step.state(f"{op.label}.{i}", shape, 0.0) for i in range(op.filter.order)]
    after, output = op.filter.by_line(states, step.signals[op.inputs[0]].values, step.zeros(op))
    for old, new in zip(states, after, strict=True):
        step.goes_on(old, new)
    step.signals[op.output] = OnnxSignal(output)


def _delay(step: OnnxStep, op: Delay) -> Callable[[], None]:
    """Values wait in a queue, `(batch, steps, *shape)`, the oldest first."""
    shape = step.program.shapes[op.output]
    queue = step.state(f"{op.label}.waiting", (op.steps, *shape), 0.0)
    step.signals[op.output] = OnnxSignal(queue[:, 0])

    def finish() -> None:
        u = step.signals[op.inputs[0]].values
        newest: Any = (u + step.zeros(op)).reshape(1, 1, *shape)
        if op.steps > 1:
            rest = queue[:, 1:]
            joined = step.writer.node("Concat", [rest.name, newest.name], axis=1)
            newest = OnnxArray(step.writer, joined, queue.shape)
        step.goes_on(queue, newest)

    return finish


def _average(step: OnnxStep, op: Average) -> Callable[[], None]:
    """The mean of every window, passed on in the next one."""
    shape = step.program.shapes[op.output]
    sums = step.state(f"{op.label}.sum", shape, 0.0)
    mean = step.state(f"{op.label}.mean", shape, op.initial)
    step.signals[op.output] = OnnxSignal(mean)

    def finish() -> None:
        total = sums + step.signals[op.inputs[0]].values
        full = step.since(op.steps) == float(op.steps - 1)
        step.goes_on(mean, full.make("Where", total / float(op.steps), mean))
        step.goes_on(sums, full.make("Where", step.zeros(op), total))

    return finish


_NOW: dict[type[Operator], Any] = {
    Apply: _apply,
    Generate: _each_step,
    Linear: _linear,
    Neurons: _neurons,
    Smooth: _smooth,
    NodeSource: _source,
    ScaledSum: _sum,
}
_DELAYED: dict[type[Operator], Any] = {Average: _average, Delay: _delay, Filter: _filter}
