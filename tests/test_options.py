"""Options declared once: functions, their signatures, docstrings and errors follow from them."""

from __future__ import annotations

import inspect
import pydoc
import subprocess
import sys
import types
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, Unpack

import numpy as np
import pytest

from spikewright._base.options import (
    REQUIRED,
    Declared,
    Option,
    declared,
    number,
    one_of,
    options_of,
    whole,
)
from spikewright.errors import SimulationError


class Computed(TypedDict, total=False):
    """One group."""

    seed: Annotated[int, Option(0, "Seed of all that is random.", whole(0))]
    size: Annotated[int | None, Option(None, "Samples at once.", whole(1, 9))]
    form: Annotated[Literal["a", "b"], Option("a", "One of two.")]
    quick: Annotated[bool, Option(False, "Sooner.")]


class Placed(Computed, total=False):
    """A group with the options of another, and one that has to be given."""

    within: Annotated[float, Option(REQUIRED, "The largest loss.", number(above=0.0, most=1.0))]
    plain: int


@declared(SimulationError, {"batch": "size= says that here."})
def run(x: Any, steps: int = 3, *, own: str = "", **options: Unpack[Placed]) -> dict[str, Any]:
    """Run it.

    For some steps.
    """
    return {"x": x, "steps": steps, "own": own, **options}


def test_a_function_gets_every_option() -> None:
    """With its default where none is given; what it has of its own is as ever."""
    assert run(1, 4, own="o", within=0.5, seed=2) == {
        "x": 1, "steps": 4, "own": "o", "seed": 2, "size": None, "form": "a", "quick": False,
        "within": 0.5,
    }  # fmt: skip
    assert run(1, within=1)["steps"] == 3


def test_the_signature_and_the_docstring_hold_all() -> None:
    """What has to be given stands first of those by keyword, each with its type and default."""
    found = inspect.signature(run)
    assert str(found) == (
        "(x: 'Any', steps: 'int' = 3, *, within: float, own: 'str' = '', seed: int = 0, "
        "size: int | None = None, form: Literal['a', 'b'] = 'a', quick: bool = False) "
        "-> 'dict[str, Any]'"
    )
    told = inspect.getdoc(run) or ""
    assert told.startswith(
        "Run it.\n\nFor some steps.\n\nOptions:\n\n* `seed` (default 0): Seed of"
    )
    assert "* `size`: Samples at once.\n" in told and "* `within`: The largest loss." in told
    assert "quick: bool = False" in pydoc.render_doc(run, renderer=pydoc.plaintext)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": -1}, "seed must be a whole number from 0, got -1"),
        ({"seed": True}, "seed must be a whole number from 0, got True"),
        ({"size": 10}, "size must be None or a whole number from 1 to 9, got 10"),
        ({"form": "c"}, "form must be one of 'a', 'b', got 'c'"),
        ({"quick": 1}, "quick must be True or False, got 1"),
        ({"within": 0}, "within must be a number above 0 and up to 1, got 0"),
        ({"within": float("nan")}, "within must be a number above 0 and up to 1, got nan"),
        ({"within": "1"}, "within must be a number above 0 and up to 1, got '1'"),
    ],
)
def test_values_are_checked(given: dict[str, Any], message: str) -> None:
    """The option, its rule and the value, in the error of the function."""
    with pytest.raises(SimulationError) as caught:
        run(0, **{"within": 0.5, **given})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sede": 1}, "run() has no argument 'sede'. Did you mean 'seed'?"),
        ({"own_": 1}, "run() has no argument 'own_'. Did you mean 'own'?"),
        ({"batch": 1}, "run() has no argument 'batch'. size= says that here."),
        ({"plain": 1}, "run() has no argument 'plain'. Did you mean 'own'?"),
        ({}, "run() needs the argument 'within'"),
    ],
)
def test_a_call_that_cannot_be_is_a_type_error(given: dict[str, Any], message: str) -> None:
    """As of Python's own calls; a name that is near, or known from elsewhere, is told."""
    with pytest.raises(TypeError) as caught:
        run(0, **given)
    assert str(caught.value).startswith(message.partition(" Did")[0])
    assert "plain" in given or str(caught.value) == message


def test_bounds() -> None:
    """Numbers with either bound, both or none, and given values."""
    assert number().must == "a number" and number(least=0.0).must == "a number from 0"
    assert number(least=0.0).holds(0) and not number(least=0.0).holds(-1e-9)
    assert number(above=0.0).holds(1e-9) and not number(above=0.0).holds(0.0)
    assert one_of("ab").holds("a") and not one_of("ab").holds("c")
    assert not one_of("ab").holds(np.array(["a", "b"])) and not one_of("ab").holds(["a"])


def test_types_say_what_a_value_may_be() -> None:
    """What the command line makes of them: kinds without None, and the words of a `Literal`."""
    found = options_of(Placed)
    assert list(found) == ["seed", "size", "form", "quick", "within"]
    assert found["size"].kinds == (int,) and found["size"].optional
    assert found["form"].choices == ("a", "b")
    both = Declared("both", str | float, Option("", ""))
    assert both.kinds == (str, float) and not both.optional and both.check is None


def test_a_group_means_the_names_of_its_own_module() -> None:
    """Those of a module that inherits it may be of other things."""
    found = _inheriting()
    assert found["seed"].type is int and found["own"].type is str
    check = found["seed"].option.check
    assert check is not None and check.must == "a whole number from 0"


def _inheriting() -> Any:
    """A group in a module whose `whole` and `Option` are something else."""
    module = types.ModuleType("elsewhere")
    sys.modules["elsewhere"] = module
    vars(module).update(Computed=Computed, whole=None, int=str)
    code = """
from __future__ import annotations
from typing import Annotated, TypedDict
from spikewright._base.options import Option
class Other(Computed, total=False):
    own: Annotated[int, Option("", "Its own.")]
"""
    exec(code, vars(module))
    try:
        return options_of(module.Other)
    finally:
        del sys.modules["elsewhere"]


@pytest.mark.slow
def test_type_checkers_see_the_options(tmp_path: Path) -> None:
    """A wrong name and a wrong type are found, a right call is not."""
    calls = ("run(1, within=0.5, seed=2)", "run(1, within=0.5, sede=2)", "run(1, within='all')")
    text = Path(__file__).read_text(encoding="utf-8").partition("def test_")[0]
    (tmp_path / "calls.py").write_text("\n".join([text, *calls, ""]), encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(tmp_path / "calls.py")]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    assert len(told) == 2, told
    assert '"sede"' in told[0] and '"within"' in told[1]
