"""Examples of every learning rule, each with its equation once more, sums written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.network.learning import BCM, PES, RLS, LearningRuleType, Oja, Voja
from spikewright.network.synapses import Alpha, Lowpass

Recorded = Mapping[str, NDArray]
Equation = Callable[[NDArray, Recorded, float, float], NDArray]


class RuleExample(NamedTuple):
    """A rule, and `equation(W, signals, dt, unit)`: the delta of one step for weights `(out, in)`.

    `signals` are the signals that the rule reads in that step, `unit` is gain over radius of the
    receivers.
    """

    id: str
    rule: LearningRuleType
    equation: Equation


def rule_examples() -> list[RuleExample]:
    """At least one example of every registered learning rule; time constants suit 1 ms."""
    fast, slow = Lowpass(0.004), Lowpass(0.02)
    return [
        RuleExample("pes", PES(0.5), _pes(0.5)),
        RuleExample("pes-unfiltered", PES(0.25, None), _pes(0.25)),
        RuleExample("pes-alpha", PES(0.25, Alpha(0.003)), _pes(0.25)),
        RuleExample("rls", RLS(0.5), _Rls(0.5)),
        RuleExample("rls-unfiltered", RLS(2.0, None), _Rls(2.0)),
        RuleExample("bcm", BCM(1e-6, fast, slow, Lowpass(0.05)), _bcm(1e-6)),
        RuleExample("bcm-same-filter", BCM(2e-6, fast, theta_synapse=slow), _bcm(2e-6)),
        RuleExample("oja", Oja(1e-4, fast, slow, 0.5), _oja(1e-4, 0.5)),
        RuleExample("oja-unfiltered", Oja(1e-4, None, beta=2.0), _oja(1e-4, 2.0)),
        RuleExample("voja", Voja(0.25, fast), _voja(0.25)),
        RuleExample("voja-unfiltered", Voja(0.125, None), _voja(0.125)),
    ]


def _pes(rate: float) -> Equation:
    def equation(W: NDArray, signals: Recorded, dt: float, unit: float) -> NDArray:
        a, e = signals["activities"], signals["error"]
        return np.array([[-rate * dt * e_i * a_j / len(a) for a_j in a] for e_i in e])

    return equation


class _Rls:
    """Keeps `P` from step to step, and so serves one run: `W` of the first step begins it."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._P: NDArray | None = None

    def __call__(self, W: NDArray, signals: Recorded, dt: float, unit: float) -> NDArray:
        r, e = signals["pre_filtered"], signals["error"]
        if "begin" in signals or self._P is None:
            self._P = np.diag([self._rate * dt / len(r)] * len(r))
        P = self._P
        Pr = [sum(P[i, j] * r[j] for j in range(len(r))) for i in range(len(r))]
        below = 1.0 + sum(r[i] * Pr[i] for i in range(len(r)))
        P = self._P = np.array(
            [[P[i, j] - Pr[i] * Pr[j] / below for j in range(len(r))] for i in range(len(r))]
        )
        return np.array(
            [
                [-e_i * sum(P[j, k] * r[k] for k in range(len(r))) for j in range(len(r))]
                for e_i in e
            ]
        )


def _bcm(rate: float) -> Equation:
    def equation(W: NDArray, signals: Recorded, dt: float, unit: float) -> NDArray:
        b, a, theta = (signals[name] for name in ("pre_filtered", "post_filtered", "theta"))
        drive = [rate * dt * a[i] * (a[i] - theta[i]) for i in range(len(a))]
        return np.array([[d * b_j for b_j in b] for d in drive])

    return equation


def _oja(rate: float, beta: float) -> Equation:
    def equation(W: NDArray, signals: Recorded, dt: float, unit: float) -> NDArray:
        b, a = signals["pre_filtered"], signals["post_filtered"]
        return np.array(
            [
                [rate * dt * (a[i] * b[j] - beta * a[i] ** 2 * W[i, j]) for j in range(len(b))]
                for i in range(len(a))
            ]
        )

    return equation


def _voja(rate: float) -> Equation:
    def equation(W: NDArray, signals: Recorded, dt: float, unit: float) -> NDArray:
        a, x, s = signals["post_filtered"], signals["value"], signals["learning_signal"][0]
        return np.array(
            [
                [rate * dt * s * a[i] * (unit * x[j] - W[i, j]) for j in range(len(x))]
                for i in range(len(a))
            ]
        )

    return equation
