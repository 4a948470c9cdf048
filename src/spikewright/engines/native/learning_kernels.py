"""Learning rules described to the kernels of `cpp/learned.hpp`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spikewright.engines.grid import MAX_FAN_IN
from spikewright.engines.native._kernels import MOST_RULES, Rule
from spikewright.engines.populations import Learned
from spikewright.network.learning import BCM, PES, RLS, LearningRuleType, Oja, Voja


@dataclass(frozen=True)
class RuleParameters:
    """A rule's parameters for the kernel: its form, two numbers, and the names of its signals.

    With a `recursion` the rule reads the senders' gain by recursive least squares in place of their
    activities; that number times the identity is the initial inverse correlation matrix.
    """

    rule: Rule
    first: float
    second: float
    receivers: str
    senders: str
    theta: str | None = None
    signal: str | None = None
    recursion: float | None = None


def _pes(rule: Any, dt: float, senders: int) -> RuleParameters:
    return RuleParameters(
        Rule.outer, -(rule.learning_rate * dt / senders), 0.0, "error", "activities"
    )


def _rls(rule: Any, dt: float, senders: int) -> RuleParameters:
    begin = rule.learning_rate * dt / senders
    return RuleParameters(Rule.outer, -1.0, 0.0, "error", "pre_filtered", recursion=begin)


def _bcm(rule: Any, dt: float, senders: int) -> RuleParameters:
    rate = rule.learning_rate * dt
    return RuleParameters(Rule.outer, rate, 0.0, "post_filtered", "pre_filtered", "theta")


def _oja(rule: Any, dt: float, senders: int) -> RuleParameters:
    rate = rule.learning_rate * dt
    return RuleParameters(Rule.oja, rate, rule.beta, "post_filtered", "pre_filtered")


def _voja(rule: Any, dt: float, senders: int) -> RuleParameters:
    rate = rule.learning_rate * dt
    return RuleParameters(
        Rule.voja,
        rate,
        0.0,
        receivers="post_filtered",
        senders="value",
        theta=None,
        signal="learning_signal",
    )


_FORMS: dict[type[LearningRuleType], Callable[[Any, float, int], RuleParameters]] = {
    PES: _pes,
    RLS: _rls,
    BCM: _bcm,
    Oja: _oja,
    Voja: _voja,
}


# The state variables of a rule that kernels can record.
_STATE: dict[type[LearningRuleType], tuple[str, ...]] = {RLS: ("inv_gamma",)}


def rule_parameters(rule: LearningRuleType, dt: float, senders: int) -> RuleParameters:
    """A rule's parameters for the kernel, for steps of `dt` seconds."""
    return _FORMS[type(rule)](rule, dt, senders)


def unsupported_reason(op: Learned) -> str | None:
    """Why learned weights have no native kernel; None if they have one."""
    for learning in op.rules:
        name = type(learning.rule).__name__
        if type(learning.rule) not in _FORMS:
            return f"{name} has no native kernel"
        if not {"delta", *_STATE.get(type(learning.rule), ())}.issuperset(learning.recorded):
            return f"state of {name} is recorded, which kernels do not give"
    if len(op.rules) > MOST_RULES:
        return f"{len(op.rules)} rules for the same weights, above {MOST_RULES}"
    if op.initial.shape[1] > MAX_FAN_IN:
        return f"learned weights of {op.initial.shape[1]} inputs, above {MAX_FAN_IN}"
    return None
