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
from spikewright.network.learning.bcm import BCM
from spikewright.network.learning.oja import Oja
from spikewright.network.learning.pes import PES
from spikewright.network.learning.rls import RLS
from spikewright.network.learning.rule import LearningRule
from spikewright.network.learning.voja import Voja

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
