"""Learning rules: how weights change while a network runs, one rule a file.

`LearningRule` is the class of `connection.learning_rule`: a target of connections and of probes.
"""

from spikewright.network.learning.base import (
    LEARNING_RULES,
    Facts,
    LearningRuleType,
    Modified,
    Side,
    outer,
    register,
)
from spikewright.network.learning.rule import LearningRule
from spikewright.network.learning.rules import BCM, PES, RLS, Oja, Voja

__all__ = [
    "BCM",
    "LEARNING_RULES",
    "PES",
    "RLS",
    "Facts",
    "LearningRule",
    "LearningRuleType",
    "Modified",
    "Oja",
    "Side",
    "Voja",
    "outer",
    "register",
]
