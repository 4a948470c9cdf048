"""The quantised twin in an evaluation: from statistics or thresholds, on the same samples."""

from __future__ import annotations

import numpy as np
import pytest

import models
import spikewright as sw
from spikewright.choosing import collect
from spikewright.errors import SimulationError
from spikewright.graph import evaluate
from spikewright.measure.twin import quantised_twin
from spikewright.records import Record, select

GRAPH = models.mlp(2)
X = np.random.default_rng(5).normal(size=(60, 6))
Y = evaluate(GRAPH, {"x": X})["output"].argmax(axis=1)
THRESHOLDS = {"act1": 2.0, "act2": np.linspace(1.0, 2.0, 8)}


def conversion() -> sw.Conversion:
    """A spiking network whose labels are its source's answers."""
    return sw.convert(GRAPH, spiking=True, max_spikes_per_step=1)


def twin_record(steps: int, y: np.ndarray, twin: object, name: str = "twin accuracy") -> Record:
    """The one record of that name."""
    found = conversion().evaluate(X, y, steps, dt=1.0, twin=twin, progress=False)
    (record,) = select(found.records, name)
    assert record.how["steps"] == steps
    return record


@pytest.mark.parametrize(("steps", "bits"), [(1, 1), (3, 2), (4, 3), (7, 3)])
def test_the_twin_has_as_many_bits_as_the_steps_tell_apart(steps: int, bits: int) -> None:
    """Its accuracy is that of the twin network of so many bits."""
    values = quantised_twin(GRAPH, THRESHOLDS, bits).evaluate({"x": X})["output"]
    expected = float(np.mean(values.argmax(axis=1) == Y))
    assert twin_record(steps, Y, THRESHOLDS).value == pytest.approx(expected)


def test_thresholds_come_from_statistics() -> None:
    """With many bits and thresholds from data the twin answers as its source does."""
    statistics = collect(GRAPH, ["act1", "act2"], X, progress=False)
    record = twin_record(255, Y, statistics)
    assert record.value >= 0.98
    assert record.interval is not None and record.interval[0] < record.value
    assert twin_record(1, Y, statistics).value < record.value


def test_targets_have_errors() -> None:
    """Of values the twin has the errors that a source has."""
    y = evaluate(GRAPH, {"x": X})["output"]
    assert twin_record(255, y, dict.fromkeys(THRESHOLDS, 8.0), "twin relative error").value < 0.05


def test_without_a_twin_there_is_none() -> None:
    """No record of it, and no key in what is compared; another kind of thing is refused."""
    found = conversion().evaluate(X, Y, 4, dt=1.0, progress=False)
    assert not any(record.name.startswith("twin") for record in found.records)
    assert found.settings["twin"] is None
    for wrong, word in ((3.0, "twin is statistics"), ({"act9": 1.0}, "'act9'")):
        with pytest.raises(SimulationError, match=word):
            conversion().evaluate(X, Y, 4, dt=1.0, twin=wrong, progress=False)
