"""Files of earlier versions are loaded by later ones, and give what they gave.

`saved/` holds them, with what they gave; `saved/make.py` made them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import spikewright as sw
from saved.make import SPACE, X, Y, model
from spikewright._base.codec import RecordDecoder

SAVED = Path(__file__).with_name("saved")
GAVE = np.load(SAVED / "gave.npz")


def test_something_was_sent() -> None:
    """What they gave is not nothing."""
    assert np.count_nonzero(GAVE["spikes"]) > 100
    assert np.count_nonzero(GAVE["output"]) > 100


@pytest.mark.parametrize("engine", ["reference", "native"])
def test_a_conversion_spikes_alike(engine: str) -> None:
    """Output by output."""
    loaded = sw.load(SAVED / "conversion.safetensors")

    assert np.array_equal(loaded.run(X, 60, engine=engine, progress=False).output, GAVE["output"])


def test_a_network_spikes_and_learns_alike() -> None:
    """A network with a learning rule, spike by spike."""
    network = sw.network.load(SAVED / "network.safetensors")
    (probe,) = network.all_probes
    with sw.Simulator(network, seed=1, progress=False) as simulator:
        simulator.run_steps(60)
        assert np.array_equal(simulator.data[probe], GAVE["spikes"])


def test_statistics_are_those_of_the_model() -> None:
    """A rule chooses from them what it chooses from the data."""
    rule = sw.Percentile(99.0, 1000.0)
    found = [
        sw.convert(
            model(), spiking=True, scale_firing_rates=rule, calibration=given, example_input=X[:1]
        ).resolved["scale_firing_rates"]
        for given in (X, SAVED / "statistics.safetensors")
    ]
    assert found[0] == found[1]


def test_an_evaluation_is_what_is_measured_today() -> None:
    """Record by record, up to the rounding of sums over inputs, which keep more than they did."""
    loaded = sw.Evaluation.load(SAVED / "evaluation.json")
    conversion = sw.load(SAVED / "conversion.safetensors")
    again = conversion.evaluate(X, Y, steps=60, progress=False)

    assert loaded.accuracy().value == again.accuracy().value
    names = {record.name for record in loaded.records}
    values = [record.value for record in again.records if record.name in names]
    assert [record.value for record in loaded.records] == pytest.approx(values, rel=1e-7)


def test_a_study_goes_on(tmp_path: Path) -> None:
    """With its trials, and one more."""
    study = Path(shutil.copy(SAVED / "study.db", tmp_path))
    found = sw.tune(
        model(), X, Y, max_drop=0.5, space=SPACE, study=study, trials=3, progress=False,
        example_input=X[:1],
    )  # fmt: skip
    assert found


def test_a_field_that_is_left_out_may_have_the_value_that_is_left() -> None:
    """Neurons whose charge falls below zero said so in files; others are none of today."""
    entry = {"type": "BipolarIntegrateAndFire", "amplitude": 0.5, "debt": True}
    decoder = RecordDecoder({}, [sw.network.neurons.NEURON_TYPES])
    assert decoder.decode(entry) == sw.BipolarIntegrateAndFire(0.5)
    with pytest.raises(TypeError, match="debt"):
        decoder.decode({**entry, "debt": False})
    for entry, kind in (
        ({"assumed_spikes": 0}, sw.BipolarIntegrateAndFire()),
        ({"assumed_spikes": 1, "max_spikes_per_step": 1, "spike_heights": [4, 3]},
         sw.BipolarIntegrateAndFire.in_steps(2)),
        ({"assumed_spikes": [3], "max_spikes_per_step": 3, "spike_heights": [2, 1]},
         sw.BipolarIntegrateAndFire.in_steps(2, 3)),
    ):  # fmt: skip
        entry = {"type": "BipolarIntegrateAndFire", **entry}
        assert decoder.decode(entry) == kind
        with pytest.raises(TypeError, match="assumed_spikes"):
            decoder.decode({**entry, "assumed_spikes": 2})
