"""Whatever states a difference says on which side of zero it lies, and each end of its interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from spikewright._base.amounts import format_difference
from spikewright.diagnosis.findings import Findings
from spikewright.diagnosis.judges import Score
from spikewright.diagnosis.loss import Loss
from spikewright.diagnosis.text import summary
from spikewright.evaluation.sweeping.readings import Judged, Reading
from spikewright.evaluation.sweeping.words import found_one
from spikewright.records import Record, Worth
from spikewright.report.page.summary import sentence

HOW = {"steps": 4, "readout": "mean", "dt": 0.001}
ACCURACY = Worth("accuracy")


@dataclass(frozen=True)
class Stated:
    """A difference of accuracy, its interval, and the records that an evaluation has of it."""

    drop: float
    low: float
    high: float

    @property
    def record(self) -> Record:
        """The record of the drop."""
        return Record("accuracy drop", self.drop, "fraction", 50, (self.low, self.high), HOW)

    @property
    def records(self) -> list[Record]:
        """The scores of network and source, and the drop."""
        return [
            Record("source accuracy", 0.9, "fraction", 50),
            Record("accuracy", 0.9 - self.drop, "fraction", 50, (0.8, 0.95), HOW),
            self.record,
        ]


def of_a_sweep(stated: Stated) -> str:
    """The sentence of a sweep about its best setting."""
    source, value, drop = stated.records
    tried: Any = SimpleNamespace(setting=SimpleNamespace(name="scale 5"))
    judged = Judged(ACCURACY, value, drop, source)
    return found_one(Reading(tried, 4, 0.001, "mean", (judged,), ()), 0.01, "spikes")


def of_a_diagnosis(stated: Stated) -> str:
    """The sentence of a diagnosis."""
    score = Score(ACCURACY, 0.9 - stated.drop, 0.9)
    loss, interval = Loss(score.drop, 0.1), (stated.low, stated.high)
    return summary(Findings(loss, interval, score, (), (), "", 5.0, 50, 4, 0.001))


WITH_INTERVAL: dict[str, Callable[[Stated], str]] = {
    "the headline of a report": lambda stated: sentence(stated.records),
    "a sweep": of_a_sweep,
    "a diagnosis": of_a_diagnosis,
    "a record": lambda stated: str(stated.record),
}
CASES = (
    Stated(-0.004, -0.018, 0.009), Stated(0.004, 0.001, 0.009), Stated(-0.018, -0.03, -0.009),
    Stated(0.05, -0.02, 0.12), Stated(0.0, -0.02, 0.03), Stated(0.02, 0.0, 0.04),
)  # fmt: skip


@pytest.mark.parametrize("stated", CASES, ids=str)
@pytest.mark.parametrize("output", WITH_INTERVAL.values(), ids=WITH_INTERVAL)
def test_sentences_state_it_alike(output: Callable[[Stated], str], stated: Stated) -> None:
    """The direction of the difference, and that of each end."""
    assert format_difference(stated.drop, (stated.low, stated.high)) in output(stated)
