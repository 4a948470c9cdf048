"""Engines: programs compiled from networks, and the engines that run them."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from functools import cache

from spikewright._base.process import check_threads
from spikewright.engines.base import Engine, Plan, PlanRow
from spikewright.engines.compile import compile_network
from spikewright.engines.grid import PRECISIONS, Precision
from spikewright.engines.memory import MemoryNeed, MemoryPart
from spikewright.engines.memory_estimate import PreparedRun
from spikewright.engines.parameters import Parameters
from spikewright.engines.program import Program
from spikewright.engines.recording import Tape, spike_times
from spikewright.engines.reference import ReferenceEngine
from spikewright.engines.run import Execution
from spikewright.engines.settings import step_for
from spikewright.engines.totals import Totals
from spikewright.errors import BuildError, MissingExtraError

__all__ = [
    "PRECISIONS",
    "Engine",
    "Execution",
    "MemoryNeed",
    "MemoryPart",
    "Parameters",
    "Plan",
    "PlanRow",
    "Precision",
    "PreparedRun",
    "Program",
    "Tape",
    "Totals",
    "available",
    "compile_network",
    "get",
    "spike_times",
    "step_for",
]

NAMES = ("reference", "native", "torch")
"""All engines, whether they can run here or not."""
_LARGE = 10_000
"""Neurons from which a matrix library pays for its start-up ("auto" without the native engine)."""
_PACKAGE = "spikewright"
_NEEDS = {"native": "spikewright.engines.native._kernels", "torch": "torch"}
REMEDIES = {
    "native": (
        "the native engine was not built when Spikewright was installed. With a C++ compiler in "
        "PATH (g++ 11, clang 14 or later), install it again: "
        "pip install --force-reinstall --no-deps spikewright"
    ),
    "torch": ("engine 'torch' is not installed. Install it with: pip install 'spikewright[torch]'"),
}


def available() -> tuple[str, ...]:
    """Names of the engines that can run here."""
    return tuple(n for n in NAMES if n not in _NEEDS or importlib.util.find_spec(_NEEDS[n]))


def get(name: str, program: Program, threads: int | None = None) -> Engine:
    """The engine called `name`; "auto" is the native one.

    Without the native extension "auto" warns once, and is torch for large networks if it is
    installed, else the reference. `threads` bounds the number of threads (default: the engine's
    choice). It never changes the result of an exact engine; the reference engine has one thread of
    its own beside NumPy's.

    Raises `BuildError` for an unknown name or a number of threads outside 1 to 256,
    `MissingExtraError` for one that is not installed.
    """
    check_threads(threads, BuildError)
    if name == "auto":
        name = _automatic(program)
    if name not in NAMES:
        raise BuildError(f"engine must be 'auto' or one of {NAMES}, got {name!r}")
    if name not in available():
        raise MissingExtraError(REMEDIES[name])
    if name == "reference":
        return ReferenceEngine()
    if name == "native":
        # Late: it may not have been built.
        from spikewright.engines.native.engine import NativeEngine

        return NativeEngine(threads)
    from spikewright.engines.torch import TorchEngine  # late: it imports torch

    return TorchEngine(threads=threads)


def _automatic(program: Program) -> str:
    """The engine that "auto" means."""
    names = available()
    if "native" in names:
        return "native"
    _warn_once(REMEDIES["native"])
    neurons = sum(ensemble.n_neurons for ensemble in program.parameters)
    return "torch" if neurons >= _LARGE and "torch" in names else "reference"


@cache
def _warn_once(message: str) -> None:
    """Warn where the user's code called the library."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
