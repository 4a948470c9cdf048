"""Options that several commands share, and how they become arguments of the library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeVar, get_args

import click
import numpy as np

from spikewright import executors
from spikewright._base.processors import MOST_THREADS
from spikewright._base.texts import parsed, split_at
from spikewright.chips import profile
from spikewright.choosing.correction import (
    CORRECTIONS,
    BiasCorrection,
    StepCorrection,
    VoltageCorrection,
)
from spikewright.choosing.fission import Fission
from spikewright.choosing.rules import RULES, ScaleRule, parse
from spikewright.choosing.rules.text import is_rule, split
from spikewright.cli.by_layer import by_layer, last
from spikewright.cli.opening import is_model
from spikewright.cli.samples import load_samples
from spikewright.engines import PRECISIONS
from spikewright.errors import ConversionError, NetworkError, SimulationError, TrainingError
from spikewright.network.neurons import NEURON_TYPES, NeuronType
from spikewright.passes import MAX_POOL_FORMS
from spikewright.quantising import Quantised, bits_of
from spikewright.records import DEFAULT_TABLE
from spikewright.running.encoders import Constant, Encoder, Frames, Poisson, Regular
from spikewright.study.point import MINIMISED
from spikewright.training.settings import TRAINABLE, Thresholds, named

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document instead of text."
)
model = click.argument("model", type=click.Path(path_type=Path))


def data(holds: str) -> Callable[[F], F]:
    """The data that a command needs, and the contents of its file."""
    return click.option(
        "--data",
        required=True,
        type=click.Path(path_type=Path),
        help=f"A .npz file with {holds}.",
    )


seed = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of whatever the network leaves random.",
)
engine = click.option(
    "--engine", default="auto", show_default=True, help="auto, native, reference or torch."
)
precision = click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    show_default=True,
    help="Of weights and outputs.",
)
limit = click.option(
    "--limit", type=click.IntRange(min=1), help="Use the first samples only, this many."
)
executor = click.option(
    "--executor",
    type=click.Choice(executors.NAMES),
    default="local",
    show_default=True,
    help="Do the work in this process, on Dask or on Ray.",
)
address = click.option(
    "--address", help="Of the cluster's scheduler (default: workers on this machine)."
)
batch_size = click.option(
    "--batch-size", type=click.IntRange(min=1), help="Samples side by side (default: by memory)."
)
threads = click.option(
    "--threads",
    type=click.IntRange(1, MOST_THREADS),
    help="Threads (default: the engine's choice).",
)
checkpoint = click.option(
    "--checkpoint",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep what is finished in this folder, and go on from there the next time.",
)
dt = click.option(
    "--dt",
    type=click.FloatRange(min=0, min_open=True),
    default=0.001,
    show_default=True,
    help="Length of a step in seconds.",
)


def steps(text: str, **more: Any) -> Callable[[F], F]:
    """The number of steps of a run."""
    return click.option("--steps", type=click.IntRange(min=1), help=text, **more)


def epochs(default: int, least: int = 1) -> Callable[[F], F]:
    """The length of a training."""
    return click.option(
        "--epochs",
        type=click.IntRange(min=least),
        default=default,
        show_default=True,
        help="Times that all samples are seen, at most.",
    )


thresholds = click.option(
    "--thresholds",
    type=click.Choice(get_args(Thresholds)),
    default="chosen",
    show_default=True,
    help="Begin with thresholds chosen for the steps, or with those of MODEL, a saved network.",
)


def check_thresholds(thresholds: str, model: Path) -> None:
    """Raise `click.UsageError` where those of a model are to be kept: it has none."""
    if thresholds == "kept" and is_model(model):
        raise click.UsageError(
            f"--thresholds kept: {model} is a model, which has none. Give a network saved with -o"
        )


def learning_rate(default: float, text: str) -> Callable[[F], F]:
    """The pace of a training."""
    return click.option(
        "--learning-rate", type=float, default=default, show_default=True, help=text
    )


def _parts(ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """Names that commas separate; those that nothing is called by are refused."""
    try:
        return named([part.strip() for part in value.split(",")])
    except TrainingError as error:
        raise click.BadParameter(str(error)) from error


def _layers(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    """Names that commas separate; None where there are none, and () for an empty text."""
    if value is None:
        return None
    return tuple(part.strip() for part in value.split(",") if part.strip())


trainable = click.option(
    "--trainable",
    default=",".join(TRAINABLE),
    show_default=True,
    callback=_parts,
    help="What a training may change, separated by commas; without weights these stay as they are. "
    "neuron_scales in place of scales gives every neuron a threshold of its own.",
)
frozen = click.option(
    "--frozen",
    metavar="LAYERS",
    callback=_layers,
    help='Layers whose weights and biases stay, separated by commas; "" trains all (default: those '
    "that the file of MODEL says are frozen).",
)
training_batch = click.option(
    "--batch-size", type=click.IntRange(min=1), default=64, show_default=True, help="Samples."
)
device = click.option("--device", default="cpu", show_default=True, help="Of PyTorch.")
minimise = click.option(
    "--minimise",
    type=click.Choice(MINIMISED),
    default="spikes",
    show_default=True,
    help="The cost to minimise.",
)
energy_table = click.option(
    "--energy-table", default=DEFAULT_TABLE, show_default=True, help="The cost table of energies."
)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


def scale_of(text: str) -> float | ScaleRule:
    """A number, or a rule as text."""
    if is_rule(text):
        return parse(text)
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither a number nor a rule; rules are {', '.join(sorted(RULES))}"
        ) from None


def _is_neuron_type(text: str) -> bool:
    """Whether a text begins with the name of a neuron type."""
    return text.partition(":")[0] in NEURON_TYPES


def _neurons(text: str) -> NeuronType:
    """A neuron type as text: `IntegrateAndFire:max_spikes_per_step=1`, `RegularSpiking:Tanh`."""
    try:
        return parsed(
            text, NEURON_TYPES, "neuron type", {"NeuronType": _neurons, "Mapping[str, Start]": None}
        )
    except (NetworkError, TypeError) as error:
        raise ValueError(f"{text!r}: {error}") from None


def synapse_of(text: str) -> float | None:
    """Seconds, or none."""
    return None if text == "none" else _number(text)


def _voltage(text: str) -> str | float | VoltageCorrection:
    if text in ("zero", "half", "uniform"):
        return text
    name, _, steps = text.partition(":")
    if name == "correction":
        return VoltageCorrection(_whole(steps))
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither zero, half or uniform nor correction:STEPS nor a number"
        ) from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def _data(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> Any:
    """The inputs in a data file; any other file is one of statistics."""
    if path is None or path.suffix.lower() != ".npz":
        return path
    return load_samples(path).x


def _bias(ctx: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    """A correction as `STEPS` or `each:STEPS`; raises `click.BadParameter` for anything else."""
    if text is None:
        return None
    each, _, steps = text.rpartition(":")
    if each not in ("", "each") or not steps.isdecimal() or int(steps) < 1:
        raise click.BadParameter(f"{text!r} is no number of steps such as 8 or each:8")
    return StepCorrection(int(steps)) if each else BiasCorrection(int(steps))


def _fission(ctx: click.Context, parameter: click.Parameter, text: str | None) -> Fission | None:
    """Fission as `STEPS` or `STEPS:EXTRA`; raises `click.BadParameter` for anything else."""
    if text is None:
        return None
    steps, _, extra = text.partition(":")
    try:
        return Fission(_whole(steps), _number(extra)) if extra else Fission(_whole(steps))
    except (ValueError, ConversionError) as error:
        raise click.BadParameter(
            f"{text!r} is no number of steps such as 4, or 4:0.5 with neurons for each one: {error}"
        ) from None


def _bits(text: str) -> Quantised:
    """Weights as `bits` or `bits:layer`; raises `click.BadParameter` for anything else."""
    bits, separator, per = text.partition(":")
    if not bits.isdecimal():
        raise click.BadParameter(f"{text!r} is no number of bits such as 8 or 4:layer")
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
    "regular": lambda text: Regular(_number(text)),
    "poisson": lambda text: Poisson(_number(text)),
    "frames": lambda text: Frames(int(text)),
}


def _encoder(text: str) -> Encoder:
    """An encoder as `name` or `name:number`."""
    name, separator, number = text.partition(":")
    make = _ENCODERS.get(name)
    if make is None or bool(separator) == (name == "constant"):
        raise ValueError(
            f"{text!r} is no encoder; encoders are constant, regular:HZ, poisson:HZ, frames:STEPS"
        )
    try:
        return make(number)
    except (ValueError, SimulationError) as error:
        raise ValueError(f"{text!r}: {error}") from None


def _each(
    convert: Callable[[str], Any],
    what: str,
    split: Callable[[str], tuple[str, str]] = last,
) -> Callable[..., Any]:
    def callback(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> Any:
        return by_layer(values, convert, what, split)

    return callback


max_pool = click.option(
    "--max-pool",
    type=click.Choice(list(MAX_POOL_FORMS)),
    help="Max pooling: gate keeps its mean (default), average changes the outputs.",
)
max_spikes_per_step = click.option(
    "--max-spikes-per-step",
    type=click.IntRange(min=1),
    help="At most this many spikes of a neuron in one step (default: no limit).",
)
sequence_step = click.option(
    "--sequence-step",
    type=click.IntRange(min=1),
    help="Steps of time for each step of a recurrent layer's sequence, in the same neurons "
    "(default: neurons of its own for every step of the sequence); x is (batch, time, "
    "*shape), and --steps is left out.",
)
example_input = click.option(
    "--example-shape",
    "example_input",
    multiple=True,
    callback=_each(_example, "SHAPE"),
    metavar="SHAPE",
    help="Shape of one sample, such as 1,28,28, where the model leaves it open; INPUT=SHAPE, "
    "repeated, for several inputs.",
)
outputs = click.option(
    "--outputs",
    multiple=True,
    callback=lambda ctx, parameter, names: list(names) or None,
    metavar="NAME",
    help="Keep this output, layer or ONNX value as an output, repeated for several, and cut what "
    "leads only elsewhere (default: the model's own outputs).",
)
encoder = click.option(
    "--encoder",
    multiple=True,
    callback=_each(_encoder, "ENCODER"),
    metavar="ENCODER",
    help="The encoder of inputs: constant (default), regular:HZ or poisson:HZ (spikes, of "
    "this rate for a value of 1), frames:STEPS (x is (batch, frames, *shape), each held); "
    "INPUT=ENCODER, repeated, for several inputs.",
)


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one, in this order."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


sampled = together(limit, seed, engine)
"""Options of commands that run samples."""

sharded = together(
    encoder,
    sampled,
    precision,
    batch_size,
    threads,
    checkpoint,
    executor,
    address,
)
"""Options of commands that measure a data set, in shards."""

_CONVERSION = {
    "spiking": click.option(
        "--spiking/--rate",
        default=None,
        help="Spiking neurons, or (default) rate neurons, which compute what the model does.",
    ),
    "neurons": click.option(
        "--neurons",
        multiple=True,
        callback=_each(_neurons, "TYPE", partial(split_at, begins=_is_neuron_type)),
        metavar="NAME=TYPE",
        help="Spiking neurons of a layer, or of all with an activation, such as "
        "conv0=SpikingRectifiedLinear or relu=IntegrateAndFire:max_spikes_per_step=1, repeated; "
        "a layer's name wins, and default means all others. Implies --spiking.",
    ),
    "scale_firing_rates": click.option(
        "--scale",
        "scale_firing_rates",
        multiple=True,
        callback=_each(scale_of, "SCALE", split),
        metavar="SCALE",
        help="Firing-rate scale (default 1, or that of a layer that rounds), or a rule such as "
        "target-rate:250 or minimum-error:8; "
        "LAYER=SCALE, repeated or separated by commas, for some layers or activations, and "
        "default=SCALE for the others: default=1,conv0=100. Rules: see docs/calibration.md.",
    ),
    "calibration": click.option(
        "--calibration",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=_data,
        help="Data for rules and corrections: a .npz file with x, or saved statistics.",
    ),
    "bias_correction": click.option(
        "--bias-correction",
        metavar="STEPS",
        callback=_bias,
        help="Correct biases by what runs of this many steps miss on the calibration data; "
        "each:STEPS gives every step its own.",
    ),
    "fission": click.option(
        "--fission",
        metavar="STEPS",
        callback=_fission,
        help="Split neurons that round badly in this many steps into several, by the calibration "
        "data: half a neuron more for each one at most, or STEPS:EXTRA.",
    ),
    "synapse": click.option(
        "--synapse",
        multiple=True,
        callback=_each(synapse_of, "TAU"),
        metavar="TAU",
        help="Time constant in seconds of a lowpass filter on what leaves neurons, or none "
        "(default); LAYER=TAU, repeated or separated by commas, for some layers or activations.",
    ),
    "initial_voltage": click.option(
        "--initial-voltage",
        multiple=True,
        callback=_each(_voltage, "START"),
        metavar="START",
        help="zero, half (default, save for layers that round), uniform, or a number of spikes; "
        "LAYER=START, repeated or "
        "separated by commas, for some layers or activations. correction:STEPS makes it what runs "
        "of that many steps miss on the calibration data.",
    ),
    "max_spikes_per_step": max_spikes_per_step,
    "weights": click.option(
        "--weights-bits",
        "weights",
        callback=lambda ctx, parameter, text: None if text is None else _bits(text),
        metavar="BITS",
        help="Weights of 2 to 16 bits, sign included, and neurons that compute in whole numbers: 8 "
        "has a step for each channel, 8:layer one for each layer.",
    ),
    "chip": click.option(
        "--chip",
        callback=lambda ctx, parameter, name: None if name is None else bits_of(profile(name)),
        metavar="CHIP",
        help="The bits of a chip, such as speck, or of a profile in a .toml file: weights, biases, "
        "thresholds, voltages, cap, floor and reset. Implies --spiking.",
    ),
    "max_pool": max_pool,
    "sequence_step": sequence_step,
    "outputs": outputs,
    "example_input": example_input,
}


def conversion(command: F) -> F:
    """Add the options of `convert`; the command gets those that were given as `choices`."""
    return conversion_but()(command)


def conversion_but(*names: str) -> Callable[[F], F]:
    """The same without those of some arguments, which the command has options of its own for."""
    options = {name: option for name, option in _CONVERSION.items() if name not in names}

    def decorate(command: F) -> F:
        @wraps(command)
        def collecting(**given_options: Any) -> Any:
            chosen = given({name: given_options.pop(name) for name in options})
            choices = _with_neurons(_with_chip(chosen))
            if "dt" in given_options:
                dt = given_options["dt"]
                choices = {name: in_steps_of(dt, value) for name, value in choices.items()}
            return command(choices=choices, **given_options)

        made: Any = collecting
        decorated: F = together(*options.values())(made)
        return decorated

    return decorate


def _with_neurons(choices: dict[str, Any]) -> dict[str, Any]:
    """Choices with neuron types by name in the place of spiking or not.

    Raises `click.UsageError` for a type without a name, and beside `--rate`.
    """
    neurons = choices.pop("neurons", None)
    if neurons is None:
        return choices
    if not isinstance(neurons, dict):
        raise click.UsageError("--neurons: give NAME=TYPE, of a layer or an activation")
    if choices.get("spiking") is False:
        raise click.UsageError("--neurons chooses spiking neurons: leave --rate out")
    return {**choices, "spiking": neurons}


def _with_chip(choices: dict[str, Any]) -> dict[str, Any]:
    """Choices with the bits of a chip as weights; raises `click.UsageError` where they differ."""
    chip = choices.pop("chip", None)
    if chip is None:
        return choices
    if "weights" in choices:
        raise click.UsageError("--weights-bits: --chip says which bits weights have; leave one out")
    if choices.get("spiking") is False:
        raise click.UsageError("--chip runs spiking networks: leave --rate out")
    return {**choices, "weights": chip}


def in_steps_of(dt: float, value: Any) -> Any:
    """A choice whose rules and corrections, if it holds any, are for steps of `dt` seconds."""
    if isinstance(value, dict):
        return {name: in_steps_of(dt, item) for name, item in value.items()}
    of_time = (ScaleRule, *CORRECTIONS, Fission, Quantised)
    if isinstance(value, of_time) and hasattr(value, "dt"):
        return replace(value, dt=dt)  # type: ignore[type-var]
    return value


def given(choices: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some options that were given: the library has the defaults of others."""
    return {name: value for name, value in choices.items() if value is not None}
