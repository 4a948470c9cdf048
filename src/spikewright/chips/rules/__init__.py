"""The rules of chips: what a network may be, each rule with the number that it is about."""

from spikewright.chips.rules import limits
from spikewright.chips.rules.registry import RULES, Breach, Broken, broken_rules, formless

__all__ = ["RULES", "Breach", "Broken", "broken_rules", "formless", "limits"]
