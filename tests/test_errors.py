"""Errors: one tree, and messages that name the place, the cause, the value and the next move."""

from __future__ import annotations

import inspect
import re
import sys
import tomllib
from pathlib import Path

import pytest

from spikewright import errors
from spikewright._base import optional as _optional
from spikewright._base.optional import require
from spikewright.errors import (
    ConversionError,
    MissingExtraError,
    Refusal,
    SpikewrightError,
    UnsupportedLayerError,
)

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, Exception) and not name.startswith("_")
    if not issubclass(value, Warning)
}


def _drawn() -> dict[str, str]:
    """Parent of every error in the tree that the module's docstring draws."""
    parents: dict[str, str] = {}
    line_of: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^([ │├└─]*)(\w+Error)\b", line)
        if found:
            depth = len(found[1]) // 4
            parents[found[2]] = line_of.get(depth - 1, "")
            line_of[depth] = found[2]
    return parents


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Every error is drawn, under the class that it derives from."""
    drawn = _drawn()

    assert set(drawn) == set(CLASSES)
    for name, parent in drawn.items():
        if parent:
            assert issubclass(CLASSES[name], CLASSES[parent])


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_can_be_caught_as_one(name: str) -> None:
    """All derive from `SpikewrightError`, say when they are raised, and are drawn truthfully."""
    cls = CLASSES[name]
    line = next(line for line in (errors.__doc__ or "").splitlines() if f" {name} " in f"{line} ")

    assert issubclass(cls, SpikewrightError)
    assert cls.__doc__
    for builtin in (ValueError, ImportError):
        if f"(also a{'n' * (builtin is ImportError)} {builtin.__name__})" in line:
            assert issubclass(cls, builtin)


def test_a_refusal_names_place_kind_reason_and_options() -> None:
    """Layer, kind, reason, location and options, each once, as one sentence or two."""
    short = Refusal("pool1", "MaxPool2d", "no exact spiking form")
    full = Refusal("pool1", "MaxPool2d", "no exact spiking form", 'Use max_pool="gate".', "m.py:7")

    assert str(short) == "layer 'pool1' (MaxPool2d): no exact spiking form."
    assert str(full) == (
        "layer 'pool1' (MaxPool2d): no exact spiking form [at m.py:7]. Use max_pool=\"gate\"."
    )


def test_several_refusals_are_all_listed() -> None:
    """Nobody fixes a model one error at a time."""
    refusals = [Refusal("a", "GELU", "unknown"), Refusal("b", "LSTM", "has state", "Remove it.")]

    assert str(UnsupportedLayerError(refusals)) == (
        "2 layers cannot be read:\n"
        "  - layer 'a' (GELU): unknown.\n"
        "  - layer 'b' (LSTM): has state. Remove it."
    )
    assert str(ConversionError(refusals)).startswith("2 layers cannot be converted:\n")


# --- optional dependencies ----------------------------------------------------------------------


@pytest.mark.parametrize("module", ["torch", "torch.export", "sklearn.datasets"])
def test_a_missing_package_says_how_to_install_it(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is the command; the error is also an `ImportError`."""
    package = module.split(".")[0]
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingExtraError) as caught:
        require(module)
    assert isinstance(caught.value, ImportError)
    assert str(caught.value) == (
        f"{package!r} is needed here and is not installed. Install it with: "
        f"pip install 'spikewright[{_optional.EXTRA_OF[package]}]'"
    )


def test_a_broken_package_keeps_its_own_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that fails while it is imported is not "not installed"."""
    (tmp_path / "broken.py").write_text("import something_that_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(_optional.EXTRA_OF, "broken", "broken")

    with pytest.raises(ModuleNotFoundError, match="something_that_is_not_there") as caught:
        require("broken")
    assert not isinstance(caught.value, MissingExtraError)


def test_every_extra_that_a_message_names_exists() -> None:
    """The commands in the messages name extras of `pyproject.toml` that install the package."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]

    for package, extra in _optional.EXTRA_OF.items():
        wanted = {"sklearn": "scikit-learn", "distributed": "dask[distributed]"}
        name = re.escape(wanted.get(package, package))
        assert any(re.match(rf"{name}(?!\w)", line) for line in extras[extra]), (package, extra)
