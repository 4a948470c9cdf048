"""The arguments of a training, checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from spikewright._base.arguments import is_number, is_whole
from spikewright.errors import TrainingError
from spikewright.records import DEFAULT_TABLE

Method = Literal["rounding", "time", "auto"]
Trainable = Literal["weights", "biases", "scales", "initial_voltage", "neuron_scales"]
Thresholds = Literal["chosen", "kept"]
Keep = Literal["best", "last"]
Precision = Literal["float32", "bfloat16"]
LearningRate = float | Literal["chosen"]
LossName = Literal["both", "imitation", "truth"]
OptimiserName = Literal["adam", "adamw", "sgd"]
Range = tuple[float, float]
TRAINABLE: tuple[Trainable, ...] = ("weights", "biases", "scales", "initial_voltage")
"""Names of the arrays that a training changes by default."""


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """What a trained network may spend, on average."""

    spikes: float | None = None
    joules: float | None = None
    rates: Mapping[str, Range] = field(default_factory=dict)
    energy_table: str = DEFAULT_TABLE

    @property
    def budgets(self) -> list[str]:
        """The names of the budgets that were given."""
        return [name for name in ("spikes", "joules", "rates") if getattr(self, name)]


@dataclass(frozen=True, kw_only=True)
class TrainingObjective:
    """What a training makes small, and by what an epoch is judged."""

    loss: LossName | Callable[..., Any] = "both"
    layers: float = 0.0
    metric: Callable[..., Any] | None = None
    validation: float = 0.1
    keep: Keep = "best"


@dataclass(frozen=True, kw_only=True)
class Course:
    """How fast weights are learned, and for how long."""

    optimiser: OptimiserName | Callable[..., Any] = "adam"
    learning_rate: LearningRate = "chosen"
    epochs: int = 10
    timeout: float | None = None
    patience: int | None = None
    batch_size: int = 64

    @property
    def chooses_rate(self) -> bool:
        """True where the learning rate is chosen by trial."""
        return self.learning_rate == "chosen"


@dataclass(frozen=True, kw_only=True)
class Computing:
    """Where a training is computed, in which precision, and what is seen and kept of it."""

    precision: Precision = "float32"
    device: Any = "cpu"
    checkpoint: str | Path | None = None
    seed: int = 0
    progress: bool = True


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Budgets, TrainingObjective, Course, Computing):
    """Arguments of a training, checked together; `options.py` has the check of each.

    `validation` is the share of the samples that is held back, 0 where samples are given for it.
    """

    steps: int
    dt: float = 0.001
    method: Method = "auto"
    thresholds: Thresholds = "chosen"
    trainable: tuple[str, ...] = TRAINABLE
    frozen: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        self._require("steps", _whole(self.steps, 1), "a whole number from 1")
        share = is_number(self.validation) and 0 <= self.validation < 1
        self._require("validation", share, "samples, or a share of them from 0, below 1")

    @property
    def trains_scales(self) -> bool:
        """True where thresholds may change: those of channels, or one for every neuron."""
        return "scales" in self.trainable or self.trains_neuron_scales

    @property
    def trains_neuron_scales(self) -> bool:
        """True where every neuron may have a threshold of its own."""
        return "neuron_scales" in self.trainable

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise TrainingError(f"{name} must be {what}, got {getattr(self, name)!r}")


def settings_of(**given: Any) -> TrainingSettings:
    """Arguments as a user gave them, checked; raises `TrainingError`."""
    read: Mapping[str, Callable[[Any], Any]] = {
        "trainable": named, "frozen": _layers, "rates": _ranges,
    }  # fmt: skip
    return TrainingSettings(**{n: read[n](v) if n in read else v for n, v in given.items()})


def _layers(frozen: Any) -> tuple[str, ...] | None:
    """A layer's name or several; None for what the source froze."""
    if frozen is None:
        return None
    given = (frozen,) if isinstance(frozen, str) else frozen
    found = tuple(given) if isinstance(given, Iterable) else (given,)
    if not all(isinstance(name, str) for name in found):
        raise TrainingError(f"frozen must be names of layers, () for none, or None, got {frozen!r}")
    return found


def named(trainable: Sequence[str]) -> tuple[str, ...]:
    """A name or several of `Trainable`, as a tuple; raises `TrainingError` for other names."""
    found = (trainable,) if isinstance(trainable, str) else tuple(trainable)
    known = get_args(Trainable)
    if not found or any(name not in known for name in found):
        raise TrainingError(f"trainable must name some of {list(known)}, got {trainable!r}")
    return found


def _whole(value: Any, least: int) -> bool:
    return is_whole(value) and bool(value >= least)


def _ranges(rates: Any) -> dict[str, Range]:
    """Ranges of rates by layer; raises `TrainingError` for anything else."""
    if rates is None:
        return {}
    if not isinstance(rates, Mapping):
        raise TrainingError(f"rates must be {{layer: (low, high)}} in Hz, got {rates!r}")
    found = {}
    for layer, given in rates.items():
        pair = tuple(given) if isinstance(given, tuple | list) else ()
        if not (len(pair) == 2 and all(map(is_number, pair)) and 0 <= pair[0] < pair[1]):
            raise TrainingError(
                f"rates of layer {layer!r} must be (low, high) in Hz, from 0 and low below high, "
                f"got {given!r}"
            )
        found[layer] = (float(pair[0]), float(pair[1]))
    return found
