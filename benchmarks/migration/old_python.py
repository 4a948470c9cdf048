"""Asks a Python that has NengoDL and keras-spiking, which need an old TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

VARIABLE = "SPIKEWRIGHT_NENGO_DL"


def python() -> str | None:
    """That Python, named by a variable."""
    return os.environ.get(VARIABLE)


@lru_cache
def facts() -> dict[str, Any]:
    """The findings of `nengo_dl_worker.py` there, by name, each a value or the error that came."""
    worker = Path(__file__).with_name("nengo_dl_worker.py")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "KERAS"))}
    done = subprocess.run([str(python()), str(worker)], capture_output=True, text=True, check=False,
                          env={**kept, "TF_CPP_MIN_LOG_LEVEL": "3"})  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def fact(name: str) -> Any:
    """One of them; raises `AssertionError` where the worker could not find it."""
    found = facts()[name]
    assert "error" not in found, found["error"]
    return found["value"]
