"""Evaluation mode for as long as a module is traced or called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def evaluation(module: Any) -> Iterator[None]:
    """Evaluation mode; every module's own mode comes back afterwards."""
    modes = {part: part.training for part in module.modules()}
    for part in modes:
        part.training = False
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
