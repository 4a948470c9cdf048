"""Learning rules: how weights change while a network runs.

`LearningRule` is the class of `connection.learning_rule`: a target of connections and of probes.
"""

from spikewright.network.learning.base import (
    BCM,
    LEARNING_RULES,
    PES,
    RLS,
    LearningRuleType,
    Modified,
    Oja,
    RuleInputs,
    Side,
    Voja,
    outer,
    register,
)
from spikewright.network.learning.rule import LearningRule

__all__ = [
    "BCM",
    "LEARNING_RULES",
    "PES",
    "RLS",
    "LearningRule",
    "LearningRuleType",
    "Modified",
    "Oja",
    "RuleInputs",
    "Side",
    "Voja",
    "outer",
    "register",
]
