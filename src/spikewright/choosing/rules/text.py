"""Rules as text: `minimum-error:8,per=layer`, for the command line."""

from __future__ import annotations

from spikewright._base.texts import Parser
from spikewright.choosing.rules.rule import RULES

NOT_IN_TEXTS = {"ScaleRule": None, "ScaleRule | None": None}
"""Types of fields that no text gives a value."""

parse = Parser("rule", RULES, NOT_IN_TEXTS)
"""The rule that a text means; raises `ValueError`, and `ConversionError` as rules do."""
