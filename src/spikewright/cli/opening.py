"""Model files and saved networks, opened alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spikewright.cli.option_texts import flag
from spikewright.conversion import Conversion
from spikewright.conversion.pipeline import convert
from spikewright.errors import DamagedFileError, ReadError
from spikewright.frontends import SUFFIXES
from spikewright.frontends.live import instead_of_weights


def is_model(path: Path) -> bool:
    """Whether a file is a model to convert, and not a network that was saved."""
    return path.suffix.lower() in SUFFIXES


_SPIKES = (
    "scale_firing_rates", "initial_voltage", "max_spikes_per_step", "bias_correction", "fission",
)  # fmt: skip
"""Choices that say something about spikes."""


def with_spikes(choices: dict[str, Any], spiking: bool = False) -> dict[str, Any]:
    """Choices with spiking neurons where any of them is about spikes; `spiking` networks have them.

    Raises `click.UsageError` where rate neurons were asked for as well.
    """
    about = [flag(name) for name in _SPIKES if name in choices]
    if "weights" in choices and choices["weights"].chip:
        about.append(flag("weights"))
    if about and choices.get("spiking") is False:
        raise click.UsageError(
            f"--rate neurons send no spikes, and {', '.join(about)} is about spikes: leave one out"
        )
    return {"spiking": True, **choices} if about and not spiking else choices


def open_conversion(path: Path, choices: dict[str, Any], spiking: bool = False) -> Conversion:
    """A model file, converted, or a saved network, converted again where there are choices.

    A model has spiking neurons where the choices say so, or `spiking` does and they say nothing.
    Raises as `convert`, `Conversion.load` and `Conversion.again` do.
    """
    if is_model(path):
        chosen = with_spikes(choices)
        return convert(path, **({"spiking": True, **chosen} if spiking else chosen))
    try:
        saved = Conversion.load(path)
    except DamagedFileError as error:
        weights = instead_of_weights(path)
        if weights is not None:
            raise ReadError(weights) from None
        raise DamagedFileError(f"{error} Files of models end in {', '.join(SUFFIXES)}.") from error
    if "example_input" in choices:
        raise click.UsageError(f"--example-shape: {path} knows the shapes of its inputs")
    if not choices:
        return saved
    spikes = saved.arguments.get("spiking", False) is not False
    return saved.again(**with_spikes(choices, spikes))
