"""The settings that an evaluation depends on, beside the conversion and the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any

from spikewright._base.arguments import is_number, is_whole
from spikewright._base.options import Option
from spikewright.engines import Precision
from spikewright.engines.settings import check_settings
from spikewright.errors import SimulationError
from spikewright.evaluation.device_noise import DeviceNoise
from spikewright.executors.base import KeptOptions
from spikewright.measure.readout import AtEveryStep, EveryStep, kind_of, known
from spikewright.measure.targets import Metric
from spikewright.running.encoders import Encoder
from spikewright.running.inputs import EncodedOptions


class EvaluateOptions(EncodedOptions, KeptOptions, total=False):
    """Options of an evaluation."""

    readouts: Annotated[
        Sequence[EveryStep],
        Option(
            ("mean", "last"),
            "Readouts to measure at every step; with signed digits only "
            '"mean", the complete value.',
        ),
    ]
    at: Annotated[
        Sequence[int] | None,
        Option(None, "Record spikes, operations and energy after this many steps too."),
    ]
    thresholds: Annotated[
        Sequence[float], Option((), "Confidences at which a sample may stop early.")
    ]
    source: Annotated[bool, Option(True, "Compare with the outputs of the source model.")]
    operations: Annotated[bool, Option(True, "Count operations and energy.")]
    noise: Annotated[
        DeviceNoise | None,
        Option(
            None,
            "That of analog chips, `sw.DeviceNoise(weights=0.05)`, whose weights miss theirs: "
            "the network is measured once a draw; records are means over the draws, with their "
            "least and largest value as interval.",
        ),
    ]
    metric: Annotated[
        Callable[[Any, Any], Any] | None,
        Option(
            None,
            "A function `f(outputs, y)` that judges in place of accuracy and errors: one number a "
            "sample, `(samples,)`, the more the better, for `outputs` `(samples, *out)`, of "
            "several `{name: array}`, and whatever y holds of these samples. Records have its "
            "name.",
        ),
    ]


_HOW = ("batch_size", "threads")  # settings that change no result


@dataclass(frozen=True)
class Settings:
    """Settings of an evaluation, checked; `batch_size` and `threads` change no result."""

    steps: int
    dt: float = 0.001
    readouts: tuple[EveryStep, ...] = ("mean", "last")
    at: tuple[int, ...] = ()
    seed: int = 0
    engine: str = "auto"
    precision: Precision = "float32"
    batch_size: int | None = None
    threads: int | None = None
    encoder: Encoder | Mapping[str, Encoder] | None = None
    thresholds: tuple[float, ...] = ()
    source: bool = True
    operations: bool = True
    metric: Metric | None = None

    def as_dict(self) -> dict[str, Any]:
        """The settings that results depend on, as plain data."""
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _HOW}
        return found | {
            "readouts": [str(readout) for readout in self.readouts],
            "at": list(self.at),
            "encoder": None if self.encoder is None else repr(self.encoder),
            "thresholds": list(self.thresholds),
            "twin": None,  # as in folders of earlier versions
            "metric": None if self.metric is None else self.metric.name,
        }


def checked(
    steps: Any,
    at: Any,
    readouts: Any,
    thresholds: Any,
    metric: Any = None,
    **others: Any,
) -> Settings:
    """Settings as a user gave them.

    Raises `SimulationError` for steps, readouts, thresholds and metrics that no evaluation can
    have, and for settings that no run can have.
    """
    check_settings(SimulationError, **others)
    if not (is_whole(steps) and steps >= 1):
        raise SimulationError(f"give a number of steps from 1, got steps={steps!r}")
    return Settings(
        steps=int(steps),
        at=_stops(at, int(steps)),
        readouts=_readouts(readouts),
        thresholds=_thresholds(thresholds),
        metric=Metric.of(metric),
        **others,
    )


def _stops(at: Any, steps: int) -> tuple[int, ...]:
    """The steps at which spikes are recorded, in order, with the last."""
    stops = [] if at is None else _several(at, "at")
    if not all(is_whole(stop) and 1 <= stop <= steps for stop in stops):
        raise SimulationError(f"at holds numbers of steps from 1 to {steps}, got {at!r}")
    return tuple(sorted({*map(int, stops), steps}))


def _readouts(readouts: Any) -> tuple[EveryStep, ...]:
    one = isinstance(readouts, str | AtEveryStep)
    found = [readouts] if one else _several(readouts, "readouts")
    if not found or any(kind_of(readout) is None for readout in found):
        raise SimulationError(f"readouts are some of {known()}, got {readouts!r}")
    return tuple(dict.fromkeys(found))


def _thresholds(thresholds: Any) -> tuple[float, ...]:
    found = [thresholds] if is_number(thresholds) else _several(thresholds, "thresholds")
    if not all(is_number(value) and 0 < value <= 1 for value in found):
        raise SimulationError(
            f"thresholds of early exit are confidences above 0 and up to 1, got {thresholds!r}"
        )
    return tuple(map(float, found))


def _several(given: Any, what: str) -> Sequence[Any]:
    try:
        return list(given)
    except TypeError:
        raise SimulationError(f"{what} must be a sequence, got {given!r}") from None
