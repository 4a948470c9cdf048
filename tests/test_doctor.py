"""`spikewright doctor` says what works here, and what does not."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from spikewright import engines
from spikewright._base.optional import EXTRA_OF
from spikewright.cli import main
from spikewright.engines.native.engine import instruction_sets
from spikewright.showing.doctor import doctor

ROOT = Path(__file__).parents[1]


def test_every_engine_and_every_optional_package_is_looked_at() -> None:
    """One that is registered is shown the day it is; the native engine with its kernels."""
    found = doctor()
    names = [f.name for f in found.findings]

    assert sorted(names) == sorted([*engines.NAMES, *EXTRA_OF])
    (native,) = (f for f in found.findings if f.name == "native")
    assert native.state == "works"
    assert native.detail == ", ".join(instruction_sets())
    (scipy,) = (f for f in found.findings if f.name == "scipy")
    assert scipy.detail == importlib.import_module("scipy").__version__


def _failing(wrong: str, error: Exception) -> Any:
    """An import that fails for one package."""
    real = importlib.import_module

    def importing(name: str, package: str | None = None) -> Any:
        if name == wrong:
            raise error
        return real(name, package)

    return importing


@pytest.mark.parametrize("package", ["optuna", "keras"])
def test_an_absent_package_is_no_fault(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what installs it, and the program ends well."""
    missing = ModuleNotFoundError(f"No module named {package!r}", name=package)
    monkeypatch.setattr(importlib, "import_module", _failing(package, missing))
    found = CliRunner().invoke(main, ["doctor"])

    assert found.exit_code == 0
    assert f"pip install 'spikewright[{EXTRA_OF[package]}]'" in found.output


def test_a_broken_package_is_named_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises; the program exits with 2, as JSON too."""
    broken = ValueError("numpy.dtype size changed")
    monkeypatch.setattr(importlib, "import_module", _failing("scipy", broken))
    found = CliRunner().invoke(main, ["doctor", "--json"])
    plain = {f["name"]: f for f in json.loads(found.stdout)["findings"]}

    assert found.exit_code == 2
    assert plain["scipy"]["state"] == "broken"
    assert plain["scipy"]["detail"] == "ValueError: numpy.dtype size changed"
    assert CliRunner().invoke(main, ["doctor"]).output.rstrip().endswith("Broken: scipy.")


def test_an_engine_that_was_not_built_says_how_to_build_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the error does that asks for it."""
    monkeypatch.setattr(engines, "available", lambda: ("reference",))
    states = {f.name: (f.state, f.advice) for f in doctor().findings}

    assert states["native"] == ("absent", engines.REMEDIES["native"])


def test_the_package_runs_as_a_program() -> None:
    """`python -m spikewright` is `spikewright`."""
    command = [sys.executable, "-m", "spikewright", "--version"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)

    assert found.stdout.startswith("spikewright ")


def test_the_citation_has_the_package_version() -> None:
    """Who cites it names the version that is installed."""
    version = next(
        line.split('"')[1]
        for line in (ROOT / "pyproject.toml").read_text().splitlines()
        if line.startswith("version = ")
    )
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_it_prints_what_the_command_prints() -> None:
    """The same table and sentence; `repr` is one line with figures."""
    found = doctor()
    printed = CliRunner().invoke(main, ["doctor"]).stdout
    assert str(found).split("\n\n")[-1] == printed.strip().split("\n\n")[-1]
    assert repr(found).startswith("<Checkup: ") and "\n" not in repr(found)
