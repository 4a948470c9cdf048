"""Device noise: chips with circuits of analog parts, whose weights miss their values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np

from spikewright._base.arguments import is_number, is_whole
from spikewright.errors import SimulationError
from spikewright.measure import Evaluation
from spikewright.network.transforms import Chain, Convolution, Dense, Scale, Sparse, Transform
from spikewright.records import Record
from spikewright.running.protocols import ConversionLike

_WEIGHTS: Mapping[type[Transform], str] = {
    Dense: "matrix",
    Convolution: "kernel",
    Sparse: "values",
    Scale: "factor",
}

Made = TypeVar("Made", bound=ConversionLike)


@dataclass(frozen=True)
class DeviceNoise:
    """Noise of analog chips, `noise=` of `Conversion.evaluate`.

    In each of `draws` draws every weight is multiplied by `1 + weights z`, `z` normal and its own,
    fixed for the draw as the faults of one chip are; a kernel's weights are the same at all places.
    Draws follow from `seed`. Raises `SimulationError` for numbers that no chip has.
    """

    weights: float = 0.0
    draws: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if not (is_number(self.weights) and self.weights >= 0):
            raise _refused("weights", "a standard deviation from 0, as a part", self.weights)
        if not (is_whole(self.draws) and self.draws >= 1):
            raise _refused("draws", "a whole number from 1", self.draws)
        if not (is_whole(self.seed) and self.seed >= 0):
            raise _refused("seed", "a whole number from 0", self.seed)

    def chip(self, conversion: Made, draw: int) -> Made:
        """A copy of a conversion with the faults of one draw."""
        made = deepcopy(conversion)
        for place, connection in enumerate(made.network.all_connections):
            if self.weights and connection.transform is not None:
                rng = np.random.default_rng((self.seed, draw, place))
                connection.transform = _with_faults(connection.transform, self.weights, rng)
        return made


def _refused(field: str, what: str, value: Any) -> SimulationError:
    return SimulationError(f"DeviceNoise.{field} is {what}, got {value!r}")


def _with_faults(transform: Transform, deviation: float, rng: np.random.Generator) -> Transform:
    """A transform whose weights miss their values."""
    if isinstance(transform, Chain):
        return Chain(tuple(_with_faults(part, deviation, rng) for part in transform.parts))
    field = _WEIGHTS.get(type(transform))
    if field is None:
        return transform
    weights = getattr(transform, field)
    faults = 1.0 + deviation * rng.standard_normal(weights.shape)
    made: Transform = replace(transform, **{field: weights * faults})  # type: ignore[type-var]
    return made


def over_draws(noise: DeviceNoise, x: Any, evaluate: Callable[[int], Evaluation]) -> Evaluation:
    """Evaluations of all draws as one: means, and the spread in `how` of their records.

    An interval is from the least to the largest of the draws; `how["spread"]` is their standard
    deviation. Raises `SimulationError` for data that can be read only once.
    """
    if not isinstance(noise, DeviceNoise):
        raise SimulationError(f"noise is None or sw.DeviceNoise, got {noise!r}")
    if isinstance(x, Iterator):
        raise SimulationError(
            "noise needs the data once a draw, and an iterator can be read once: give a list of it"
        )
    found = [evaluate(draw) for draw in range(noise.draws)]
    details = {"noise": asdict(noise)}
    records = tuple(_joined(found, noise.draws))
    return Evaluation(records, {**found[0].settings, **details})


def _joined(found: Sequence[Evaluation], draws: int) -> Iterator[Record]:
    """Records that all draws have, with the mean of their values."""
    values: dict[str, list[float]] = {}
    for evaluation in found:
        for record in evaluation.records:
            values.setdefault(_key(record), []).append(record.value)
    for record in found[0].records:
        drawn = np.array(values[_key(record)])
        if len(drawn) == draws:
            how = {**record.how, "draws": draws, "spread": float(drawn.std())}
            ends = float(drawn.min()), float(drawn.max())
            yield replace(record, value=float(drawn.mean()), interval=ends, how=how)


def _key(record: Record) -> str:
    """A key of a record that no other of its evaluation has."""
    return json.dumps([record.name, dict(record.how)], sort_keys=True, default=repr)
