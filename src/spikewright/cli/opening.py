"""Model files and saved networks, opened alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spikewright.conversion import Conversion
from spikewright.frontends import SUFFIXES
from spikewright.pipeline import convert


def is_model(path: Path) -> bool:
    """Whether a file is a model to convert, and not a network that was saved."""
    return path.suffix.lower() in SUFFIXES


def open_conversion(path: Path, choices: dict[str, Any]) -> Conversion:
    """A model file, converted, or a saved network, whose options cannot be changed any more."""
    if is_model(path):
        return convert(path, **choices)
    if choices:
        raise click.UsageError(
            f"{path} is a saved network, converted already: it takes no {', '.join(choices)}"
        )
    return Conversion.load(path)
