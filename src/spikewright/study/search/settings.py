"""The options of a search, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikewright._base.arguments import is_plain_number, is_plain_whole
from spikewright.errors import TuningError
from spikewright.passes import MaxPoolForm
from spikewright.quantising import Quantised
from spikewright.records import Worth
from spikewright.study.point import MINIMISED, Minimise
from spikewright.study.search.running import Running
from spikewright.training.options import TRAINABLE


@dataclass(frozen=True)
class TuneSettings:
    """The arguments of `tune`, but the model and the data.

    Raises `TuningError` for options that no search can have.
    """

    max_drop: float
    minimise: Minimise
    timeout: float
    trials: int | None
    confidence: float
    validation: Any
    searched: int
    space: Mapping[str, Any]
    study: str | Path | None
    max_pool: MaxPoolForm
    weights: Quantised | None
    outputs: Sequence[str] | None
    progress: bool
    running: Running
    train: Any = False
    trainable: tuple[str, ...] = TRAINABLE

    def __post_init__(self) -> None:
        if not (is_plain_number(self.max_drop) and self.max_drop >= 0):
            raise TuningError(f"max_drop is a number from 0, got {self.max_drop!r}")
        if self.running.metric is None and self.max_drop >= 1:
            raise TuningError(
                "max_drop is the accuracy that may be lost, a fraction from 0 and below 1 (0.005 "
                f"is half a point), got {self.max_drop!r}"
            )
        if self.minimise not in MINIMISED:
            raise TuningError(f"minimise is one of {', '.join(MINIMISED)}, got {self.minimise!r}")
        if not (is_plain_number(self.timeout) and self.timeout > 0):
            raise TuningError(f"timeout is a number of seconds above 0, got {self.timeout!r}")
        if not (is_plain_number(self.confidence) and 0 < self.confidence < 0.999):
            raise TuningError(f"confidence lies above 0 and below 0.999, got {self.confidence!r}")
        if self.trials is not None:
            _check_whole("trials", self.trials)
        pair = isinstance(self.train, tuple | list) and len(self.train) == 2
        if not (pair or isinstance(self.train, bool)):
            raise TuningError(
                "train is True, to train on the samples searched on, or samples (x, y), where y "
                f"may be None, got {type(self.train).__name__}"
            )
        _check_whole("searched", self.searched)

    @property
    def worth(self) -> Worth:
        """The measure of answers."""
        metric = self.running.metric
        return Worth("accuracy") if metric is None else Worth(metric.name, fraction=False)


def _check_whole(name: str, value: Any) -> None:
    if not (is_plain_whole(value) and value >= 1):
        raise TuningError(f"{name} is a whole number from 1, got {value!r}")
