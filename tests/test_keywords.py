"""Keywords that a function does not take: the error says which one was meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import models
import spikewright as sw
from spikewright.conversion.arguments import FROM_ELSEWHERE
from spikewright.errors import ConversionError

SPELLED: dict[str, Callable[..., Any]] = {
    "convert": sw.convert,
    "tune": sw.tune,
    "best_rule": sw.best_rule,
    "run": sw.Conversion.run,
    "evaluate": sw.Conversion.evaluate,
    "diagnose": sw.Conversion.diagnose,
}


@pytest.mark.parametrize("name", SPELLED)
def test_every_misspelt_keyword_is_recognised(name: str) -> None:
    """With a letter too many, the last one missing, or a capital in front."""
    function = SPELLED[name]
    keywords = [p for p in inspect.signature(function).parameters if len(p) > 3 and p != "self"]
    assert len(keywords) > 4
    for keyword in keywords:
        for wrong in (f"{keyword}x", keyword[:-1], keyword.title()):
            if wrong in keywords:
                continue
            with pytest.raises(TypeError, match=rf"^{name}\(\) has no .*'{wrong}'") as info:
                function(**{wrong: None})
            assert "Did you mean" in str(info.value)


@pytest.mark.parametrize("keyword", FROM_ELSEWHERE)
def test_keywords_of_another_converter_say_what_means_them_here(keyword: str) -> None:
    """In `convert` and in `replace`; what the hint names is an argument of `convert`."""
    hint = FROM_ELSEWHERE[keyword]
    with pytest.raises(TypeError) as info:
        sw.convert(models.mlp(), **{keyword: True})
    assert str(info.value) == f"convert() has no argument {keyword!r}. {hint}"
    with pytest.raises(ConversionError) as refused:
        sw.convert(models.mlp()).replace(**{keyword: True})
    assert hint in str(refused.value)
    named = hint.partition("=")[0] if "=" in hint else ""
    assert not named or named in inspect.signature(sw.convert).parameters
