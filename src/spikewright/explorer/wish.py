"""A wish: the request of a page, checked. It comes from outside, so nothing in it is trusted."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

from spikewright._base.arguments import is_number, is_whole
from spikewright.choosing import ScaleRule
from spikewright.choosing.rules import parse
from spikewright.errors import SimulationError
from spikewright.explorer.message import NUMBER, Checks, check, received
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
"""The ends of the slider of firing-rate scales."""

_LEAST, _MOST = 1e-3, 1e6  # scales that may be asked for: those of advice lie anywhere

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
    """The request of a page: one sample, or one that was drawn, and the choices of a conversion.

    `layers` are layers with scales of their own, and `rule` the text of a rule that chooses all
    scales in the place of numbers. `synapse` is a time constant in seconds. `drawn` are values
    from 0 (black) to 255, in the order of the input, in base64.
    """

    sample: int = 0
    drawn: str | None = None
    scale: float = 10.0
    steps: int = 64
    cap: int | None = None
    neuron: str = "default"
    start: str = "half"
    readout: str = "mean"
    layers: tuple[tuple[str, float], ...] = ()
    rule: str | None = None
    synapse: float | None = None

    @property
    def anywhere(self) -> Wish:
        """The same choices, for no sample in particular."""
        return replace(self, sample=0, drawn=None)

    @property
    def spiking(self) -> bool | dict[type[NeuronType], NeuronType]:
        """The choice of neurons, as `convert` takes it."""
        chosen = NEURONS[self.neuron]
        return True if chosen is None else {RectifiedLinear: chosen[0]}

    def scales(self, layers: Iterable[str]) -> float | dict[str, float] | ScaleRule:
        """The choice of scales for these layers, as `convert` takes it.

        Raises `SimulationError` for a layer that is not one of them, and for a text that is no
        rule.
        """
        if self.rule is not None:
            return _rule(self.rule)
        if not self.layers:
            return float(self.scale)
        found = dict.fromkeys(layers, float(self.scale))
        for name, scale in self.layers:
            if name not in found:
                raise SimulationError(f"layers are {', '.join(found)}, got {name!r}")
            found[name] = float(scale)
        return found

    def arguments(self, layers: Iterable[str]) -> dict[str, Any]:
        """The arguments of `Conversion.again`, for a network with these layers."""
        return {
            "spiking": self.spiking,
            "scale_firing_rates": self.scales(layers),
            "synapse": self.synapse,
            "initial_voltage": self.start,
            "max_spikes_per_step": self.cap,
        }

    def options(self, layers: Iterable[str], given: Mapping[str, Any]) -> list[str]:
        """The same as options of a command whose network was made with the arguments `given`.

        A rule looks at data, which is another option.
        """
        chosen = NEURONS[self.neuron]
        found = ["--spiking" if chosen is None else f"--neurons=relu={chosen[1]}"]
        wanted = self.arguments(layers)
        scales = wanted["scale_firing_rates"]
        each = scales.items() if isinstance(scales, dict) else [("", self.rule or self.scale)]
        found += [f"--scale={name}{'=' * bool(name)}{_text(scale)}" for name, scale in each]
        for name, option in _OPTIONS.items():
            value, already = wanted[name], given.get(name)
            if value is not None and (type(value) is not type(already) or value != already):
                found.append(f"{option}={value}")
        return [*found, f"--steps={self.steps}"]

    def as_dict(self) -> dict[str, Any]:
        """It as plain data, as a page writes it."""
        return {**asdict(self), "layers": dict(self.layers)}

    @property
    def levels(self) -> bytes:
        """The values that were drawn, a byte each."""
        try:
            return base64.b64decode(self.drawn or "", validate=True)
        except (binascii.Error, ValueError) as error:
            raise SimulationError(f"drawn: {error}. Give the bytes of an image in base64") from None


_OPTIONS = {
    "synapse": "--synapse",
    "initial_voltage": "--initial-voltage",
    "max_spikes_per_step": "--max-spikes-per-step",
}


def _text(scale: str | float) -> str:
    return scale if isinstance(scale, str) else repr(float(scale))


def _rule(text: str) -> ScaleRule:
    """The rule that a text means."""
    try:
        return parse(text)
    except ValueError as error:
        raise SimulationError(f"rule: {error}") from None


def _is_scale(value: Any) -> bool:
    return is_number(value) and _LEAST <= value <= _MOST


_SCALE = f"a number from {_LEAST:g} to {_MOST:g}"
_CHECKS: Checks = {
    "sample": (lambda v: is_whole(v) and v >= 0, "a whole number from 0"),
    "drawn": (lambda v: v is None or isinstance(v, str), "None or text in base64"),
    "scale": (_is_scale, _SCALE),
    "steps": (
        lambda v: is_whole(v) and 1 <= v <= MOST_STEPS,
        f"a whole number from 1 to {MOST_STEPS}",
    ),
    "cap": (lambda v: v is None or (is_whole(v) and v >= 1), "None or a whole number from 1"),
    "neuron": (lambda v: v in list(NEURONS), f"one of {', '.join(NEURONS)}"),
    "start": (lambda v: v in STARTS, f"one of {', '.join(STARTS)}"),
    "readout": (lambda v: v in named(), f"one of {', '.join(named())}"),
    "layers": (
        lambda v: isinstance(v, dict) and all(map(_is_scale, v.values())),
        f"an object of layers, with {_SCALE} for each",
    ),
    "rule": (lambda v: v is None or isinstance(v, str), "None or the text of a rule"),
    "synapse": (
        lambda v: v is None or (is_number(v) and 0 < v <= 1),
        "None or a number of seconds above 0, up to 1",
    ),
}


def wish_of(text: str | bytes) -> tuple[int, Wish]:
    """The number of a request, and the wish in it, from JSON.

    Raises `SimulationError` naming what is unknown, or the field, its value and what may stand
    there.
    """
    given = received(text)
    number = given.pop("number", 0)
    check({"number": number}, {"number": NUMBER})
    check(given, _CHECKS)
    return number, wish_with(given)


def fits(name: str, value: Any) -> bool:
    """True for a value that may stand in a field of a wish, as a page writes it."""
    return _CHECKS[name][0](value)


def wish_with(given: Mapping[str, Any]) -> Wish:
    """The wish with these fields, as a page writes them, and all others as at first."""
    return Wish(**{**given, "layers": tuple(given.get("layers", {}).items())})
