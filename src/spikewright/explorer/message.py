"""Messages from pages and to them: requests, none of which is trusted, and binary answers.

A request is a JSON object; `ExplorerSettings` are one that asks for a changed network. A binary
answer is a header in JSON, and arrays behind it, as they lie in memory:

4 bytes         length of the header, a little-endian whole number
the header      JSON in UTF-8; "arrays" are {name: {"type", "shape", "offset"}}
the arrays      from the next multiple of eight bytes on, each at its offset from there
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright._base.options import Check, number, one_of, whole
from spikewright.choosing import ScaleRule
from spikewright.choosing.coding import RateCode, SignedDigits
from spikewright.choosing.rules import parse
from spikewright.errors import SimulationError, SpikewrightError, printable, short_name
from spikewright.lower.coding import Coding
from spikewright.measure.readout import named
from spikewright.network.neurons import (
    BipolarIntegrateAndFire,
    NeuronType,
    PoissonSpiking,
    RectifiedLinear,
    SignedIntegrateAndFire,
    StochasticSpiking,
)
from spikewright.network.neurons.bipolar import MOST_DIGITS

if TYPE_CHECKING:
    from starlette.websockets import WebSocket


LONGEST = 1 << 20
"""Characters of a request, at most."""

_ALIGNED = 8


def request_field(check: Check, default: Any = None) -> Any:
    """A field of a request, with the check of its value and its default."""
    return field(default=default, metadata={"check": check})


def or_none(check: Check) -> Check:
    """A check that allows None too."""
    return Check(f"None or {check.must}", lambda value: value is None or check.holds(value))


def is_valid(request: type[Any], name: str, value: Any) -> bool:
    """True for a value that may stand in a field of a request."""
    return not _checks(request)[name].broken(value)


def _checks(request: type[Any]) -> dict[str, Check]:
    return {one.name: one.metadata["check"] for one in fields(request)}


def parse_request(text: str | bytes, request: type[Any]) -> tuple[int, dict[str, Any]]:
    """The number of a request, 0 where it has none, and its fields.

    Raises `SimulationError` for what is no JSON object, for an unknown name, and for a value that
    may not stand in its field.
    """
    checks = {"number": whole(0), **_checks(request)}
    given = _object(text)
    unknown = sorted(set(given) - set(checks))
    if unknown:
        names = ", ".join(checks)
        raise SimulationError(
            f"{format_value(unknown[0])} is no part of a request, which has {names}"
        )
    for name, value in given.items():
        if must := checks[name].broken(value):
            raise SimulationError(f"{name} must be {must}, got {format_value(value)}")
    return given.pop("number", 0), given


def _object(text: str | bytes) -> dict[str, Any]:
    if not isinstance(text, str):
        raise SimulationError(f"a request is a text, got a binary message of {len(text)} bytes")
    if len(text) > LONGEST:
        raise SimulationError(f"a request has at most {LONGEST} characters, got {len(text)}")
    try:
        given = json.loads(text)
    except RecursionError:
        raise SimulationError("a request is JSON, and no lists in lists a thousand deep") from None
    except ValueError as error:
        raise SimulationError(f"a request is JSON: {error}") from None
    if not isinstance(given, dict):
        raise SimulationError(f"a request is a JSON object, got a {type(given).__name__}")
    return given


def format_value(value: Any) -> str:
    """A value of a request in a message: a page may send much, and deep lists have no text."""
    try:
        return short_name(repr(value))
    except (RecursionError, ValueError):  # lists in lists without end, whole numbers without end
        return f"a {type(value).__name__} that is too large to show"


async def messages(socket: WebSocket) -> AsyncIterator[str | bytes]:
    """Messages of a page until it leaves: texts, and bytes, which no page of ours sends."""
    while (message := await socket.receive())["type"] == "websocket.receive":
        text = message.get("text")
        yield text if text is not None else message.get("bytes") or b""


async def send_error(socket: WebSocket, error: Exception, **more: Any) -> None:
    """Send an error to a page; layers, rules and functions of a user's own may raise any."""
    kind = "" if isinstance(error, SpikewrightError) else f"{type(error).__name__}: "
    text = printable(f"{kind}{error}")
    await socket.send_json({"kind": "error", **more, "text": text})


def pack_message(header: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> bytes:
    """A binary answer: plain data, and arrays of bytes, whole numbers or float32."""
    places, parts, offset = {}, [], 0
    for name, array in arrays.items():
        content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        places[name] = {"type": array.dtype.name, "shape": array.shape, "offset": offset}
        parts.append(_padded(content))
        offset += len(parts[-1])
    head = json.dumps({**header, "arrays": places}).encode()
    return b"".join([_padded(len(head).to_bytes(4, "little") + head), *parts])


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % _ALIGNED)


SCALES = (1.0, 1000.0)
"""The ends of the slider of firing-rate scales."""

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

_FIELDS = {"synapse": "synapse", "initial_voltage": "start", "max_spikes_per_step": "cap"}
"""Arguments of `convert`, and options of commands, that are a field of the settings as they are."""

_TEXT = or_none(Check("text", lambda value: isinstance(value, str)))
_SCALE = number(1e-3, most=1e6)  # those of advice lie anywhere
_READOUT = Check("the name of a readout", lambda value: value in named())
_LAYERS = Check(
    f"an object of layers, with {_SCALE.must} for each",
    lambda value: isinstance(value, dict) and all(map(_SCALE.holds, value.values())),
)


@dataclass(frozen=True)
class ExplorerSettings:
    """The settings of a page: one sample, or one that was drawn, and choices of a conversion.

    `layers` are layers with scales of their own, and `rule` the text of a rule that chooses all
    scales in the place of numbers. `synapse` is a time constant in seconds. `drawn` are values
    from 0 (black) to 255, in the order of the input, in base64. Of signed `digits`, so many of
    them, choices of firing rates mean nothing; `silent` are their silent steps, None those found.
    """

    sample: int = request_field(whole(0), 0)
    drawn: str | None = request_field(_TEXT)
    scale: float = request_field(_SCALE, 10.0)
    steps: int = request_field(whole(1, MOST_STEPS), 64)
    cap: int | None = request_field(or_none(whole(1)))
    neuron: str = request_field(one_of(NEURONS), "default")
    start: str = request_field(one_of(STARTS), "half")
    readout: str = request_field(_READOUT, "mean")
    layers: tuple[tuple[str, float], ...] = request_field(_LAYERS, ())
    rule: str | None = request_field(_TEXT)
    synapse: float | None = request_field(or_none(number(above=0, most=1)))
    digits: int | None = request_field(or_none(whole(1, MOST_DIGITS)))
    silent: int | None = request_field(or_none(whole(0, MOST_DIGITS)))

    @property
    def anywhere(self) -> ExplorerSettings:
        """The same choices, for no sample in particular."""
        return replace(self, sample=0, drawn=None)

    @property
    def coding(self) -> SignedDigits | None:
        """The code of values, None for firing rates; raises `ConversionError` as the code does."""
        if self.digits is None:
            return None
        return SignedDigits(self.digits, "auto" if self.silent is None else self.silent)

    @property
    def run(self) -> tuple[int, str]:
        """The steps of a run, and its readout."""
        return (self.steps, self.readout) if self.digits is None else (self.digits, "mean")

    @property
    def looks_at_data(self) -> bool:
        """Whether a rule or a code chooses by data."""
        return self.rule is not None or self.digits is not None

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
            try:
                return parse(self.rule)
            except ValueError as error:
                raise SimulationError(f"rule: {error}") from None
        if not self.layers:
            return float(self.scale)
        found = dict.fromkeys(layers, float(self.scale))
        for name, scale in self.layers:
            if name not in found:
                raise SimulationError(f"layers are {', '.join(found)}, got {name!r}")
            found[name] = float(scale)
        return found

    def arguments(self, layers: Iterable[str]) -> dict[str, Any]:
        """The arguments of `Conversion.replace`, for a network with these layers."""
        if self.digits is not None:
            free = ("scale_firing_rates", *_FIELDS)
            return {"spiking": True, "coding": self.coding, **dict.fromkeys(free)}
        return {
            "coding": None,
            "spiking": self.spiking,
            "scale_firing_rates": self.scales(layers),
            **{name: getattr(self, field) for name, field in _FIELDS.items()},
        }

    def options(self, layers: Iterable[str], given: Mapping[str, Any]) -> list[str]:
        """The same as options of a command whose network was made with the arguments `given`.

        A rule looks at data, which is another option.
        """
        if self.digits is not None:
            silent = "auto" if self.silent is None else self.silent
            code = f"--coding=digits:{self.digits},silent_steps={silent}"
            return ["--spiking", code, f"--scale=minimum-error:{self.digits},per=channel"]
        chosen = NEURONS[self.neuron]
        found = ["--spiking" if chosen is None else f"--neurons=relu={chosen[1]}"]
        found += ["--coding=rate"] * (given.get("coding") is not None)
        wanted = self.arguments(layers)
        scales = wanted["scale_firing_rates"]
        each = scales.items() if isinstance(scales, dict) else [("", self.rule or self.scale)]
        found += [f"--scale={name}{'=' * bool(name)}{_text(scale)}" for name, scale in each]
        for name in _FIELDS:
            value, already = wanted[name], given.get(name)
            if value is not None and (type(value) is not type(already) or value != already):
                found.append(f"--{name.replace('_', '-')}={value}")
        return [*found, f"--steps={self.steps}"]

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain data, as a page writes them."""
        return {**asdict(self), "layers": dict(self.layers)}

    @property
    def levels(self) -> bytes:
        """The values that were drawn, a byte each."""
        try:
            return base64.b64decode(self.drawn or "", validate=True)
        except (binascii.Error, ValueError) as error:
            raise SimulationError(f"drawn: {error}. Give the bytes of an image in base64") from None


def _text(scale: str | float) -> str:
    return scale if isinstance(scale, str) else repr(float(scale))


def settings_from(text: str | bytes) -> tuple[int, ExplorerSettings]:
    """The number of a request, and the settings in it, from JSON.

    Raises `SimulationError` naming what is unknown, or the field, its value and what may stand
    there.
    """
    number, given = parse_request(text, ExplorerSettings)
    return number, settings_with(given)


def settings_with(given: Mapping[str, Any]) -> ExplorerSettings:
    """Settings with these fields, as a page writes them, and the defaults of all others."""
    return ExplorerSettings(**{**given, "layers": tuple(given.get("layers", {}).items())})


def changes_of(
    arguments: Mapping[str, Any], steps: int, settings: ExplorerSettings
) -> dict[str, Any] | None:
    """Changes to the settings for these arguments and steps; None where no settings have them."""
    if "coding" in arguments:  # which chooses all else
        return change_of("coding", arguments["coding"])
    found: dict[str, Any] = {"steps": steps} if steps != settings.steps else {}
    changes = [change_of(name, value) for name, value in arguments.items()]
    if steps > MOST_STEPS or None in changes:
        return None
    return {name: value for one in (found, *changes) if one for name, value in one.items()}


def change_of(name: str, value: Any) -> dict[str, Any] | None:
    """Changes to settings for one argument of `convert`; None where no settings have it."""
    changes: dict[str, Any] = {}
    if name in _FIELDS:
        changes = {_FIELDS[name]: value.item() if isinstance(value, np.generic) else value}
    elif name == "spiking":
        same = [neuron for neuron in NEURONS if ExplorerSettings(neuron=neuron).spiking == value]
        changes = {"neuron": same[0]} if same else {}
    elif name == "coding":
        changes = _change_of_code(value)
    elif name == "scale_firing_rates" and is_number(value):
        changes = {"scale": float(value), "layers": {}, "rule": None}
    elif name == "scale_firing_rates" and isinstance(value, Mapping):
        each = {layer: float(one) for layer, one in value.items() if is_number(one)}
        changes = {"layers": each, "rule": None} if len(each) == len(value) else {}
    known = bool(changes) and all(
        is_valid(ExplorerSettings, field, changed) for field, changed in changes.items()
    )
    return changes if known else None


def _change_of_code(code: Coding) -> dict[str, Any]:
    """Changes to the settings for a code; empty where no settings have it."""
    if isinstance(code, RateCode):
        steps = {} if code.steps is None else {"steps": code.steps}
        return {"digits": None, "silent": None, **steps}
    if not isinstance(code, SignedDigits) or isinstance(code.silent_steps, Mapping):
        return {}
    silent = None if code.silent_steps == "auto" else code.silent_steps
    return {"digits": code.steps, "silent": silent}
