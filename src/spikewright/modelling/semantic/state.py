"""Modules that represent: pointers that are held or added, stimuli, numbers, functions."""

from __future__ import annotations

import math
import string
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError
from spikewright.modelling.networks import EnsembleArray
from spikewright.modelling.semantic.module import Module, as_vocabulary
from spikewright.modelling.semantic.pointer import SemanticPointer
from spikewright.modelling.semantic.vocabulary import End, Vocabulary
from spikewright.network import Connection, Node
from spikewright.network.shapes import as_value, count, number

_LARGEST_PART = 16
# `k` of `d` values of a random direction are sqrt(k / d) long, give or take sqrt(1 / (2 d)): this
# is two deviations more.
_HEADROOM = 1.5


class State(Module):
    """Represents a pointer: an ensemble for every `subdimensions` of its values.

    `n_neurons` are for each dimension. `feedback` 1 remembers the input, with a lowpass filter of
    `feedback_synapse` seconds in the loop; below 1 the memory decays, at 0 the state follows its
    input (None: 0, of a `Memory` 1). `subdimensions` (None: the largest divisor up to 16) divides
    the vocabulary's dimensions. `ens_kwargs` are further arguments of every `Ensemble`.
    """

    default_feedback = 0.0

    def __init__(
        self,
        vocabulary: Vocabulary,
        n_neurons: int = 50,
        subdimensions: int | None = None,
        feedback: float | None = None,
        feedback_synapse: Any = 0.1,
        label: str | None = None,
        seed: int | None = None,
        **ens_kwargs: Any,
    ) -> None:
        super().__init__(label, seed)
        self.vocabulary = as_vocabulary(vocabulary, f"{self!r}: vocabulary")
        d = self.vocabulary.dimensions
        part = _largest_part(d) if subdimensions is None else subdimensions
        part = count(part, f"{self!r}: subdimensions")
        if d % part:
            divisors = [k for k in range(1, d + 1) if d % k == 0]
            raise NetworkError(
                f"{self!r}: subdimensions must divide {d}, got {part}; there are {divisors}"
            )
        given = self.default_feedback if feedback is None else feedback
        kept = number(given, f"{self!r}: feedback")
        radius = min(1.0, (math.sqrt(part) + _HEADROOM) / math.sqrt(d))
        with self:
            self.state_ensembles = EnsembleArray(
                count(n_neurons, f"{self!r}: n_neurons") * part,
                d // part,
                part,
                label=self.name,
                **{"radius": radius, **ens_kwargs},
            )
            self.input, self.output = self.state_ensembles.input, self.state_ensembles.output
            if kept != 0:
                Connection(self.output, self.input, feedback_synapse, transform=kept)
        self.inputs["input"] = End(self.input, self.vocabulary)
        self.outputs["output"] = End(self.output, self.vocabulary)


class Memory(State):
    """A `State` that remembers: `feedback` is 1 unless it is given."""

    default_feedback = 1.0


def _largest_part(d: int) -> int:
    return max(k for k in range(1, min(d, _LARGEST_PART) + 1) if d % k == 0)


class Superposition(State):
    """A `State` of the sum of its inputs, which are `a`, `b` and so on.

    Every input takes pointers of the vocabulary; further arguments are those of `State`.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        n_inputs: int = 2,
        n_neurons: int = 50,
        label: str | None = None,
        seed: int | None = None,
        **state_kwargs: Any,
    ) -> None:
        super().__init__(vocabulary, n_neurons, label=label, seed=seed, **state_kwargs)
        n, most = count(n_inputs, f"{self!r}: n_inputs"), len(string.ascii_lowercase)
        if n > most:
            raise NetworkError(f"{self!r}: n_inputs is at most {most}, got {n_inputs!r}")
        self.inputs.clear()
        with self:
            for name in string.ascii_lowercase[:n]:
                node = Node(size_in=self.vocabulary.dimensions, label=f"{name} of {self.name}")
                Connection(node, self.input, None)
                setattr(self, name, node)
                self.inputs[name] = End(node, self.vocabulary)


class Stimulus(Module):
    """Sends the value of an expression, as `"A * B"`, or of a function of time `t -> expression`.

    `t` is in seconds, `"0"` is the zero vector. An expression is read at its first use, so that an
    unknown name in a function ends the run; that of time 0 is read at once.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        value: str | Callable[[float], str],
        label: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(label, seed)
        self.vocabulary = as_vocabulary(vocabulary, f"{self!r}: vocabulary")
        if not (isinstance(value, str) or callable(value)):
            raise NetworkError(
                f"{self!r}: value must be an expression or a function of time, got {value!r}"
            )
        shown = (
            self.vocabulary.parse(value).v
            if isinstance(value, str)
            else _Shown(self.vocabulary, value)
        )
        if callable(shown):
            shown(0.0)
        with self:
            self.output = Node(
                shown, size_out=None if isinstance(value, str) else self.vocabulary.dimensions,
                label=self.name,
            )  # fmt: skip
        self.outputs["output"] = End(self.output, self.vocabulary)


class _Shown:
    """The vectors of a function of time, each expression read once."""

    def __init__(self, vocabulary: Vocabulary, value: Callable[[float], str]) -> None:
        self.vocabulary, self.value = vocabulary, value
        self.known: dict[str, NDArray] = {}

    def __call__(self, t: float) -> NDArray:
        text = self.value(t)
        if not isinstance(text, str):
            raise NetworkError(f"an Input's function must give text, got {text!r} at t = {t:g} s")
        if text not in self.known:
            self.known[text] = np.array(self.vocabulary.parse(text).v)
        return self.known[text]


class Transcode(Module):
    """Applies a Python function to a pointer at every step, without neurons.

    `function` is called as `f(t, pointer)`, or as `f(t)` without `input_vocabulary`; `t` is in
    seconds. With `output_vocabulary` it returns a pointer, its values, or an expression such as `"A
    * B"`, which is read at its first use; without, a number.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        input_vocabulary: Vocabulary | None = None,
        output_vocabulary: Vocabulary | None = None,
        label: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(label, seed)
        if not callable(function):
            raise NetworkError(f"{self!r}: function must be callable, got {function!r}")
        known = []
        for name, vocabulary in (("input", input_vocabulary), ("output", output_vocabulary)):
            what = f"{self!r}: {name}_vocabulary"
            known.append(None if vocabulary is None else as_vocabulary(vocabulary, what))
        self.input_vocabulary, self.output_vocabulary = known
        self.function = function
        self._read: dict[str, NDArray] = {}
        with self:
            self.node = Node(
                self._called,
                size_in=None if known[0] is None else known[0].dimensions,
                size_out=1 if known[1] is None else known[1].dimensions,
                label=self.name,
            )
        self.output = self.node
        self.outputs["output"] = End(self.output, self.output_vocabulary)
        if known[0] is not None:
            self.input = self.node
            self.inputs["input"] = End(self.input, known[0])

    def _called(self, t: float, *x: NDArray) -> NDArray:
        """The values of the function's result."""
        made = self.function(t, *map(SemanticPointer, x))
        if isinstance(made, str) and self.output_vocabulary is not None:
            if made not in self._read:
                self._read[made] = np.array(self.output_vocabulary.parse(made).v)
            return self._read[made]
        return as_value(made.v if isinstance(made, SemanticPointer) else made)
