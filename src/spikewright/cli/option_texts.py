"""Values as they are written in commands: how those are read whose type does not say it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spikewright import executors
from spikewright._base.texts import parsed, split_at
from spikewright.chips import profile
from spikewright.choosing.correction import BiasCorrection, StepCorrection, VoltageCorrection
from spikewright.choosing.fission import Fission
from spikewright.choosing.rules import RULES, ScaleRule, parse
from spikewright.choosing.rules.rule import is_rule, split
from spikewright.cli.by_layer import last
from spikewright.cli.samples import load_samples
from spikewright.errors import ConversionError, NetworkError, SimulationError
from spikewright.network.neurons import NEURON_TYPES, NeuronType
from spikewright.quantising import Quantised, bits_of
from spikewright.running.encoders import Constant, Encoder, Frames, Poisson, Regular
from spikewright.training.options import named


def number(text: str) -> float:
    """A number; raises `ValueError` for anything else."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


def whole(text: str) -> int:
    """A whole number; raises `ValueError` for anything else."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def _steps(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is not a whole number from 1")
    return int(text)


def _learning_rate(text: str) -> float | str:
    return text if text == "chosen" else number(text)


def _scale(text: str) -> float | ScaleRule:
    if is_rule(text):
        return parse(text)
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither a number nor a rule; rules are {', '.join(sorted(RULES))}"
        ) from None


def _is_neuron_type(text: str) -> bool:
    return text.partition(":")[0] in NEURON_TYPES


def neurons(text: str) -> NeuronType:
    """A neuron type as text: `IntegrateAndFire:max_spikes_per_step=1`, `RegularSpiking:Tanh`."""
    try:
        return parsed(
            text, NEURON_TYPES, "neuron type", {"NeuronType": neurons, "Mapping[str, Start]": None}
        )
    except (NetworkError, TypeError) as error:
        raise ValueError(f"{text!r}: {error}") from None


def _synapse(text: str) -> float | None:
    return None if text == "none" else number(text)


def _voltage(text: str) -> str | float | VoltageCorrection:
    if text in ("zero", "half", "uniform"):
        return text
    name, _, steps = text.partition(":")
    if name == "correction":
        return VoltageCorrection(whole(steps))
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither zero, half or uniform nor correction:STEPS nor a number"
        ) from None


def _calibration(text: str) -> Any:
    """The inputs in a data file; any other file is one of statistics."""
    path = Path(text)
    return load_samples(path).x if path.suffix.lower() == ".npz" else path


def _bias(text: str) -> BiasCorrection | StepCorrection:
    each, _, steps = text.rpartition(":")
    if each not in ("", "each") or not steps.isdecimal() or int(steps) < 1:
        raise ValueError(f"{text!r} is no number of steps such as 8 or each:8")
    return StepCorrection(int(steps)) if each else BiasCorrection(int(steps))


def _fission(text: str) -> Fission:
    steps, _, extra = text.partition(":")
    try:
        return Fission(whole(steps), number(extra)) if extra else Fission(whole(steps))
    except (ValueError, ConversionError) as error:
        raise ValueError(
            f"{text!r} is no number of steps such as 4, or 4:0.5 with neurons for each one: {error}"
        ) from None


def _bits(text: str) -> Quantised:
    bits, separator, per = text.partition(":")
    if not bits.isdecimal():
        raise ValueError(f"{text!r} is no number of bits such as 8 or 4:layer")
    return Quantised(int(bits), per if separator else "channel")  # type: ignore[arg-type]


def _example(text: str) -> np.ndarray:
    """An input of that shape, with a batch axis of one; its values do not matter."""
    try:
        shape = tuple(int(extent) for extent in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r} is not a shape such as 1,28,28") from None
    if min(shape) < 1:
        raise ValueError(f"{text!r} is not a shape: every extent must be above 0")
    return np.zeros((1, *shape), np.float32)


_ENCODERS: Mapping[str, Callable[[str], Encoder]] = {
    "constant": lambda text: Constant(),
    "regular": lambda text: Regular(number(text)),
    "poisson": lambda text: Poisson(number(text)),
    "frames": lambda text: Frames(int(text)),
}


def _encoder(text: str) -> Encoder:
    name, separator, value = text.partition(":")
    make = _ENCODERS.get(name)
    if make is None or bool(separator) == (name == "constant"):
        raise ValueError(
            f"{text!r} is no encoder; encoders are constant, regular:HZ, poisson:HZ, frames:STEPS"
        )
    try:
        return make(value)
    except (ValueError, SimulationError) as error:
        raise ValueError(f"{text!r}: {error}") from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _range(text: str) -> tuple[float, float]:
    low, _, high = text.partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        raise ValueError(f"give LAYER=LOW:HIGH in Hz, got LAYER={text}") from None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


@dataclass(frozen=True)
class Form:
    """The written form of an option in commands: flag, reader, metavar.

    `read` makes a value of a text, and raises `ValueError`. `several` says how there may be more
    than one: by layer as NAME=VALUE, between commas, or repeated. `help` stands in the place of
    what is declared, which speaks of values in Python.
    """

    flag: str = ""
    read: Callable[[str], Any] | None = None
    metavar: str | None = None
    several: Literal["", "named", "commas"] = ""
    help: str = ""
    split: Callable[[str], tuple[str, str]] = last


def choice(names: tuple[str, ...]) -> Callable[[str], str]:
    """A reader of some words."""

    def read(text: str) -> str:
        if text not in names:
            raise ValueError(f"{text!r} is not one of {', '.join(map(repr, names))}")
        return text

    return read


FORMS: Mapping[str, Form] = {
    "spiking": Form("--spiking/--rate"),
    "neurons": Form(
        read=neurons, metavar="NAME=TYPE", several="named",
        split=partial(split_at, begins=_is_neuron_type),
    ),
    "scale_firing_rates": Form(
        "--scale", _scale, "SCALE", "named",
        "Firing-rate scale (default 1, or that of a layer that rounds), or a rule such as "
        "target-rate:250 or minimum-error:8; "
        "LAYER=SCALE, repeated or separated by commas, for some layers or activations, and "
        "default=SCALE for the others: default=1,conv0=100. Rules: see docs/calibration.md.",
        split,
    ),
    "synapse": Form(
        "", _synapse, "TAU", "named",
        "Time constant in seconds of a lowpass filter on what leaves neurons, or none (default); "
        "LAYER=TAU, repeated or separated by commas, for some layers or activations.",
    ),
    "initial_voltage": Form(
        "", _voltage, "START", "named",
        "zero, half (default, save for layers that round), uniform, or a number of spikes; "
        "LAYER=START, repeated or separated by commas, for some layers or activations. "
        "correction:STEPS makes it what runs of that many steps miss on the calibration data.",
    ),
    "calibration": Form(
        "", _calibration, "PATH", "",
        "Data for rules and corrections: a .npz file with x, or saved statistics.",
    ),
    "bias_correction": Form(
        "", _bias, "STEPS", "",
        "Correct biases by what runs of this many steps miss on the calibration data; each:STEPS "
        "gives every step its own.",
    ),
    "fission": Form(
        "", _fission, "STEPS", "",
        "Split neurons that round badly in this many steps into several, by the calibration "
        "data: half a neuron more for each one at most, or STEPS:EXTRA.",
    ),
    "weights": Form(
        "--weights-bits", _bits, "BITS", "",
        "Weights of 2 to 16 bits, sign included, and neurons that compute in whole numbers: 8 has "
        "a step for each channel, 8:layer one for each layer.",
    ),
    "chip": Form(read=lambda text: bits_of(profile(text)), metavar="CHIP"),
    "example_input": Form(
        "--example-shape", _example, "SHAPE", "named",
        "Shape of one sample, such as 1,28,28, where the model leaves it open; INPUT=SHAPE, "
        "repeated, for several inputs.",
    ),
    "outputs": Form("--outputs", metavar="NAME"),
    "encoder": Form(
        "", _encoder, "ENCODER", "named",
        "The encoder of inputs: constant (default), regular:HZ or poisson:HZ (spikes, of "
        "this rate for a value of 1), frames:STEPS (x is (batch, frames, *shape), each held); "
        "INPUT=ENCODER, repeated, for several inputs.",
    ),
    "executor": Form(read=choice(executors.NAMES), metavar=f"[{'|'.join(executors.NAMES)}]"),
    "trainable": Form(
        "", lambda text: named([part.strip() for part in text.split(",")]), "NAMES", "",
        "What a training may change, separated by commas; without weights these stay as they are. "
        "neuron_scales in place of scales gives every neuron a threshold of its own.",
    ),
    "frozen": Form(
        "", _names, "LAYERS", "",
        'Layers whose weights and biases stay, separated by commas; "" trains all (default: those '
        "that the file of MODEL says are frozen).",
    ),
    "learning_rate": Form("", _learning_rate, "NUMBER"),
    "rates": Form(
        "--layer-rate", _range, "LAYER=LOW:HIGH", "named",
        "Budget: a layer's mean rate in Hz; repeat for more.",
    ),
    "device": Form(read=str, metavar="TEXT"),
    "space": Form(
        "", _json, "NAME=VALUE", "named",
        "Restrict a parameter, such as max_spikes_per_step=1 or steps=[4,8]; repeat for more.",
    ),
    "scales": Form(
        "--scale", _scale, "SCALE,...", "commas",
        "Firing-rate scales, such as 1,2,5,10,50 (default); repeat it for rules, such as "
        "minimum-error:8.",
    ),
    "several synapses": Form(
        "--synapse", _synapse, "TAU,...", "commas",
        "Time constants in seconds of a lowpass filter on what leaves neurons, such as none,0.005 "
        "(default none).",
    ),
    "several steps": Form(
        "--steps", _steps, "STEPS,...", "commas",
        "Steps after which outputs are read, such as 8,16,30 (default 1,2,4,8,16,32).",
    ),
}  # fmt: skip
"""The forms of options whose type alone does not say how they are written."""


def flag(name: str) -> str:
    """The option of a command for an argument of the library."""
    form = FORMS.get(name, Form())
    return form.flag or f"--{name.replace('_', '-')}"


PYTHON_ONLY = frozenset({"fallback"})
"""Options that a command does not have: the layers that they call are in no file."""
