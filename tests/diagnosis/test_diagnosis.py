"""A diagnosis as a whole: what it says, what it proposes, and what it refuses."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import models
import spikewright as sw
from spikewright import demo
from spikewright.diagnosis import PARTS, Diagnosis
from spikewright.errors import SimulationError
from spikewright.graph import Graph, evaluate
from spikewright.measure import accuracy
from spikewright.records import select

STEPS = 32


@pytest.fixture(scope="module")
def data() -> tuple[NDArray, NDArray]:
    """Some digits and their labels."""
    return demo.held_out(100)


@pytest.fixture(scope="module")
def coarse() -> sw.Conversion:
    """The shipped network at a scale that is too small."""
    return sw.convert(demo.MODEL, spiking=True, scale_firing_rates=1.5)


@pytest.fixture(scope="module")
def found(coarse: sw.Conversion, data: tuple[NDArray, NDArray]) -> Diagnosis:
    """Its diagnosis, proposals run."""
    return coarse.diagnose(*data, STEPS, verify=True, progress=False)


def test_it_says_what_a_run_loses(
    coarse: sw.Conversion, found: Diagnosis, data: tuple[NDArray, NDArray]
) -> None:
    """Accuracy, spikes and activity are those of a run; the source's is the interpreter's."""
    run = coarse.run(data[0], STEPS, progress=False)
    truth = evaluate(coarse.graph, coarse.as_inputs(data[0]))["digit"]

    assert found.score is not None
    assert found.score.found == pytest.approx(accuracy(run, data[1]).value)
    assert found.score.source == pytest.approx(np.mean(truth.argmax(axis=1) == data[1]))
    assert found.loss.drop == pytest.approx(found.score.source - found.score.found)
    gap = run.predict() - truth  # type: ignore[operator]
    assert found.loss.change == pytest.approx(np.linalg.norm(gap) / np.linalg.norm(truth))
    assert found.loss.drop > 0.1
    assert found.interval is not None
    assert found.interval[0] < found.loss.drop < found.interval[1]
    for layer in found.layers:
        assert layer.spikes == pytest.approx(run.spike_counts()[layer.name].mean())
        silent = run.silent_fractions()[layer.name]
        assert layer.dead is not None
        assert 0 < layer.dead <= silent
    assert found.spikes == pytest.approx(sum(layer.spikes or 0 for layer in found.layers))


def test_rounding_is_told_from_timing_as_an_evaluation_does(
    coarse: sw.Conversion, found: Diagnosis, data: tuple[NDArray, NDArray]
) -> None:
    """The rounded twin's accuracy and spikes per active neuron are those that `evaluate` has."""
    records = coarse.evaluate(*data, steps=STEPS, progress=False).records
    last = {r.name: r for r in records if r.how.get("steps") == STEPS and "layer" not in r.how}
    own = {r.name: r for r in found.records if "layer" not in r.how}

    for name in ("rounded accuracy", "spikes per active neuron"):
        assert own[name].value == pytest.approx(last[name].value, rel=1e-6)
    assert found.rounded_score == own["rounded accuracy"].value
    assert found.rounded_score < 0.9
    assert f"({100 * found.rounded_score:.1f} % if no spike came early or late)" in str(found)
    assert "per active neuron of the source" in str(found)


def test_the_worst_layer_comes_first_and_proposals_by_gain(found: Diagnosis) -> None:
    """Layers by what each alone costs; of proposals none is as good as another for more."""
    losses = [layer.loss.value for layer in found.layers]
    effects = [proposal.measured for proposal in found.proposals]

    assert losses == sorted(losses, reverse=True)
    assert len(effects) >= 2
    assert all(effect is not None for effect in effects)
    gains = [effect.gain for effect in effects if effect is not None]
    unit = found.loss.value / 20
    assert all(later <= earlier + unit for earlier, later in pairwise(gains))
    assert min(gains) > 0
    assert max(gains) > 0.8 * found.loss.value


def test_a_proposal_can_be_followed(
    coarse: sw.Conversion, found: Diagnosis, data: tuple[NDArray, NDArray]
) -> None:
    """`again` takes its arguments, and gives what was measured."""
    for proposal in found.proposals:
        run = coarse.again(**proposal.arguments).run(data[0], proposal.steps, progress=False)
        after = accuracy(run, data[1]).value
        assert proposal.measured is not None
        assert found.score is not None
        assert after - found.score.found == pytest.approx(proposal.measured.gain)
        spikes = sum(float(n.mean()) for n in run.spike_counts().values())
        assert spikes - found.spikes == pytest.approx(proposal.measured.price)


def test_parts_of_the_gap_in_records_add_up(found: Diagnosis) -> None:
    """For every layer, one record a part; together they are the whole gap."""
    for layer in found.layers:
        gaps = select(found.records, "gap", layer=layer.name)
        values = {record.how["part"]: record.value for record in gaps}
        assert set(values) == {*PARTS, "whole"}
        assert sum(values[part] for part in PARTS) == pytest.approx(values["whole"], abs=1e-9)
    (drop,) = select(found.records, "accuracy drop")
    assert drop.interval == found.interval
    assert all(record.how["steps"] for record in found.records)
    assert {"measured gain", "predicted price"} <= {record.name for record in found.records}


REMEDIES: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "arrival order": (
        {"scale_firing_rates": 50.0, "max_spikes_per_step": 1},
        32,
        "take spikes back",
        "spiking",
    ),
    "settling": ({"scale_firing_rates": 300.0, "synapse": 0.05}, 16, "no synapse", "synapse"),
    "start": (
        {"scale_firing_rates": 5.0, "initial_voltage": "zero"},
        24,
        "half a spike",
        "initial_voltage",
    ),
    "clipping": (
        {"scale_firing_rates": 2000.0, "max_spikes_per_step": 1},
        24,
        "spikes a step",
        "max_spikes_per_step",
    ),
}


@pytest.mark.parametrize("case", REMEDIES)
def test_every_cause_has_its_remedy(case: str, data: tuple[NDArray, NDArray]) -> None:
    """What was lost to a part is answered by the argument that changes it; it brings a gain."""
    options, steps, text, argument = REMEDIES[case]
    conversion = sw.convert(demo.MODEL, spiking=True, **options)
    again = conversion.diagnose(data[0], None, steps, verify=True, progress=False)
    (remedy, *_) = [p for p in again.proposals if text in p.text]

    assert argument in remedy.arguments
    assert remedy.measured is not None
    assert remedy.measured.gain > 0.1 * again.loss.change


def test_what_cannot_be_diagnosed_is_refused(
    coarse: sw.Conversion, data: tuple[NDArray, NDArray]
) -> None:
    """With the reason, before anything runs."""
    x, y = data
    rate = coarse.again(spiking=False)
    over_time = np.repeat(x[:2, None], STEPS, axis=1)
    for conversion, arguments, words in (
        (rate, (x, y, STEPS), "nothing to diagnose"),
        (coarse, (over_time, None, STEPS), "held constant"),
        (coarse, (x, y), "steps"),
        (coarse, (x, y, 0), "steps"),
        (coarse, (x, y[:-1], STEPS), "y of output"),
        (coarse, (x, y + 10, STEPS), "labels"),
    ):
        with pytest.raises(SimulationError, match=words):
            conversion.diagnose(*arguments, progress=False)  # type: ignore[arg-type]


def test_of_several_outputs_one_may_be_judged() -> None:
    """By its name; without labels all of them count, by how far they are from the source's."""
    graph = models.mlp()
    (name,) = graph.outputs.values()
    both = Graph(tuple(graph), {"first": name, "second": name})
    conversion = sw.convert(both, spiking=True, scale_firing_rates=20.0)
    x = models.inputs(graph, batch=30)
    y = evaluate(graph, conversion.as_inputs(x))["output"].argmax(axis=1)

    judged = conversion.diagnose(x, {"second": y}, STEPS, progress=False)
    assert judged.score is not None
    assert judged.score.source == 1.0
    assert conversion.diagnose(x, None, STEPS, progress=False).score is None
    for wrong, words in ((y, "got an array"), ({"third": y}, r"got names \['third'\]")):
        with pytest.raises(SimulationError, match=words):
            conversion.diagnose(x, wrong, STEPS, progress=False)
