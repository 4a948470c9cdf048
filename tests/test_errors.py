"""Errors: one tree, and messages that name the place, the cause, the value and the next move."""

from __future__ import annotations

import inspect
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from spikewright import errors
from spikewright._base import optional as _optional
from spikewright._base.optional import require
from spikewright.errors import (
    ConversionError,
    ConversionWarning,
    DamagedFileError,
    GraphError,
    MissingExtraError,
    NetworkError,
    ReadError,
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


@pytest.mark.parametrize("kind", ["argument", "method"])
def test_what_is_no_layer_is_not_called_one(kind: str) -> None:
    """An argument that cannot be honoured and a call that cannot be made are named as such."""
    assert str(Refusal("steps", kind, "of no use", "Leave it out")) == (
        f"{kind} 'steps': of no use. Leave it out."
    )


@pytest.mark.parametrize("cls", [ReadError, GraphError, ConversionError, NetworkError])
def test_errors_about_an_argument_are_value_errors(cls: type) -> None:
    """Code that knows only Python's own errors catches them too."""
    assert issubclass(cls, ValueError)


def test_a_damaged_file_is_a_read_error() -> None:
    """Whoever handles models that cannot be read handles damaged files too."""
    assert issubclass(DamagedFileError, ReadError)
    assert issubclass(UnsupportedLayerError, ReadError)


def test_a_refusal_names_place_kind_reason_and_options() -> None:
    """Layer, kind, reason, location and options, each once, as one sentence or two."""
    short = Refusal("pool1", "MaxPool2d", "no exact spiking form")
    full = Refusal("pool1", "MaxPool2d", "no exact spiking form", 'Use max_pool="gate".', "m.py:7")

    assert str(short) == "layer 'pool1' (MaxPool2d): no exact spiking form."
    assert str(full) == (
        "layer 'pool1' (MaxPool2d): no exact spiking form [at m.py:7]. Use max_pool=\"gate\"."
    )


def test_one_refusal_is_the_whole_message() -> None:
    """A single layer needs no list."""
    refusal = Refusal("a", "GELU", "unknown")

    assert str(UnsupportedLayerError([refusal])) == str(refusal)
    assert UnsupportedLayerError([refusal]).refusals == (refusal,)


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


def test_an_installed_package_is_imported() -> None:
    """`require` returns the module itself, of a package or inside one."""
    assert require("onnx").__name__ == "onnx"
    assert require("onnx.numpy_helper").__name__ == "onnx.numpy_helper"


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


def test_a_package_without_a_part_keeps_python_s_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing submodule of an installed package is a matter of versions."""
    monkeypatch.setitem(sys.modules, "onnx", ModuleType("onnx"))

    with pytest.raises(ImportError) as caught:
        require("onnx.nowhere")
    assert not isinstance(caught.value, MissingExtraError)


def test_every_extra_that_a_message_names_exists() -> None:
    """The commands in the messages name extras of `pyproject.toml` that install the package."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]

    for package, extra in _optional.EXTRA_OF.items():
        wanted = {"sklearn": "scikit-learn", "distributed": "dask[distributed]"}
        name = re.escape(wanted.get(package, package))
        assert any(re.match(rf"{name}(?!\w)", line) for line in extras[extra]), (package, extra)


def test_layers_that_are_refused_alike_share_a_sentence() -> None:
    """One line for each reason with how many layers and which; each is a refusal of its own."""
    alike = [Refusal(f"lstm{i}", "LSTM", "has state", "Cut it") for i in range(35)]
    other = [Refusal("pool", "LSTM", "has state", "Leave it"), Refusal("act", "GELU", "unknown")]
    error = ConversionError([*alike[:20], *other, *alike[20:]])

    assert str(error) == (
        "37 layers cannot be converted:\n"
        "  - 35 x LSTM (lstm0, lstm1, lstm2, lstm3, lstm4, lstm5, lstm6, lstm7 and 27 more): "
        "has state. Cut it.\n"
        "  - layer 'pool' (LSTM): has state. Leave it.\n"
        "  - layer 'act' (GELU): unknown."
    )
    assert len(error.refusals) == 37


def test_few_layers_that_are_refused_alike_are_all_named() -> None:
    """Nothing is shortened that is short; where all are alike the head says enough."""
    error = ConversionError([Refusal(name, "GELU", "unknown") for name in "abcd"])

    assert str(error) == "4 layers cannot be converted:\n  - 4 x GELU (a, b, c, d): unknown."


def test_a_warning_is_a_user_warning() -> None:
    """Python shows it without being asked, and it can be filtered by its class."""
    assert issubclass(ConversionWarning, UserWarning)
