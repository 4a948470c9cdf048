"""Cells of the field's standard equations, from weights whose gates stand in any order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.unrolling.cells import GRUCell, Linear, LSTMCell, SimpleCell
from spikewright.graph.clipping import Steps


class Weights(NamedTuple):
    """The weights of one cell: `(gates units, inputs)`, `(gates units, units)` and biases.

    `fed_back_bias` is a second bias, which is added to the first; a reset gate acts on it.
    """

    given: NDArray
    fed_back: NDArray
    bias: NDArray | None = None
    fed_back_bias: NDArray | None = None

    def rows(self, *which: int, of: int, reset: bool = False) -> Linear:
        """The weights of some of `of` gates; those that are `reset` have the first bias only."""
        n = len(self.given) // of
        chosen = np.concatenate([np.arange(n) + gate * n for gate in which])
        bias = self.bias
        if bias is not None and self.fed_back_bias is not None and not reset:
            bias = bias + self.fed_back_bias
        return Linear(
            self.given[chosen], self.fed_back[chosen], None if bias is None else bias[chosen]
        )


def simple(weights: Weights, function: Steps) -> SimpleCell:
    """Elman's cell."""
    return SimpleCell(weights.rows(0, of=1), function)


def lstm(
    weights: Weights,
    order: str,
    gate: Steps,
    function: Steps,
    output: Steps,
    peepholes: NDArray | None = None,
    projection: NDArray | None = None,
) -> LSTMCell:
    """An LSTM whose rows are those of `i`, `f`, `g` (the candidate) and `o` in this order."""
    i, f, g, o = (order.index(letter) for letter in "ifgo")
    gates, candidate = weights.rows(i, f, o, of=4), weights.rows(g, of=4)
    return LSTMCell(gates, candidate, gate, function, output, peepholes, projection)


def gru(weights: Weights, order: str, gate: Steps, function: Steps, reset_after: bool) -> GRUCell:
    """A GRU whose rows are those of `z` (update), `r` and `n` (the candidate) in this order."""
    z, r, n = (order.index(letter) for letter in "zrn")
    inner = None
    if reset_after and weights.fed_back_bias is not None:
        inner = np.split(weights.fed_back_bias, 3)[n]
    candidate = weights.rows(n, of=3, reset=reset_after)
    return GRUCell(weights.rows(z, r, of=3), candidate, gate, function, reset_after, inner)
