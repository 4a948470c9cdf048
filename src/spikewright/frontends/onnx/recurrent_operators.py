"""RNN, LSTM and GRU for ONNX's reference evaluator, whose own know one direction and few options.

They loop over time as the standard's equations read, and know every direction, layout, function and
clip. `operators.py` lists them with the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Function = Callable[[NDArray], NDArray]


def rnn(self: Any, x: NDArray, *operands: NDArray | None, **settings: Any) -> tuple[NDArray, ...]:
    """`h' = f(W x + R h + b)`."""

    def step(call: _Call, now: NDArray, states: list[NDArray]) -> list[NDArray]:
        (function,) = call.functions
        return [function(now @ call.w.T + states[0] @ call.r.T + call.bias)]

    return _run(self, step, ("Tanh",), x, operands, settings)


def gru(self: Any, x: NDArray, *operands: NDArray | None, **settings: Any) -> tuple[NDArray, ...]:
    """With the reset before or behind the recurrent product."""

    def step(call: _Call, now: NDArray, states: list[NDArray]) -> list[NDArray]:
        (h,) = states
        gate, function = call.functions
        n = h.shape[-1]
        w, r = np.split(call.w, 3), np.split(call.r, 3)
        wb, rb = np.split(call.biases[: 3 * n], 3), np.split(call.biases[3 * n :], 3)
        update, reset = (gate(now @ w[i].T + h @ r[i].T + wb[i] + rb[i]) for i in range(2))
        if settings.get("linear_before_reset"):
            past = reset * (h @ r[2].T + rb[2])
        else:
            past = (reset * h) @ r[2].T + rb[2]
        return [(1 - update) * function(now @ w[2].T + past + wb[2]) + update * h]

    return _run(self, step, ("Sigmoid", "Tanh"), x, operands, settings)


def lstm(self: Any, x: NDArray, *operands: NDArray | None, **settings: Any) -> tuple[NDArray, ...]:
    """With peepholes."""

    def step(call: _Call, now: NDArray, states: list[NDArray]) -> list[NDArray]:
        h, c = states
        gate, function, output = call.functions
        into, out, forget, fresh = np.split(now @ call.w.T + h @ call.r.T + call.bias, 4, axis=-1)
        seen = np.split(call.peepholes, 3)
        kept = gate(forget + seen[2] * c) * c
        c = kept + gate(into + seen[0] * c) * function(fresh)
        return [gate(out + seen[1] * c) * output(c), c]

    return _run(self, step, ("Sigmoid", "Tanh", "Tanh"), x, operands, settings)


class _Call(NamedTuple):
    """The operands of one direction."""

    w: NDArray
    r: NDArray
    biases: NDArray
    peepholes: NDArray
    functions: Sequence[Function]

    @property
    def bias(self) -> NDArray:
        """Both biases, which are added."""
        first, second = np.split(self.biases, 2)
        total: NDArray = first + second
        return total


Step = Callable[[_Call, NDArray, list[NDArray]], list[NDArray]]


def _run(
    self: Any,
    step: Step,
    default: Sequence[str],
    x: NDArray,
    operands: Sequence[NDArray | None],
    settings: dict[str, Any],
) -> tuple[NDArray, ...]:
    """All outputs `(steps, directions, batch, units)` and last states, laid out as asked."""
    given = [*operands, *(None,) * (7 - len(operands))]
    w, r, biases, initial, peepholes = given[0], given[1], given[2], given[4:6], given[6]
    assert w is not None and r is not None  # the standard has them always
    layout, count = settings.get("layout") or 0, 2 if len(default) == 3 else 1
    if layout:
        x = np.swapaxes(x, 0, 1)
        initial = [None if s is None else np.swapaxes(s, 0, 1) for s in initial]
    directions, units = len(w), r.shape[-1]
    functions = _functions(default, directions, settings)
    outputs, last = [], []
    for way in range(directions):
        call = _Call(
            w[way],
            r[way],
            np.zeros(2 * w.shape[1], x.dtype) if biases is None else biases[way],
            np.zeros(3 * units, x.dtype) if peepholes is None else peepholes[way],
            functions[way * len(default) : (way + 1) * len(default)],
        )
        states = [
            np.zeros((x.shape[1], units), x.dtype) if s is None else s[way]
            for s in (*initial, None, None)[:count]
        ]
        back = way == 1 or settings.get("direction") == "reverse"
        made = {}
        for time in range(len(x))[::-1] if back else range(len(x)):
            states = step(call, x[time], states)
            made[time] = states[0]
        outputs.append(np.stack([made[time] for time in range(len(x))]))
        last.append(states)
    results = [np.stack(outputs, 1), *(np.stack(row) for row in zip(*last, strict=True))]
    if layout:
        results[0] = results[0].transpose(2, 0, 1, 3)
        results[1:] = [np.swapaxes(state, 0, 1) for state in results[1:]]
    return tuple(value.astype(x.dtype) for value in results)[: len(self.onnx_node.output)]


def _functions(default: Sequence[str], directions: int, settings: dict[str, Any]) -> list[Function]:
    alphas = list(settings.get("activation_alpha") or [])
    betas = list(settings.get("activation_beta") or [])
    clip = settings.get("clip") or np.inf
    found = []
    for name in settings.get("activations") or [*default] * directions:
        text = name.decode() if isinstance(name, bytes) else name
        given: dict[str, float] = {}
        for key, left, defaults in (("alpha", alphas, _ALPHA), ("beta", betas, _BETA)):
            if text in defaults:
                given[key] = left.pop(0) if left else defaults[text]
        found.append(_clipped(_EQUATIONS[text], given, clip))
    return found


def _clipped(equation: Callable[..., NDArray], given: dict[str, float], clip: float) -> Function:
    return lambda x: equation(np.clip(x, -clip, clip), **given)


_ALPHA = {
    "LeakyRelu": 0.01, "ThresholdedRelu": 1.0, "HardSigmoid": 0.2, "Elu": 1.0,
    "Affine": np.nan, "ScaledTanh": np.nan,
}  # fmt: skip
_BETA = {"HardSigmoid": 0.5, "Affine": np.nan, "ScaledTanh": np.nan}
"""Defaults; not a number where the standard has none, and readers refuse."""

_EQUATIONS: dict[str, Callable[..., NDArray]] = {
    "Relu": lambda x: np.maximum(x, 0),
    "Tanh": np.tanh,
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Softplus": lambda x: np.log1p(np.exp(x)),
    "Affine": lambda x, alpha, beta: alpha * x + beta,
    "LeakyRelu": lambda x, alpha: np.where(x >= 0, x, alpha * x),
    "ThresholdedRelu": lambda x, alpha: np.where(x > alpha, x, 0),
    "ScaledTanh": lambda x, alpha, beta: alpha * np.tanh(beta * x),
    "HardSigmoid": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "Elu": lambda x, alpha: np.where(x >= 0, x, alpha * np.expm1(x)),
}
