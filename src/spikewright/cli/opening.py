"""Model files and saved networks, opened alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spikewright.conversion import Conversion
from spikewright.conversion.pipeline import convert
from spikewright.errors import DamagedFileError, ReadError
from spikewright.frontends import SUFFIXES
from spikewright.frontends.weights import instead_of_weights


def is_model(path: Path) -> bool:
    """Whether a file is a model to convert, and not a network that was saved."""
    return path.suffix.lower() in SUFFIXES


_SPIKES = {
    "scale_firing_rates": "--scale",
    "initial_voltage": "--initial-voltage",
    "max_spikes_per_step": "--max-spikes-per-step",
    "bias_correction": "--bias-correction",
    "fission": "--fission",
}
"""Options that say something about spikes."""


def with_spikes(choices: dict[str, Any], spiking: bool = False) -> dict[str, Any]:
    """Choices with spiking neurons where any of them is about spikes; `spiking` networks have them.

    Raises `click.UsageError` where rate neurons were asked for as well.
    """
    about = [option for name, option in _SPIKES.items() if name in choices]
    if "weights" in choices and choices["weights"].chip:
        about.append("--chip")
    if about and choices.get("spiking") is False:
        raise click.UsageError(
            f"--rate neurons send no spikes, and {', '.join(about)} is about spikes: leave one out"
        )
    return {"spiking": True, **choices} if about and not spiking else choices


def open_conversion(path: Path, choices: dict[str, Any]) -> Conversion:
    """A model file, converted, or a saved network, converted again where there are choices.

    Raises as `convert`, `Conversion.load` and `Conversion.again` do.
    """
    if is_model(path):
        return convert(path, **with_spikes(choices))
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
    spiking = saved.arguments.get("spiking", False) is not False
    return saved.again(**with_spikes(choices, spiking))
