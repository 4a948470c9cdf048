"""Engines: a program compiled from a network, and what runs it."""

from __future__ import annotations

import importlib.util

from spikewright.engines.base import Engine
from spikewright.engines.compile import compile_network
from spikewright.engines.grid import PRECISIONS, Precision
from spikewright.engines.program import Parameters, Program
from spikewright.engines.reference import ReferenceEngine
from spikewright.engines.run import Execution
from spikewright.errors import BuildError, MissingExtraError

__all__ = [
    "PRECISIONS",
    "Engine",
    "Execution",
    "Parameters",
    "Precision",
    "Program",
    "available",
    "compile_network",
    "get",
]

_NAMES = ("reference", "torch")
_LARGE = 10_000
"""Neurons from which a matrix library pays for its start-up ("auto")."""


def available() -> tuple[str, ...]:
    """Names of the engines that can run here."""
    has_torch = importlib.util.find_spec("torch") is not None
    return _NAMES if has_torch else _NAMES[:1]


def get(name: str, program: Program) -> Engine:
    """The engine called `name`; "auto" is torch for large networks where it is installed.

    Raises `BuildError` for an unknown name, `MissingExtraError` for one that is not installed.
    """
    if name == "auto":
        neurons = sum(ensemble.n_neurons for ensemble in program.parameters)
        name = "torch" if neurons >= _LARGE and "torch" in available() else "reference"
    if name not in _NAMES:
        raise BuildError(f"engine must be 'auto' or one of {_NAMES}, got {name!r}")
    if name not in available():
        raise MissingExtraError(
            f"engine {name!r} is not installed. Install it with: pip install 'spikewright[{name}]'"
        )
    if name == "reference":
        return ReferenceEngine()
    from spikewright.engines.torch import TorchEngine  # late: it imports torch

    return TorchEngine()
