"""A diagnosis as a whole: what it says, what it proposes, and what it refuses."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray

import models
import spikewright as sw
from spikewright import demo
from spikewright.diagnosis import proposals
from spikewright.diagnosis.findings import Diagnosis
from spikewright.diagnosis.layer_losses import PARTS
from spikewright.errors import ConversionError, Refusal, SimulationError
from spikewright.graph import Graph, GraphNode, evaluate
from spikewright.graph.layers import Affine, Input, MaxPool, Reshape
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


@pytest.mark.parametrize(("cap", "late"), [(None, False), (1, True)])
def test_without_a_cap_neurons_that_take_spikes_back_lose_to_rounding_alone(
    data: tuple[NDArray, NDArray], cap: int | None, late: bool
) -> None:
    """The twin is as far from the source as the network is; under a cap some spikes are late."""
    neurons = {"relu": sw.BipolarIntegrateAndFire(max_spikes_per_step=cap)}
    made = sw.convert(demo.MODEL, spiking=neurons, scale_firing_rates=100.0)
    found = made.diagnose(data[0], steps=4, progress=False)

    assert found.rounded is not None
    assert found.rounded_score is None
    assert found.loss.change > 0
    assert (found.rounded.change == pytest.approx(found.loss.change, rel=1e-4)) is not late


def test_a_network_without_a_rounded_twin_says_nothing_of_it(
    data: tuple[NDArray, NDArray],
) -> None:
    """A synapse passes spikes on later, so that one long step is no twin of many."""
    made = sw.convert(demo.MODEL, spiking=True, scale_firing_rates=50.0, synapse=0.005)
    found = made.diagnose(*data, steps=8, progress=False)

    assert found.rounded is None
    assert found.rounded_score is None
    assert "early or late" not in str(found)
    assert not [r for r in found.records if r.name.startswith("rounded")]


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


def test_predictions_come_close_to_what_runs_give(found: Diagnosis) -> None:
    """Followed through the means: gains within a few points, prices within a quarter."""
    for proposal in found.proposals:
        assert proposal.measured is not None
        assert proposal.predicted == pytest.approx(proposal.measured.gain, abs=0.08)
        assert proposal.price == pytest.approx(proposal.measured.price, rel=0.25, abs=5)


def test_a_proposal_can_be_followed(
    coarse: sw.Conversion, found: Diagnosis, data: tuple[NDArray, NDArray]
) -> None:
    """`replace` takes its arguments, and gives what was measured."""
    for proposal in found.proposals:
        run = coarse.replace(**proposal.arguments).run(data[0], proposal.steps, progress=False)
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


def test_it_prints_and_is_plain_data(found: Diagnosis) -> None:
    """A table for people without empty columns, and a document that JSON can hold."""
    printed, document = str(found), json.dumps(found.as_dict(), allow_nan=False)

    assert all(layer.name in printed for layer in found.layers)
    assert all(proposal.text in printed for proposal in found.proposals)
    assert "quantisation" in printed
    assert "clipping" not in printed
    assert json.loads(document)["layers"] == [layer.name for layer in found.layers]


def test_a_saved_network_is_diagnosed_as_it_was(
    coarse: sw.Conversion, data: tuple[NDArray, NDArray], tmp_path: Path
) -> None:
    """The file holds the graph to compare with, and to convert again."""
    coarse.save(tmp_path / "network.swt")
    x, y = (part[:30] for part in data)
    found = coarse.diagnose(x, y, STEPS, progress=False)
    again = sw.load(tmp_path / "network.swt").diagnose(x, y, STEPS, progress=False)

    assert again.proposals
    assert str(again) == str(found)


def test_where_nothing_is_lost_nothing_is_proposed(data: tuple[NDArray, NDArray]) -> None:
    """At a high scale the network answers as the source does."""
    conversion = sw.convert(demo.MODEL, spiking=True, scale_firing_rates=1000.0)
    again = conversion.diagnose(*data, 64, verify=True, progress=False)

    assert again.loss.drop == 0
    assert again.proposals == ()
    assert "Nothing was lost" in str(again)


def test_targets_are_judged_by_their_relative_error() -> None:
    """A network that answers with values: the rise in error against targets."""
    graph = models.mlp()
    x = models.inputs(graph, batch=40)
    truth = evaluate(graph, {"x": x})["output"]
    y = truth + 0.1 * np.random.default_rng(3).normal(size=truth.shape)
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=100.0)
    again = conversion.diagnose(x, y, 20, progress=False)
    output = conversion.run(x, 20, progress=False).predict()

    assert again.score is not None
    assert again.score.name == "relative error"
    assert again.score.found == pytest.approx(np.linalg.norm(output - y) / np.linalg.norm(y))
    assert again.score.source == pytest.approx(np.linalg.norm(truth - y) / np.linalg.norm(y))
    assert again.loss.value > 0
    assert again.proposals[0].predicted > 0
    assert "Relative error" in str(again)


REMEDIES: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "arrival order": (
        {"scale_firing_rates": 50.0, "max_spikes_per_step": 1},
        32,
        "negative spikes",
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
    again = conversion.diagnose(data[0][:50], None, steps, verify=True, progress=False)
    (remedy, *_) = [p for p in again.proposals if text in p.text]

    assert argument in remedy.arguments
    assert remedy.measured is not None
    assert remedy.measured.gain > 0.1 * again.loss.change


def test_what_rules_chose_is_kept_in_numbers(data: tuple[NDArray, NDArray]) -> None:
    """Proposals for a calibrated network need no data: rules and corrections became numbers."""
    x, _ = data
    conversion = sw.convert(
        demo.MODEL,
        spiking=True,
        max_spikes_per_step=1,
        scale_firing_rates=sw.Percentile(100.0),
        bias_correction=sw.BiasCorrection(4, rounds=1),
        calibration=x[:50],
    )
    again = conversion.diagnose(x, None, 4, progress=False)
    added = conversion.resolved["bias_correction"]

    assert len(again.proposals) >= 2
    assert any(layer.parts["policy"] != 0 for layer in again.layers)
    for proposal in again.proposals:
        assert proposal.arguments["calibration"] is None
        assert proposal.arguments["bias_correction"] is added
        made = conversion.replace(**proposal.arguments)
        assert made.resolved["calibration"] is None


def test_a_budget_is_spread_anew(data: tuple[NDArray, NDArray]) -> None:
    """Scales by what spikes do, about as many of them as the proposal says."""
    conversion = sw.convert(demo.MODEL, spiking=True, scale_firing_rates=1.0)
    again = conversion.diagnose(data[0], None, 64, verify=True, progress=False)
    spread = [p for p in again.proposals if "EnergyBudget" in p.text]

    assert spread
    assert all(set(p.arguments["scale_firing_rates"]) == {"relu1", "relu2"} for p in spread)
    for proposal in spread:
        assert proposal.measured is not None
        assert proposal.measured.price == pytest.approx(proposal.price, rel=0.2, abs=5)


def test_a_budget_of_joules_stays_one(data: tuple[NDArray, NDArray]) -> None:
    """At the price of an addition that was given for it; its proposals are kept like it."""
    rule = sw.EnergyBudget(16, joules=1e-10, joules_per_addition=3e-14)
    conversion = sw.convert(
        demo.MODEL, spiking=True, scale_firing_rates=rule, calibration=data[0][:100]
    )
    again = conversion.diagnose(data[0][:100], data[1][:100], 16, verify=True, progress=False)
    spread = [p for p in again.proposals if "EnergyBudget" in p.text]

    assert spread
    assert all("J a sample" in p.text for p in spread)
    for proposal in spread:
        made = conversion.replace(**proposal.arguments)
        found = made.evaluate(data[0][:100], None, 16, progress=False).records
        (record,) = select(
            found, "energy part", part="synapses", table="45nm-fp32", network="spiking"
        )
        joules = record.value / 0.9e-12 * 3e-14
        _, stated, unit, *_ = proposal.text.split()
        stated_joules = float(stated) * {"pJ": 1e-12, "nJ": 1e-9}[unit]
        assert joules == pytest.approx(stated_joules, rel=0.05)


def test_a_change_that_fails_is_told_and_left_out(
    data: tuple[NDArray, NDArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot be made, and one that cannot be run; the others are proposed."""
    conversion = sw.convert(demo.MODEL, spiking=True, scale_firing_rates=1.0)
    x, y = data[0][:40], data[1][:40]
    monkeypatch.setattr(
        proposals.EnergyBudget,
        "allocator",
        lambda *a: _raise(ConversionError([Refusal("it", "argument", "no")])),
    )
    fast = proposals.Proposal("rates", "fire fast", 64, {"scale_firing_rates": 1e15})
    monkeypatch.setattr(proposals, "_synapses", lambda case: iter([fast]))
    found = conversion.diagnose(x, y, 64, verify=True, progress=False)

    assert found.proposals
    assert sum("EnergyBudget" in what for what in found.failures) == 3
    assert "lower its firing-rate scale" in found.failures["fire fast"]
    assert not {p.text for p in found.proposals} & set(found.failures)
    assert "Not tried: fire fast: " in str(found)
    assert found.as_dict()["failures"] == dict(found.failures)


def _raise(error: Exception) -> NoReturn:
    raise error


def test_what_cannot_be_diagnosed_is_refused(
    coarse: sw.Conversion, data: tuple[NDArray, NDArray]
) -> None:
    """With the reason, before anything runs."""
    x, y = data
    rate = coarse.replace(spiking=False)
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


def pooling_alone() -> Graph:
    """Max pooling and weights: a network without neurons."""
    pool = MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    weight = np.random.default_rng(4).normal(size=(3, 8))
    nodes = (
        GraphNode("x", Input((2, 4, 4))),
        GraphNode("pool", pool, ("x",)),
        GraphNode("flat", Reshape((8,)), ("pool",)),
        GraphNode("fc", Affine(weight), ("flat",)),
    )
    return Graph(nodes, {"output": "fc"})


@pytest.mark.parametrize("graph", [models.residual(pool=True), pooling_alone()])
def test_a_rate_network_with_average_pooling_is_diagnosed(graph: Graph) -> None:
    """It does not spike, and it is not what the source computes."""
    x = models.inputs(graph, batch=6)
    conversion = sw.convert(graph, max_pool="average")
    again = conversion.diagnose(x, None, 2, verify=True, progress=False)

    assert again.layers[0].name == "pool"
    assert [proposal.arguments for proposal in again.proposals] == [{"max_pool": "gate"}]
    assert again.proposals[0].measured is not None
    assert again.proposals[0].measured.gain == pytest.approx(again.loss.change, rel=1e-3)
