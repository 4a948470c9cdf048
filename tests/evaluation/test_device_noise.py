"""`evaluate(noise=sw.DeviceNoise(...))`: faults of weights, several draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import models
import spikewright as sw
from spikewright.errors import SimulationError
from spikewright.network.transforms import Dense

STEPS = 10


def conversion(graph: Any = None) -> sw.Conversion:
    """A small network with scales of two spikes a step."""
    return sw.convert(graph or models.mlp(), spiking=True, scale_firing_rates=2000.0)


def data(graph: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Samples, and the source's answers as labels."""
    graph = graph or models.mlp()
    x = models.inputs(graph, 40)
    y = np.asarray(sw.convert(graph).run(x, steps=1, progress=False).predict()).argmax(axis=1)
    return x, y


def measured(noise: sw.DeviceNoise | None, **more: Any) -> sw.Evaluation:
    """The evaluation under this noise."""
    x, y = data()
    return conversion().evaluate(x, y, STEPS, noise=noise, progress=False, **more)


def test_no_noise_is_no_noise() -> None:
    """Faults of nothing: every record is that of the plain evaluation, and nothing spreads."""
    plain, none = measured(None), measured(sw.DeviceNoise(draws=2))
    assert [r.value for r in none.records] == pytest.approx([r.value for r in plain.records])
    assert all(r.how["spread"] == 0 and r.how["draws"] == 2 for r in none.records)


def test_more_noise_loses_more() -> None:
    """Means over the draws lie between the least and the largest, and agreement falls."""
    found = [measured(sw.DeviceNoise(weights=w, draws=6)) for w in (0.0, 0.1, 1.0)]
    means = [e.accuracy().value for e in found]
    assert means[0] >= means[1] > means[2]
    for record in (e.accuracy() for e in found[1:]):
        assert record.interval is not None
        assert record.interval[0] <= record.value <= record.interval[1]
    assert found[2].accuracy().how["spread"] > 0.01
    assert found[2].settings["noise"]["weights"] == 1.0


def test_draws_differ_and_come_again() -> None:
    """Equal seeds give equal chips; every draw, and every seed, another one."""

    def chip(noise: sw.DeviceNoise, draw: int) -> np.ndarray:
        return _first(noise.chip(conversion(), draw))

    noise = sw.DeviceNoise(weights=0.1)
    assert np.array_equal(chip(noise, 0), chip(noise, 0))
    assert not np.array_equal(chip(noise, 0), chip(noise, 1))
    assert not np.array_equal(chip(noise, 0), chip(sw.DeviceNoise(weights=0.1, seed=1), 0))
    ratio = chip(sw.DeviceNoise(weights=0.05), 0) / _first(conversion())
    assert 0.02 < np.std(ratio) < 0.1 and abs(np.mean(ratio) - 1) < 0.03


def _first(made: sw.Conversion) -> np.ndarray:
    (first, *_) = [c for c in made.network.all_connections if isinstance(c.transform, Dense)]
    assert isinstance(first.transform, Dense)
    return first.transform.matrix


def test_the_conversion_stays_as_it_is() -> None:
    """Faults are those of copies."""
    made = conversion()
    x, y = data()
    before = made.run(x, steps=STEPS, progress=False).predict()
    made.evaluate(x, y, STEPS, noise=sw.DeviceNoise(0.5, draws=2), progress=False)
    assert np.array_equal(before, made.run(x, steps=STEPS, progress=False).predict())


def test_it_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    """Each draw has a folder of its own; batches of data are as good as arrays."""
    noise = sw.DeviceNoise(0.1, draws=2)
    first = measured(noise, checkpoint=tmp_path / "kept")
    again = measured(noise, checkpoint=tmp_path / "kept")
    assert sorted(p.name for p in (tmp_path / "kept").iterdir()) == ["draw 0", "draw 1"]
    assert [r.value for r in first.records] == [r.value for r in again.records]
    x, y = data()
    batches = conversion().evaluate(
        [(x[:15], y[:15]), (x[15:], y[15:])], steps=STEPS, noise=noise, progress=False
    )
    assert batches.accuracy().value == first.accuracy().value


def test_noise_under_the_bits_of_a_chip() -> None:
    """Whole numbers and faults together, as of chips with analog parts."""
    x, y = data()
    found = (
        conversion()
        .for_chip("brainscales2")
        .evaluate(x, y, STEPS, noise=sw.DeviceNoise(0.5, draws=3), progress=False)
    )
    assert found.accuracy().how["spread"] > 0


@pytest.mark.parametrize(
    "field, value",
    [
        ("weights", -0.1), ("weights", np.nan), ("draws", 0), ("draws", 1.5), ("seed", -1),
        ("weights", "much"),
    ],
)  # fmt: skip
def test_noise_that_cannot_be_is_refused(field: str, value: Any) -> None:
    """The error names the field and the value."""
    with pytest.raises(SimulationError, match=rf"DeviceNoise.{field} .*got {value!r}"):
        sw.DeviceNoise(**{field: value})


def test_other_arguments_are_refused() -> None:
    """Noise of another kind, and data that is read once."""
    x, y = data()
    with pytest.raises(SimulationError, match=r"noise is None or sw\.DeviceNoise, got 0\.1"):
        measured(0.1)  # type: ignore[arg-type]
    with pytest.raises(SimulationError, match="an iterator can be read once"):
        conversion().evaluate(iter([(x, y)]), steps=4, noise=sw.DeviceNoise(), progress=False)
