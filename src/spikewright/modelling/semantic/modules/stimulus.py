"""Pointers from outside, over time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError
from spikewright.modelling.semantic.ends import End
from spikewright.modelling.semantic.module import Module, as_vocabulary
from spikewright.modelling.semantic.vocabulary import Vocabulary
from spikewright.network import Node


class Input(Module):
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
