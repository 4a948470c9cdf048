"""A setting of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spikewright.measure import EveryStep

Plain = str | float | None


@dataclass(frozen=True, eq=False)
class StudySetting:
    """A setting of a study: how a model is converted, and how its network is read out.

    `arguments` are those of `convert` but its model; where they look at data and name no
    `calibration`, the study's own samples are looked at. The network runs for `steps` steps (None:
    as many as the study says) and is read by each of `readouts`. `how` tells the setting from
    others in records: numbers as they are, anything else as text.
    """

    name: str
    arguments: Mapping[str, Any]
    readouts: Sequence[EveryStep] = ("mean",)
    steps: int | None = None
    how: Mapping[str, Plain] = field(default_factory=dict)
