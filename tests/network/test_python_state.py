"""State that Python functions reach beside their arguments, and copies of it."""

from __future__ import annotations

import functools
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import spikewright as sw
from conformance.rule_examples import rule_examples
from spikewright.engines.python_steps import pure
from spikewright.errors import BuildError
from spikewright.network.python_copies import copied, why_not_copied
from spikewright.network.python_state import find_state
from spikewright.testing.layers import function_examples
from spikewright.testing.modelling import neuron_type_examples

LOG: list[float] = []
TABLE = np.arange(5.0)
RATE = 2.0
GENERATOR = np.random.default_rng(0)


class Counter:
    """State of an object, and of its class."""

    log: ClassVar[list[float]] = []
    total = 0

    def __init__(self) -> None:
        self.count = 0

    def own(self, t: float) -> int:
        """The object's."""
        self.count += 1
        return self.count

    def shared(self, t: float) -> int:
        """The class's, in a list."""
        self.log.append(t)
        return len(self.log)

    def named(self, t: float) -> int:
        """The class's, by its name."""
        Counter.total += 1
        return Counter.total

    def typed(self, t: float) -> int:
        """The class's, by the object's type."""
        type(self).total += 1
        return self.total

    @classmethod
    def method(cls, t: float) -> int:
        """The class's, by a method of its own."""
        cls.total += 1
        return cls.total

    def by_helper(self, t: float) -> int:
        """The class's, by another method."""
        return self.shared(t)


def helper(x: float) -> Any:
    """A function that keeps nothing."""
    return np.sqrt(abs(x)) + 1.0


def writer(t: float) -> float:
    """A function that writes into a list of the module."""
    LOG.append(t)
    return t


def importing(t: float) -> float:
    """A function that asks for a module by itself."""
    import random as chance

    return chance.random()


def drawing_by_another_name(t: float) -> float:
    """NumPy in a variable."""
    library = np
    return float(library.random.rand())


@functools.cache
def cached(t: float) -> float:
    """A function whose results are kept."""
    return t + 1.0


@functools.cache
def cached_writer(t: float) -> float:
    """The same of one that leaves something."""
    return writer(t)


@dataclass(frozen=True)
class Leaky(sw.LIF):
    """A user's neurons, without state of their own."""

    leak: float = 0.5

    def step(self, xp: Any, current: Any, state: Any, clock: Any) -> Any:
        """The step of the base, of a smaller current."""
        return super().step(xp, self.smaller(current), state, clock)

    def smaller(self, current: Any) -> Any:
        """Half the current."""
        return current * self.leak


@dataclass(frozen=True)
class Frozen:
    """An object that changes nevertheless."""

    calls: int = 0

    def count(self, t: float) -> int:
        """Go around what freezes it."""
        object.__setattr__(self, "calls", self.calls + 1)
        return self.calls


NETWORK = sw.Network(seed=1)


def enclosed() -> Callable[[float], float]:
    """A function with a number around it, which others could rebind."""
    rate = 2.0
    return lambda t: rate * t


PURE: dict[str, Any] = {
    "a function of NumPy": np.sin,
    "NumPy and numbers": lambda t: [np.sin(2.0 * math.pi * t), 1.0],
    "a part of NumPy's library": lambda t: np.linalg.norm([t, 1.0]),
    "the input": lambda t, x: x**2 + max(x.sum(), 0.0),
    "an array of its own": lambda t: np.zeros(3),
    "a function that is called": lambda t: helper(t),
    "a default that cannot change": lambda t, rate=2.0: rate * t,
    "partial": functools.partial(lambda rate, t: rate * t, 2.0),
    "a cached function": lambda t: cached(t),
    "a synapse": sw.Lowpass(0.1),
    "an error that is raised": lambda t: float("nan") if t < 0 else ValueError("no"),
}
IMPURE: dict[str, Any] = {
    "a list of the module": lambda t: LOG.append(t),
    "a list by a function that is called": lambda t: writer(t),
    "a list by a cached function": lambda t: cached_writer(t),
    "a number of the module": lambda t: RATE * t,
    "a number of a closure": enclosed(),
    "an array of the module": lambda t: TABLE[int(t)],
    "a generator of the module": lambda t: GENERATOR.normal(),
    "NumPy's own generator": lambda t: np.random.rand(),
    "NumPy's by another name": drawing_by_another_name,
    "Python's generator": lambda t: random.random(),
    "a module that is imported": importing,
    "the clock": lambda t: time.time(),
    "a file": lambda t: np.load("numbers.npy"),
    "a file of an array": lambda t, x: x.tofile("numbers"),
    "an object": Counter().own,
    "an object that is made": lambda t: Counter().own(t),
    "a method of a list": LOG.append,
    "vectorize": np.vectorize(writer),
    "frompyfunc": np.frompyfunc(writer, 1, 1),
    "a network": lambda t: float(NETWORK.seed),
    "a frozen object that changes": Frozen().count,
    "eval": lambda t: eval("LOG"),
}


@pytest.mark.parametrize("function", PURE.values(), ids=PURE)
def test_functions_of_their_arguments_are_known(function: Any) -> None:
    """Nothing that they reach can change."""
    assert find_state(function).pure


@pytest.mark.parametrize("function", IMPURE.values(), ids=IMPURE)
def test_what_may_change_is_state(function: Any) -> None:
    """Whatever the way to it."""
    assert not find_state(function).pure


def test_neurons_of_a_user_that_hold_numbers_alone_are_known() -> None:
    """Methods that they call are looked at, in the base class too."""
    assert find_state(Leaky(), "step").pure


def test_neurons_of_a_user_that_count_are_not() -> None:
    """Though parameters of their base, all neuron types', cannot be set."""

    class Counts(sw.NeuronType):
        calls = 0

        def step(self, xp: Any, current: Any, state: Any, clock: Any) -> Any:
            self.calls += 1
            return current * self.calls

    assert not find_state(Counts(), "step").pure


REFUSED: dict[str, tuple[Any, str]] = {
    "a list": (lambda t: LOG.append(t), "reads the global 'LOG'"),
    "a helper": (lambda t: writer(t), "reads the global 'LOG'"),
    "chance": (lambda t: np.random.rand(), r"reads the global 'np\.random\.rand'"),
    "a list of the class": (Counter().shared, r"reads the class attribute Counter\.log"),
    "a list by a helper": (Counter().by_helper, r"reads the class attribute Counter\.log"),
    "a number of the class": (Counter().named, r"writes Counter\.total"),
    "a number of the type": (Counter().typed, r"writes Counter\.total"),
    "a method of the class": (Counter.method, r"writes Counter\.total"),
}


@pytest.mark.parametrize(("function", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_no_copy_can_have_to_itself_is_refused(function: Any, reason: str) -> None:
    """The reason names the variable, and the message what to do instead."""
    with sw.Network() as net:
        sw.Node(function, size_out=1, label="culprit")
    with pytest.raises(BuildError, match=f"'culprit'.*function {reason}.*2 samples.*closure"):
        sw.Simulator(net, batch_size=2)


def test_arrays_that_no_function_changes_are_shared() -> None:
    """Where one of the functions changes an array, all get copies of it."""
    table, line = np.arange(3.0), [0.0]
    reads = functools.partial(lambda table, t: table[int(t)], table)
    keeps = functools.partial(lambda line, t: (line.append(t), line.pop(0))[1], line)
    both = [reads, keeps]
    (one, other), (first, second) = copied(both, [find_state(f) for f in both], 2)
    assert one is other is reads
    assert (first, second.args[0] is line) == (keeps, False)

    changes = functools.partial(lambda table, t: table.fill(t), table)
    (_, copy), (_, changed) = copied([reads, changes], [find_state(f) for f in (reads, changes)], 2)
    assert copy.args[0] is changed.args[0] is not table


def test_the_librarys_own_parts_are_known() -> None:
    """Neuron types, learning rules and functions of nodes, whatever they are made of."""
    unknown = [e.id for e in neuron_type_examples() if not pure(e.neuron_type, "step")]
    unknown += [e.id for e in rule_examples() if not pure(e.rule, "delta", "initial_state")]
    unknown += [e.id for e in function_examples() if not pure(e.function, "apply", "reached")]

    assert unknown == []


def test_a_global_that_one_function_changes_is_refused_for_all_that_read_it() -> None:
    """Looking at it is fine as long as nobody writes."""

    def fills(t: float) -> None:
        TABLE[0] = t

    reads = find_state(lambda t: TABLE[1])
    assert why_not_copied([reads]) == {}
    assert list(why_not_copied([reads, find_state(fills)])) == [0, 1]


@pytest.mark.parametrize("example", neuron_type_examples(), ids=lambda example: example.id)
def test_the_librarys_neurons_are_known(example: Any) -> None:
    """Whatever they are made of, they run in blocks."""
    assert pure(example.neuron_type, "step")


@pytest.mark.parametrize("example", rule_examples(), ids=lambda example: example.id)
def test_the_librarys_rules_are_known(example: Any) -> None:
    """The same of learning rules."""
    assert pure(example.rule, "delta", "initial_state")


@pytest.mark.parametrize("example", function_examples(), ids=lambda example: example.id)
def test_the_librarys_functions_of_nodes_are_known(example: Any) -> None:
    """The same of functions of nodes, the source's own code among them."""
    assert pure(example.function, "apply", "reached")
