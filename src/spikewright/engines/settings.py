"""Checks of the settings that every run has."""

from __future__ import annotations

from typing import Any

from spikewright._base.arguments import is_number, is_whole
from spikewright.engines.grid import PRECISIONS
from spikewright.errors import SpikewrightError


def check_settings(
    dt: Any,
    precision: Any,
    batch_size: Any,
    error: type[SpikewrightError],
    threads: Any = None,
) -> None:
    """Raise `error` for an invalid step, precision, batch size or number of threads."""
    if not (is_number(dt) and dt > 0):
        raise error(f"dt must be above 0 s, got {dt!r}")
    if precision not in PRECISIONS:
        raise error(f"precision must be one of {PRECISIONS}, got {precision!r}")
    if batch_size is not None and not (is_whole(batch_size) and batch_size >= 1):
        raise error(f"batch_size must be None or a whole number from 1, got {batch_size!r}")
    if threads is not None and not (is_whole(threads) and threads >= 1):
        raise error(f"threads must be None or a whole number from 1, got {threads!r}")
