"""Values as they are written in commands: how those are read whose type does not say it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np

from spikewright import executors
from spikewright._base.spec_strings import SpecParser, by_spec_name
from spikewright.chips import profile
from spikewright.choosing.coding import parse_coding
from spikewright.choosing.correction import BiasCorrection, StepCorrection, VoltageCorrection
from spikewright.choosing.rules import parse
from spikewright.cli.files import load_samples
from spikewright.errors import ChipError
from spikewright.network.neurons import NEURON_TYPES
from spikewright.quantising import Quantised, bits_of
from spikewright.running.encoders import ConstantCurrent, Frames, Poisson, Regular
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


def _calibration(text: str) -> Any:
    """The inputs in a data file; any other file is one of statistics."""
    path = Path(text)
    return load_samples(path).x if path.suffix.lower() == ".npz" else path


def _example(text: str) -> np.ndarray:
    """An input of that shape, with a batch axis of one; its values do not matter."""
    try:
        shape = tuple(int(extent) for extent in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r} is not a shape such as 1,28,28") from None
    if min(shape) < 1:
        raise ValueError(f"{text!r} is not a shape: every extent must be above 0")
    return np.zeros((1, *shape), np.float32)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _chip(text: str) -> Quantised:
    try:
        return bits_of(profile(text))
    except ChipError as error:
        known = "is no number of bits such as 8 or 4,layer, and no chip"
        raise ValueError(f"{text!r} {known}: {error}") from None


NEURONS: SpecParser = SpecParser(
    "neuron type",
    NEURON_TYPES,
    {"NeuronType": lambda text: NEURONS(text), "Mapping[str, Start]": None},
)
SCALE = replace(parse, numbers=True)
START = SpecParser(
    "start",
    by_spec_name(VoltageCorrection),
    words={word: word for word in ("zero", "half", "uniform")},
    numbers=True,
)
ENCODER = SpecParser("encoder", by_spec_name(ConstantCurrent, Regular, Poisson, Frames))
BIAS = SpecParser(
    "correction", by_spec_name(BiasCorrection, StepCorrection), leading="bias-correction"
)
WEIGHTS = SpecParser("number of bits", by_spec_name(Quantised), leading="quantised", nameless=_chip)
SYNAPSE = SpecParser("synapse", {}, words={"none": None}, numbers=True)
EXECUTOR = SpecParser("executor", {}, words={name: name for name in executors.NAMES})


@dataclass(frozen=True)
class OptionForm:
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


FORMS: Mapping[str, OptionForm] = {
    "spiking": OptionForm("--spiking/--rate"),
    "neurons": OptionForm("", NEURONS, "NAME=TYPE", "named"),
    "scale_firing_rates": OptionForm(
        "--scale", SCALE, "SCALE", "named",
        "Firing-rate scale (default 1, or that of a layer that rounds), or a rule such as "
        "target-rate:250 or minimum-error:8. LAYER=SCALE, repeated or separated by commas, sets "
        "some layers or activations, default=SCALE the others: default=1,conv0=100.",
    ),
    "coding": OptionForm(
        "", parse_coding, "CODING", "",
        "The coding of values in spikes: rate (default), or digits:STEPS, signed binary digits, "
        "where each layer starts some steps after its inputs.",
    ),
    "synapse": OptionForm(
        "", SYNAPSE, "TAU", "named",
        "Time constant in seconds of a lowpass filter on the output of neurons, or none (default). "
        "LAYER=TAU, repeated or separated by commas, sets some layers or activations.",
    ),
    "initial_voltage": OptionForm(
        "", START, "START", "named",
        "zero, half (default, except in layers that round), uniform, or a number of spikes. "
        "LAYER=START, repeated or separated by commas, sets some layers or activations. "
        "voltage-correction:STEPS corrects the mean error of runs of that many steps on the "
        "calibration data.",
    ),
    "calibration": OptionForm(
        "", _calibration, "PATH", "",
        "Data for rules and corrections: a .npz file with x, or saved statistics.",
    ),
    "bias_correction": OptionForm(
        "", BIAS, "STEPS", "",
        "Correct biases by the mean error of runs of this many steps on the calibration data; "
        "step-correction:STEPS corrects each step separately.",
    ),
    "weights": OptionForm(
        "", WEIGHTS, "BITS", "",
        "Weights of 2 to 16 bits, sign included, and neurons that compute in whole numbers: 8 has "
        "a step size for each channel, 8,layer one for each layer. Or a chip, such as speck, or a "
        ".toml file of one, for its weights, biases, thresholds, voltages, cap, floor and reset, "
        "with spiking neurons.",
    ),
    "example_input": OptionForm(
        "--example-shape", _example, "SHAPE", "named",
        "Shape of one sample, such as 1,28,28, where the model leaves it open; INPUT=SHAPE, "
        "repeated, for several inputs.",
    ),
    "class_names": OptionForm("", _names, "NAMES"),
    "outputs": OptionForm("--outputs", metavar="NAME"),
    "encoder": OptionForm(
        "", ENCODER, "ENCODER", "named",
        "The encoder of inputs: constant (default), regular:HZ or poisson:HZ (spikes, of "
        "this rate for a value of 1), frames:STEPS (x is (batch, frames, *shape), each held); "
        "INPUT=ENCODER, repeated, for several inputs.",
    ),
    "executor": OptionForm(read=EXECUTOR, metavar=f"[{'|'.join(executors.NAMES)}]"),
    "trainable": OptionForm(
        "", lambda text: named(list(_names(text))), "NAMES", "",
        "What training may change, separated by commas; neuron_scales in place of scales gives "
        "every neuron a threshold of its own.",
    ),
    "frozen": OptionForm(
        "", _names, "LAYERS", "",
        'Layers whose weights and biases stay, separated by commas; "" trains all (default: those '
        "that are frozen in the file of MODEL).",
    ),
    "learning_rate": OptionForm(
        "", lambda text: text if text == "chosen" else number(text), "NUMBER"
    ),
    "device": OptionForm(read=str, metavar="TEXT"),
    "space": OptionForm(
        "", _json, "NAME=VALUE", "named",
        "Restrict a parameter, such as max_spikes_per_step=1 or steps=[4,8]; repeat the option for "
        "more.",
    ),
    "scales": OptionForm(
        "--scale", SCALE, "SCALE,...", "commas",
        "Firing-rate scales, such as 1,2,5,10,50 (default); repeat the option for rules, such as "
        "minimum-error:8.",
    ),
}  # fmt: skip
"""The forms of options whose type alone does not say how they are written."""

SEVERAL: Mapping[str, OptionForm] = {
    "synapse": OptionForm(
        "", SYNAPSE, "TAU,...", "commas",
        "Time constants in seconds of a lowpass filter on the output of neurons, such as "
        "none,0.005 (default none).",
    ),
    "coding": OptionForm(
        "", parse_coding, "CODING", "commas",
        "The coding of values in spikes: rate, rate:STEPS or digits:STEPS; repeat the option for "
        "more. A coding with steps runs for that many and chooses scales unless --scale is given.",
    ),
    "steps": OptionForm(
        "", _steps, "STEPS,...", "commas",
        "Steps after which outputs are read, such as 8,16,30 (default 1,2,4,8,16,32).",
    ),
}  # fmt: skip
"""The forms of those that a sweep takes several of."""

PYTHON_ONLY = frozenset({"fallback"})
"""Options that a command does not have: the layers that they call are in no file."""


def flag(name: str) -> str:
    """The option of a command for an argument of the library."""
    return FORMS.get(name, OptionForm()).flag or f"--{name.replace('_', '-')}"


def by_layer(values: tuple[str, ...], read: Callable[[str], Any], what: str) -> Any:
    """One value for all layers, or `{layer: value}` from `name=value` texts; None from nothing.

    Several stand in one text, separated by commas, or in texts of their own.

    Raises `click.BadParameter` for a mixture, for a layer given twice, and for values that
    `read` refuses with a ValueError.
    """
    if not values:
        return None
    split = read.split if isinstance(read, SpecParser) else SpecParser("", {}).split
    named = [entry for value in values for entry in _entries(value, split)]
    try:
        if len(values) == 1 and named[0] == ("", values[0]):
            return read(values[0])
        if any(not name for name, _ in named):
            raise click.BadParameter(
                f"give one {what}, or LAYER={what} of some layers and default={what} of the others"
            )
        names = [name for name, _ in named]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise click.BadParameter(f"{', '.join(sorted(twice))}: given more than once")
        return {name: read(text) for name, text in named}
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def between_commas(values: tuple[str, ...], read: Callable[[str], Any], metavar: str) -> list[Any]:
    """Several values; a thing with arguments, which may hold commas, is a text of its own."""
    whole = read.begins if isinstance(read, SpecParser) else lambda text: False
    parts = [part for text in values for part in ([text] if whole(text) else text.split(","))]
    try:
        return [read(text.strip()) for text in parts]
    except ValueError as error:
        raise click.BadParameter(f"{error}; give {metavar}") from error


def _entries(text: str, split: Callable[[str], tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The names and values in a text; arguments of a rule or a neuron type are a part of it."""
    parts = text.split(",")
    while len(parts) > 1 and all("=" in part for part in parts):
        if _has_arguments(split(parts[0])[1]) or not split(parts[0])[0]:
            break
        yield split(parts.pop(0))
    yield split(",".join(parts))


def _has_arguments(value: str) -> bool:
    """True for a value `name:arguments`, whose arguments may hold commas and =."""
    name, separator, _ = value.partition(":")
    return bool(separator) and any(c.isalpha() for c in name)
