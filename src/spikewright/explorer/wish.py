"""A wish: what a page asks for, checked. It comes from outside, so nothing in it is trusted."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from spikewright._base.arguments import is_number, is_whole
from spikewright.errors import SimulationError
from spikewright.measure.readout import named
from spikewright.network.neurons import (
    BipolarIntegrateAndFire,
    NeuronType,
    PoissonSpiking,
    RectifiedLinear,
    SignedIntegrateAndFire,
    StochasticSpiking,
)

SCALES = (1.0, 1000.0)
"""The least and the greatest firing-rate scale that a page may ask for."""

MOST_STEPS = 1000
STARTS = ("half", "zero", "uniform")
NEURONS: Mapping[str, tuple[NeuronType, str] | None] = MappingProxyType(
    {
        "default": None,
        "bipolar": (BipolarIntegrateAndFire(), "BipolarIntegrateAndFire"),
        "signed": (SignedIntegrateAndFire(), "SignedIntegrateAndFire"),
        "stochastic": (StochasticSpiking(RectifiedLinear()), "StochasticSpiking:RectifiedLinear"),
        "Poisson": (PoissonSpiking(RectifiedLinear()), "PoissonSpiking:RectifiedLinear"),
    }
)
"""Neurons for ReLU that a page may ask for, by name: the type, and its text in commands."""


@dataclass(frozen=True)
class Wish:
    """What a page asks for: one sample, or one that was drawn, and the choices of a conversion.

    `drawn` are its values from 0 (black) to 255, in the order of the input, in base64.
    """

    sample: int = 0
    drawn: str | None = None
    scale: float = 10.0
    steps: int = 64
    cap: int | None = None
    neuron: str = "default"
    start: str = "half"
    readout: str = "mean"

    @property
    def spiking(self) -> bool | dict[type[NeuronType], NeuronType]:
        """The choice of neurons, as `convert` takes it."""
        chosen = NEURONS[self.neuron]
        return True if chosen is None else {RectifiedLinear: chosen[0]}

    @property
    def option(self) -> str:
        """The same as an option of a command."""
        chosen = NEURONS[self.neuron]
        return "--spiking" if chosen is None else f"--neurons=relu={chosen[1]}"

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of `Conversion.again`."""
        return {
            "spiking": self.spiking,
            "scale_firing_rates": float(self.scale),
            "initial_voltage": self.start,
            "max_spikes_per_step": self.cap,
        }

    @property
    def levels(self) -> bytes:
        """The values that were drawn, a byte each."""
        try:
            return base64.b64decode(self.drawn or "", validate=True)
        except (binascii.Error, ValueError) as error:
            raise SimulationError(f"drawn: {error}. Give the bytes of an image in base64") from None


_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "sample": (lambda v: is_whole(v) and v >= 0, "a whole number from 0"),
    "drawn": (lambda v: v is None or isinstance(v, str), "None or text in base64"),
    "scale": (
        lambda v: is_number(v) and SCALES[0] <= v <= SCALES[1],
        f"a number from {SCALES[0]:g} to {SCALES[1]:g}",
    ),
    "steps": (
        lambda v: is_whole(v) and 1 <= v <= MOST_STEPS,
        f"a whole number from 1 to {MOST_STEPS}",
    ),
    "cap": (lambda v: v is None or (is_whole(v) and v >= 1), "None or a whole number from 1"),
    "neuron": (lambda v: v in list(NEURONS), f"one of {', '.join(NEURONS)}"),
    "start": (lambda v: v in STARTS, f"one of {', '.join(STARTS)}"),
    "readout": (lambda v: v in named(), f"one of {', '.join(named())}"),
}


def wish_of(text: str) -> tuple[int, Wish]:
    """The number of a request, and the wish in it, from JSON.

    Raises `SimulationError` naming what is unknown, or the field, its value and what may stand
    there.
    """
    try:
        given = json.loads(text)
    except ValueError as error:
        raise SimulationError(f"a request is JSON: {error}") from None
    if not isinstance(given, dict):
        raise SimulationError(f"a request is a JSON object, got a {type(given).__name__}")
    number = given.pop("number", 0)
    if not (is_whole(number) and number >= 0):
        raise SimulationError(f"number is a whole number from 0, got {number!r}")
    known = [field.name for field in fields(Wish)]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise SimulationError(f"{unknown[0]!r} is no part of a request: {', '.join(known)} are")
    for name, value in given.items():
        fits, words = _CHECKS[name]
        if not fits(value):
            raise SimulationError(f"{name} is {words}, got {value!r}")
    return number, Wish(**given)
