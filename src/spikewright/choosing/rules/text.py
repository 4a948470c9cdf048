"""Rules as text: `minimum-error:8,per=layer`, for the command line."""

from __future__ import annotations

from spikewright._base.texts import parsed, split_at
from spikewright.choosing.rules.rule import RULES, ScaleRule


def parse(text: str) -> ScaleRule:
    """The rule that `name:value,value,field=value` means, values in the order of its fields.

    Raises `ValueError` for unknown names and fields and for values that do not fit, and
    `ConversionError` for values that the rule refuses.
    """
    return parsed(text, RULES, "rule", {"ScaleRule": None, "ScaleRule | None": None})


def is_rule(text: str) -> bool:
    """Whether a text begins with the name of a rule."""
    return text.partition(":")[0] in RULES


def split(text: str) -> tuple[str, str]:
    """`layer=rule` as its two parts; the layer is empty where the text is a rule alone."""
    return split_at(text, is_rule)
