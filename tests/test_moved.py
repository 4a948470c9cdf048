"""Modules that were documented by another name are found by it, and say which they are now."""

from __future__ import annotations

import importlib
import sys

import pytest

import spikewright as sw


@pytest.mark.parametrize(("old", "new"), sw._MOVED.items())
def test_an_old_name_is_the_same_module(old: str, new: str) -> None:
    """With a warning, once, and the module is what it was."""
    now = importlib.import_module(f"spikewright.{new}")
    spec = now.__spec__
    sys.modules.pop(f"spikewright.{old}", None)
    with pytest.warns(DeprecationWarning, match=f"spikewright.{old} is spikewright.{new} now"):
        then = importlib.import_module(f"spikewright.{old}")

    assert then is now
    assert now.__spec__ is spec
    assert importlib.import_module(f"spikewright.{old}") is now


def test_what_never_was_is_not_found() -> None:
    """No other name is answered for."""
    with pytest.raises(ModuleNotFoundError, match=r"spikewright\.nothing"):
        importlib.import_module("spikewright.nothing")


def test_public_names_that_are_modules_warn_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    """`sw.networks` and `from spikewright import demo` are as they were."""
    for name in sw._MODULES:
        assert getattr(sw, name).__name__.startswith("spikewright.")
    assert not [w for w in recwarn if w.category is DeprecationWarning]
