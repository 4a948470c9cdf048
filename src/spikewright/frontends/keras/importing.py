"""Importing Keras, with a backend that is installed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from spikewright._base.optional import require
from spikewright.advice import advise
from spikewright.errors import MissingExtraError, ReadError

BACKENDS = ("torch", "jax", "tensorflow")


def import_keras() -> ModuleType:
    """Keras 3.

    Where Keras is not imported yet and nothing has chosen a backend, an installed one is taken.
    Raises `MissingExtraError` when Keras or a backend is missing, `ReadError` for Keras 2.
    """
    if "keras" in sys.modules or find_spec("keras") is None:
        keras = require("keras")
    else:
        with _environment("KERAS_BACKEND", choose_backend()):
            keras = require("keras")
    version = str(getattr(keras, "__version__", "2"))
    if int(version.split(".")[0]) < 3:
        raise ReadError(
            f"Keras {version} is installed and Keras 3 is needed. Upgrade with: "
            f"pip install 'spikewright[keras]'"
        )
    return keras


def choose_backend() -> str:
    """The backend that the environment asks for, else keras.json's if installed, else any.

    Keras writes keras.json unasked and with a backend that may not be there, so the file's word
    counts only where it can be followed.
    """
    asked = os.environ.get("KERAS_BACKEND")
    if asked:
        if asked in BACKENDS and find_spec(asked) is None:
            raise MissingExtraError(
                f"KERAS_BACKEND is {asked!r}, which is not installed. "
                f"{advise('Keras without a backend')}"
            )
        return asked
    installed = [name for name in BACKENDS if find_spec(name) is not None]
    configured = _configured_backend()
    if configured is not None and configured not in set(BACKENDS) - set(installed):
        return configured
    if not installed:
        raise MissingExtraError(
            f"Keras needs one of {', '.join(BACKENDS)}, and none is installed. "
            f"{advise('Keras without a backend')}"
        )
    return installed[0]


def _configured_backend() -> str | None:
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        backend = json.loads((home / "keras.json").read_text())["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # Keras itself goes on without a keras.json that it cannot read
    return backend if isinstance(backend, str) else None


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable while Keras reads it, and leave no trace."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
