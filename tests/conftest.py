"""Settings, marks and fixtures of all tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import browsers

if "PYTEST_XDIST_WORKER" in os.environ:  # one process a processor: each has one thread
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes depends on what else the machine does: tests judge results, not times.
# Examples are the same every time, so that a failure is the change's and not the day's;
# `HYPOTHESIS_PROFILE=explore pytest` looks for new ones, and keeps what failed to try it first.
settings.register_profile("same", deadline=None, derandomize=True, max_examples=40)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# Tests solve what they test, and leave nothing in the user's folders.
os.environ["SPIKEWRIGHT_DECODER_CACHE"] = "off"

SLOW = frozenset((Path(__file__).parent / "slow.txt").read_text(encoding="utf-8").splitlines())
"""Tests that take long, as `scripts/slow_tests.py` measured; no two files of tests share a name."""


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave long tests to the slow suite."""
    for item in items:
        if item.path.name + item.nodeid[item.nodeid.index("::") :] in SLOW:
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say which instruction sets these tests could not run."""
    terminalreporter.write_line(kernels_here())


def kernels_here() -> str:
    """The native kernels that run on this processor, and those that do not."""
    try:
        from spikewright.engines.native.engine import INSTRUCTION_SETS, instruction_sets
    except ImportError as error:
        return f"native kernels: none are built ({error})"
    here = instruction_sets()
    absent = [name for name in INSTRUCTION_SETS if name not in here]
    return f"native kernels: {', '.join(here)}; not run here: {', '.join(absent)}"


@pytest.fixture(autouse=True)
def figures_are_closed() -> Iterator[None]:
    """Pyplot keeps what a test drew, and warns of more than twenty: they end with their test."""
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The machine's own browser."""
    with browsers.opened() as found:
        yield found
