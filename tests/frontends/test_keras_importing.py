"""Keras is imported late, with a backend that is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spikewright.errors import MissingExtraError, ReadError
from spikewright.frontends.keras import loading


def installed(monkeypatch: pytest.MonkeyPatch, home: Path, *names: str) -> None:
    """Pretend that these modules are installed and nothing has been chosen."""
    monkeypatch.setattr(loading, "find_spec", lambda name: name if name in names else None)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(home))


@pytest.mark.parametrize("names", [("torch", "jax"), ("jax", "tensorflow"), ("tensorflow",)])
def test_an_installed_backend_is_taken(
    names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no choice made, the first that is installed."""
    installed(monkeypatch, tmp_path, *names)
    assert loading.choose_backend() == names[0]


def test_the_environment_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KERAS_BACKEND goes before everything else."""
    installed(monkeypatch, tmp_path, "torch", "jax")
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert loading.choose_backend() == "jax"


def test_the_configuration_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """keras.json goes before our own choice."""
    installed(monkeypatch, tmp_path, "torch", "jax")
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    assert loading.choose_backend() == "jax"


@pytest.mark.parametrize("text", ['{"backend": "tensorflow"}', "{", "[]", '{"backend": 3}'])
def test_a_configuration_that_cannot_be_followed_is_passed_over(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras writes keras.json unasked, naming a backend that may not be installed."""
    installed(monkeypatch, tmp_path, "jax")
    (tmp_path / "keras.json").write_text(text)
    assert loading.choose_backend() == "jax"


def test_no_backend_is_a_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message installs one."""
    installed(monkeypatch, tmp_path)
    with pytest.raises(MissingExtraError, match=r"pip install 'spikewright\[keras\]'"):
        loading.choose_backend()


def test_an_absent_backend_that_was_asked_for_is_a_missing_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's word is not overruled in silence."""
    installed(monkeypatch, tmp_path, "torch")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(MissingExtraError, match="KERAS_BACKEND is 'jax'"):
        loading.choose_backend()


def test_keras_2_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names both versions."""
    keras = loading.import_keras()
    monkeypatch.setattr(keras, "__version__", "2.15.0")
    with pytest.raises(ReadError, match=r"2\.15\.0 is installed and Keras 3 is needed"):
        loading.import_keras()


@pytest.mark.slow  # a second process imports Keras and its backend
def test_importing_leaves_the_environment_alone(tmp_path: Path) -> None:
    """In a fresh process Keras is imported by reading only, and KERAS_BACKEND stays unset."""
    code = (
        "import os, sys\n"
        "from spikewright.frontends import keras as front\n"
        "assert 'keras' not in sys.modules\n"
        "from spikewright.frontends.keras.loading import import_keras\n"
        "print(import_keras().backend.backend(), os.environ.get('KERAS_BACKEND'))\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    environment["KERAS_HOME"] = str(tmp_path)
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    backend, variable = done.stdout.split()
    assert backend in loading.BACKENDS and variable == "None"
