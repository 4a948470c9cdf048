"""The arguments of a training, checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from spikewright._base.arguments import is_number, is_whole
from spikewright.errors import TrainingError

Method = Literal["rounding", "time", "auto"]
Trainable = Literal["weights", "biases", "scales", "initial_voltage"]


@dataclass(frozen=True)
class Settings:
    """Arguments of a training, checked."""

    steps: int
    dt: float
    method: Method
    trainable: tuple[str, ...]
    spikes: float | None
    epochs: int
    timeout: float | None
    batch_size: int
    learning_rate: float
    validation: float
    seed: int
    progress: bool

    def __post_init__(self) -> None:
        for name in ("steps", "epochs", "batch_size"):
            _require(name, getattr(self, name), is_whole, 1, "a whole number from 1")
        _require("seed", self.seed, is_whole, 0, "a whole number from 0")
        for name in ("dt", "learning_rate"):
            value = getattr(self, name)
            if not (is_number(value) and value > 0):
                raise TrainingError(f"{name} must be a number above 0, got {value!r}")
        if self.timeout is not None and not (is_number(self.timeout) and self.timeout > 0):
            raise TrainingError(f"timeout must be seconds above 0 or None, got {self.timeout!r}")
        if self.spikes is not None and not (is_number(self.spikes) and self.spikes > 0):
            raise TrainingError(
                f"spikes must be a number of spikes a sample above 0, or None, got {self.spikes!r}"
            )
        if self.spikes is not None and not self.validation:
            raise TrainingError(
                "spikes: a budget is measured on samples that are held back. Give validation, a "
                "share of the samples above 0"
            )
        if not (is_number(self.validation) and 0 <= self.validation < 1):
            raise TrainingError(
                f"validation must be a share of the samples from 0, below 1, got "
                f"{self.validation!r}"
            )
        if self.method not in get_args(Method):
            raise TrainingError(
                f"method must be one of {list(get_args(Method))}, got {self.method!r}"
            )
        unknown = [name for name in self.trainable if name not in get_args(Trainable)]
        if unknown or not self.trainable:
            raise TrainingError(
                f"trainable must name some of {list(get_args(Trainable))}, got {self.trainable!r}"
            )


def _require(name: str, value: Any, kind: Callable[[Any], bool], least: int, what: str) -> None:
    if not (kind(value) and value >= least):
        raise TrainingError(f"{name} must be {what}, got {value!r}")


def settings_of(trainable: Sequence[str], **given: Any) -> Settings:
    """Arguments as a user gave them, checked; raises `TrainingError`."""
    if isinstance(trainable, str):
        trainable = (trainable,)
    return Settings(trainable=tuple(trainable), **given)
