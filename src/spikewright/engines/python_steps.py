"""The Python functions and processes that a network calls at every step, and what they may share.

Those that may share something, with each other or with the world, are called in turn: step by step,
in the network's order. One is known to share nothing if it belongs to NumPy or to this library, is
marked `stateless`, or reaches nothing that can change.
"""

from __future__ import annotations

import pickle
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal
from weakref import WeakKeyDictionary

from spikewright._base.process import outside
from spikewright.engines.operators import NodeSource, OfNode, Operator
from spikewright.engines.replay import CallLog, ReplayedFunction
from spikewright.errors import BuildError, SimulationError
from spikewright.network import Network, Node
from spikewright.network.processes import Process
from spikewright.network.python_copies import copied, why_not_copied
from spikewright.network.python_state import PythonState, find_state
from spikewright.network.synapses import Synapse

_ALONE = "run one sample at a time, without batch_size"
_INSTEAD = (
    "keep that in an object that the function holds (a bound method, a closure or "
    f"functools.partial), or {_ALONE}"
)


Turns = Literal["shared", "all", "none"]
"""The Python steps that are called in turn: those that may share something, all, or none."""


def sequential_operators(operators: Sequence[Operator], turns: Turns) -> frozenset[Operator]:
    """The operators that have to be called in turn, if there are more than one."""
    if turns == "none":
        return frozenset()
    found = frozenset(op for op in operators if (turns == "all" and op.by_sample) or _may_share(op))
    return found if len(found) > 1 else frozenset()


def _may_share(op: Operator) -> bool:
    """Whether an operator calls Python that is not known to share nothing."""
    return any(not pure(one.target, *one.methods) for one in op.calls)


def pure(target: Any, *entries: str) -> bool:
    """Whether a function, or these methods of an object, are known to share nothing."""
    return _marked(target) or find_state(target, *entries).pure


def node_may_share(node: Node) -> bool:
    """Whether a node's output is a function that is not known to share nothing."""
    return callable(node.output) and not (node.stateless or pure(node.output))


def _marked(target: Any) -> bool:
    return getattr(target, "stateless", False) is True


class PythonStep:
    """A function or process of one execution: the same for all samples, or a copy for each.

    One with `inputs` may get different values in each sample.
    """

    def __init__(
        self,
        label: str,
        what: str,
        find: Callable[[], Any],
        begin: Callable[[], None] = lambda: None,
        stateless: bool = False,
        inputs: bool = False,
    ) -> None:
        self._marked, self.inputs = stateless, inputs
        self.label, self.what, self._find, self.begin = label, what, find, begin
        self.original: Any = find()
        self.copies: tuple[Any, ...] = (self.original,)  # one, or one for each sample
        self.called: tuple[Any, ...] = self.copies  # the same, as they are called
        self._calls: CallLog | None = None
        self.recorded_functions: list[
            ReplayedFunction
        ] = []  # of the functions that keep their answers

    @property
    def changed(self) -> bool:
        """Whether the network's object has another function now."""
        return self._find() is not self.original

    @property
    def alike(self) -> bool:
        """Whether all samples call the same function."""
        return len(self.copies) == 1

    @property
    def stateless(self) -> bool:
        """Whether the function is marked as one that shares nothing."""
        return self._marked or _marked(self.original)

    def refresh(self) -> None:
        """Use the function that the network's object has now."""
        self.original = self._find()
        self.use((self.original,))

    def use(self, copies: tuple[Any, ...]) -> None:
        """Use these functions, one or one for each sample, from now on."""
        self.copies = copies
        if self._calls is not None:
            self._calls.drop(self.recorded_functions)
            self.recorded_functions.clear()
        whole = self.what == "function"  # of a process its steps are called
        self.called = tuple(map(self.recorded, copies)) if whole else copies

    def record_calls(self, calls: CallLog) -> None:
        """Record the calls of functions from now on."""
        self._calls = calls
        self.use(self.copies)

    def recorded(self, function: Any) -> Any:
        """A function with its calls recorded, if this execution records calls."""
        if self._calls is None:
            return function
        made = self._calls.of(function, self.label)
        self.recorded_functions.append(made)
        return made

    def of(self, sample: int) -> Any:
        """The function of one sample."""
        return self.copies[0 if self.alike else sample]


class Functions:
    """The Python functions of an execution: those of nodes, and their copies for each sample.

    With `calls` their calls are recorded there. Raises `BuildError` naming a function with state
    that cannot be copied for each sample.
    """

    def __init__(
        self,
        steps: Sequence[PythonStep],
        operators: Sequence[Operator],
        samples: int,
        calls: CallLog | None = None,
    ) -> None:
        self.steps, self._samples, self._calls = steps, samples, calls
        nodes = [op.node for op in operators if isinstance(op, OfNode)]
        self._given: dict[Node, Any] = {
            node: node.output for node in nodes if callable(node.output)
        }
        self._sources = [op.node for op in operators if isinstance(op, NodeSource)]
        self._recalled: dict[Node, ReplayedFunction] = {}
        if calls is not None:
            for step in steps:
                step.record_calls(calls)
        copy_functions(steps, operators, samples)

    def of_source(self, node: Node) -> Any:
        """The function of time of a node without input; None if its output is an array."""
        if not callable(node.output):
            return None
        if self._calls is None:
            return node.output
        known = self._recalled.get(node)
        if known is None or known.function is not node.output:
            self._calls.drop([known])
            self._recalled[node] = self._calls.of(node.output, f"{node!r}")
        return self._recalled[node]

    def state(self, apart: bool) -> dict[str, Any]:
        """The functions of all samples, and the recorded calls that are still to be replayed.

        Processes are left out, since their kernels hold their state. With `apart` functions are
        copies. Raises `SimulationError` naming one that cannot be copied.
        """
        own = [step for step in self.steps if step.what == "function"]
        copies = _copies_of(own) if apart else [step.copies for step in own]
        answers = [[one.answers for one in step.recorded_functions] for step in self.steps]
        sources = {node: one.answers for node, one in self._recalled.items()}
        return {"copies": copies, "answers": answers, "sources": sources}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Return to a state."""
        own = (step for step in self.steps if step.what == "function")
        for step, copies in zip(own, state["copies"], strict=True):
            step.use(copies)
        for step, answers in zip(self.steps, state["answers"], strict=True):
            for one, known in zip(step.recorded_functions, answers, strict=True):
                one.answers = known
        for node, known in state["sources"].items():
            self.of_source(node).answers = known

    def failed(self) -> list[str]:
        """Labels of functions whose errors ended the last run, and that may have a state."""
        called = [(one, step.label) for step in self.steps for one in step.recorded_functions]
        called += [(one, f"{node!r}") for node, one in self._recalled.items()]
        return [label for one, label in called if one.failed and not pure(one.function)]

    def clear_error(self) -> None:
        """Let functions whose errors ended the last run be called again for that step."""
        if self._calls is not None:
            self._calls.clear_error()

    def check(self) -> None:
        """Use functions that nodes were given since the last run.

        Raises `SimulationError` if samples would lose the state of theirs, or if the new function
        may share something, so that it would have to be called in turn.
        """
        for node, function in self._given.items():
            if node.output is not function:
                self._take(node, function)
        for step in self.steps:
            if step.changed:
                step.refresh()

    def _take(self, node: Node, before: Any) -> None:
        if self._samples > 1 and node_may_share(node):
            raise SimulationError(
                f"{node!r} has another function than its {self._samples} samples were begun with: "
                "reset() before the next run"
            )
        if node_may_share(node) and pure(before):
            raise SimulationError(
                f"{node!r} has a function now that may share something with another one: reset() "
                "before the next run, which then calls them in turn"
            )
        self._given[node] = node.output


def copy_functions(
    steps: Sequence[PythonStep], operators: Sequence[Operator], samples: int
) -> None:
    """Give every sample its own copies of functions; all copies of a sample share one memo.

    Raises `BuildError` naming a function with state that cannot be copied.
    """
    if samples > 1:
        for op in operators:
            _check_arrays(op, samples)
        _copy([step for step in steps if not step.stateless], samples)
    for step in steps:
        step.begin()


def _copy(steps: Sequence[PythonStep], samples: int) -> None:
    states = [find_state(step.original, *_entries(step.original)) for step in steps]
    for number, why in why_not_copied(states).items():
        step = steps[number]
        remedy = _ALONE if "cannot be copied" in why else _INSTEAD
        raise BuildError(
            f"{step.label}: its {step.what} {why}, so that {samples} samples would share it; "
            f"{remedy}"
        )
    differs = _differing(steps, states)
    steps = [step for step, kept in zip(steps, differs, strict=True) if kept]
    states = [state for state, kept in zip(states, differs, strict=True) if kept]
    try:
        found = copied([step.original for step in steps], states, samples)
    except Exception as error:
        labels = ", ".join(s.label for s, state in zip(steps, states, strict=True) if state.held)
        raise BuildError(
            f"{labels}: what the function holds cannot be copied for each of {samples} samples "
            f"({type(error).__name__}: {error}); {_ALONE}"
        ) from error
    for step, copies in zip(steps, found, strict=True):
        if any(copy is not step.original for copy in copies):
            step.use(copies)


def _copies_of(steps: Sequence[PythonStep]) -> list[tuple[Any, ...]]:
    """Copies of the functions of all samples; all copies of a sample share one memo."""
    made: list[list[Any]] = [[] for _ in steps]
    for sample in range(max((len(step.copies) for step in steps), default=0)):
        targets = [step.of(sample) for step in steps]
        states = [find_state(target) for target in targets]
        marked = {number for number, step in enumerate(steps) if step.stateless}
        for number, why in why_not_copied(states).items():
            if number not in marked:
                raise SimulationError(f"{steps[number].label}: its function {why}: not copied")
        try:
            pairs = copied(targets, states, 2)
        except Exception as error:
            labels = ", ".join(step.label for step in steps)
            raise SimulationError(f"{labels}: cannot be copied ({error})") from error
        for number, step in enumerate(steps):
            if sample < len(step.copies):
                made[number].append(pairs[number][0 if number in marked else 1])
    return [tuple(copies) for copies in made]


def _differing(steps: Sequence[PythonStep], states: Sequence[PythonState]) -> list[bool]:
    """Whether each function may return different values by sample: it has an input, or reaches an
    object that such a function reaches.
    """
    differs = [step.inputs for step in steps]
    known: set[int] = set()
    size = -1
    while size < len(known):
        size = len(known)
        for number, state in enumerate(states):
            differs[number] = differs[number] or not known.isdisjoint(state.reached)
            known.update(state.reached if differs[number] else ())
    return differs


def _entries(target: Any) -> tuple[str, ...]:
    return ("make_state", "make_step") if isinstance(target, Process | Synapse) else ()


_STATELESS: WeakKeyDictionary[Operator, Any] = WeakKeyDictionary()


def _check_arrays(op: Operator, samples: int) -> None:
    """Refuse objects with a state that are called once for all samples, on arrays."""
    for target, methods, shared in op.calls:
        if not shared or _marked(target) or _STATELESS.get(op) is target:
            continue
        state = find_state(target, *methods)
        if state.pure and any(one is target for one in state.kept):  # it never changes
            _STATELESS[op] = target
        if not state.pure and _samples_interact(state):
            raise BuildError(
                f"{op.label}: {target!r} keeps something outside the network, which {samples} "
                f"samples would share; {_ALONE}"
            )


def labels_with_state(operators: Sequence[Operator]) -> list[str]:
    """Labels of operators that call a user's own neuron types, learning rules or node functions,
    which may have a state outside the network.
    """
    called = ((op, one) for op in operators for one in op.calls if one.shared)
    return [op.label for op, one in called if not pure(one.target, *one.methods)]


def _samples_interact(state: PythonState) -> bool:
    """Whether the results of one sample may change those of another."""
    shared = any(not state.looked_at(one.value) for one in state.shared)
    return bool(state.wrong or state.rebinds or shared or (state.assigns and state.held))


def check_pickled(network: Network) -> None:
    """Raise `SimulationError` naming an object of the network with a function that has no pickle.

    Warns of functions of nodes that keep something outside themselves: they are pickled by name.
    """
    for owner, name, function in _functions(network):
        try:
            pickle.dumps(function)
        except Exception as error:
            raise SimulationError(
                f"{owner!r}: its {name} cannot be pickled ({type(error).__name__}: {error}). Give "
                "a function of a module, or an object of a class of a module"
            ) from error
        by_name = isinstance(function, types.FunctionType)
        if by_name and isinstance(owner, Node) and not (owner.stateless or pure(function)):
            warnings.warn(
                f"{owner!r}: its function is pickled by name, without what it keeps outside "
                "itself; keep that in an object whose method is the function",
                stacklevel=outside(),
            )


def _functions(network: Network) -> Iterator[tuple[Any, str, Any]]:
    """The functions of a network's objects: object, attribute, function."""
    objects = (*network.all_nodes, *network.all_ensembles, *network.all_connections)
    for owner in objects:
        for name, value in vars(owner).items():
            if callable(value) and not isinstance(value, type):
                yield owner, "function" if name == "output" else name.lstrip("_"), value
