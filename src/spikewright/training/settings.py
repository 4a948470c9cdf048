"""The arguments of a training, checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from spikewright._base.arguments import is_number, is_whole
from spikewright.errors import TrainingError

Method = Literal["rounding", "time", "auto"]
Trainable = Literal["weights", "biases", "scales", "initial_voltage", "neuron_scales"]
Thresholds = Literal["chosen", "kept"]
Keep = Literal["best", "last"]
Precision = Literal["float32", "bfloat16"]
Rate = float | Literal["chosen"]
LossName = Literal["both", "imitation", "truth"]
OptimiserName = Literal["adam", "adamw", "sgd"]
Range = tuple[float, float]
TRAINABLE: tuple[Trainable, ...] = ("weights", "biases", "scales", "initial_voltage")
"""Names of the arrays that a training changes by default."""
_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "method": get_args(Method),
        "thresholds": get_args(Thresholds),
        "keep": get_args(Keep),
        "precision": get_args(Precision),
        "loss": get_args(LossName),
        "optimiser": get_args(OptimiserName),
    }
)
_MAY_BE_CALLED = ("loss", "optimiser")
_WHOLE = "a whole number from 1"
_BOUNDED: Mapping[str, str] = MappingProxyType(
    {
        "timeout": "seconds",
        "spikes": "a number of spikes a sample",
        "joules": "a number of joules a sample",
    }
)


@dataclass(frozen=True)
class Settings:
    """Arguments of a training, checked.

    `validation` is the share of the samples that is held back, 0 where samples are given for it.
    """

    steps: int
    dt: float
    method: Method
    thresholds: Thresholds
    trainable: tuple[str, ...]
    frozen: tuple[str, ...] | None
    spikes: float | None
    joules: float | None
    rates: Mapping[str, Range]
    energy_table: str
    loss: LossName | Callable[..., Any]
    layers: float
    refit: bool
    metric: Callable[..., Any] | None
    optimiser: OptimiserName | Callable[..., Any]
    learning_rate: Rate
    epochs: int
    timeout: float | None
    patience: int | None
    keep: Keep
    validation: float
    batch_size: int
    precision: Precision
    device: Any
    checkpoint: str | Path | None
    seed: int
    progress: bool

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            self._require(name, is_whole(self._of(name)) and self._of(name) >= 1, _WHOLE)
        self._require("refit", isinstance(self.refit, bool), "True or False")
        least = 0 if self.refit else 1
        many = is_whole(self.epochs) and self.epochs >= least
        self._require("epochs", many, f"a whole number from {least}" + " with refit" * self.refit)
        if self.refit and "weights" not in self.trainable:
            raise TrainingError('refit=True fits weights: name "weights" in trainable')
        self._require("dt", _positive(self.dt), "a number above 0")
        rate = self.chooses_rate or _positive(self.learning_rate)
        self._require("learning_rate", rate, 'a number above 0, or "chosen"')
        for name, what in _BOUNDED.items():
            value = self._of(name)
            self._require(name, value is None or _positive(value), f"{what} above 0, or None")
        weight = is_number(self.layers) and 0 <= self.layers < math.inf
        self._require("layers", weight, "a weight from 0")
        self._require("seed", is_whole(self.seed) and self.seed >= 0, "a whole number from 0")
        stops = self.patience is None or (is_whole(self.patience) and self.patience >= 1)
        self._require("patience", stops, f"{_WHOLE}, or None")
        share = is_number(self.validation) and 0 <= self.validation < 1
        self._require("validation", share, "samples, or a share of them from 0, below 1")
        for name, known in _CHOICES.items():
            value, called = self._of(name), name in _MAY_BE_CALLED
            chosen = value in known if isinstance(value, str) else called and callable(value)
            self._require(name, chosen, f"one of {list(known)}" + ", or a function" * called)

    @property
    def chooses_rate(self) -> bool:
        """True where the rate of learning is chosen by trial."""
        return self.learning_rate == "chosen"

    @property
    def trains_scales(self) -> bool:
        """True where thresholds may change: those of channels, or one for every neuron."""
        return "scales" in self.trainable or self.trains_neuron_scales

    @property
    def trains_neuron_scales(self) -> bool:
        """True where every neuron may have a threshold of its own."""
        return "neuron_scales" in self.trainable

    @property
    def budgets(self) -> list[str]:
        """The names of the budgets that were given."""
        return [name for name in ("spikes", "joules", "rates") if self._of(name)]

    def _of(self, name: str) -> Any:
        return getattr(self, name)

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise TrainingError(f"{name} must be {what}, got {self._of(name)!r}")


def settings_of(
    trainable: Sequence[str],
    frozen: Sequence[str] | None,
    rates: Mapping[str, Any] | None,
    **given: Any,
) -> Settings:
    """Arguments as a user gave them, checked; raises `TrainingError`."""
    return Settings(
        trainable=named(trainable), frozen=_layers(frozen), rates=_ranges(rates or {}), **given
    )


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


def _positive(value: Any) -> bool:
    return is_number(value) and bool(value > 0)


def _ranges(rates: Any) -> dict[str, Range]:
    """Ranges of rates by layer; raises `TrainingError` for anything else."""
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
