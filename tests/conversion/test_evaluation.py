"""`Conversion.evaluate`: its records are those of one run of everything, whatever form data has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import models
import spikewright as sw
from spikewright import encoders, measure
from spikewright.errors import DamagedFileError, SimulationError
from spikewright.evaluation import sharded
from spikewright.graph import Graph, GraphNode, evaluate
from spikewright.graph.layers import Affine, Input
from spikewright.measure import Evaluation
from spikewright.records import Record, select
from spikewright.report.page import sentence

GRAPH = models.mlp(output="softmax")
X = models.inputs(GRAPH, 50, seed=3)
Y = np.random.default_rng(4).integers(0, 3, 50)
STEPS = 12


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several shards of few samples: seven, so that nothing fits evenly."""
    monkeypatch.setattr(sharded, "_MOST", 7)


def conversion(graph: Graph = GRAPH, **arguments: Any) -> sw.Conversion:
    """A spiking form that is right to a few percent."""
    return sw.convert(graph, **{"spiking": True, "scale_firing_rates": 200.0, **arguments})


def values(records: Any, name: str, **how: Any) -> list[float]:
    """Values of the records of that name."""
    return [record.value for record in select(records, name, **how)]


def test_scores_are_those_of_one_run() -> None:
    """Accuracy at every step, under each readout, equals that of a run of all samples."""
    found = conversion().evaluate(X, Y, STEPS)
    run = conversion().run(X, STEPS)
    for readout in ("mean", "last"):
        expected = [r.value for r in measure.accuracy_over_time(run, Y, readout)]  # type: ignore[arg-type]
        assert values(found.records, "accuracy", readout=readout) == expected
    assert found.accuracy().value == measure.accuracy(run, Y).value
    assert found.accuracy("last", 3).how["steps"] == 3


def test_activity_is_that_of_runs_that_end_there() -> None:
    """Rates, spikes, silent and saturated neurons at each step asked for, from one run."""
    found = conversion().evaluate(X, Y, STEPS, at=[5, 1])
    for steps in (1, 5, STEPS):
        run = conversion().run(X, steps)
        expected = {(r.name, r.how.get("layer")): r.value for r in measure.activity(run)}
        names = {name for name, _ in expected}
        at = [r for r in found.records if r.name in names and r.how["steps"] == steps]
        assert {(r.name, r.how.get("layer")): r.value for r in at} == expected
    whole = conversion().run(X, STEPS)
    for layer, population in whole.populations.items():
        np.testing.assert_array_equal(found.totals[layer][-1], population.totals.sum(axis=0))
        spikes = found.samples["spikes", layer]
        assert spikes.shape == (50, 3)
        np.testing.assert_array_equal(spikes[:, -1], whole.spike_counts()[layer])


def test_the_source_is_the_model_that_was_read() -> None:
    """Its accuracy and the agreement are those of the float64 interpreter's values."""
    found = conversion().evaluate(X, Y, STEPS)
    source = evaluate(GRAPH, {"x": X})["output"].argmax(axis=1)
    run = conversion().run(X, STEPS)

    assert values(found.records, "source accuracy") == [np.mean(source == Y)]
    (agreement,) = values(found.records, "agreement", readout="mean", steps=STEPS)
    assert agreement == np.mean(source == run.predict().argmax(axis=1))
    (drop,) = values(found.records, "accuracy drop", readout="mean", steps=STEPS)
    assert drop == pytest.approx(np.mean(source == Y) - found.accuracy().value)


def test_the_source_is_not_what_a_policy_made_of_it() -> None:
    """Average pooling in place of maxima changes the network, not what it is compared with."""
    graph = models.residual(pool=True)
    x = models.inputs(graph, 6)
    found = conversion(graph, max_pool="average").evaluate(x, None, 8)
    source = evaluate(graph, {"x": x})["output"]
    mean = np.asarray(conversion(graph, max_pool="average").run(x, 8).predict())
    expected = np.sqrt(((mean - source) ** 2).sum() / (source**2).sum())

    (difference,) = values(found.records, "relative difference", readout="mean", steps=8)
    assert difference == pytest.approx(expected, rel=1e-5)
    assert difference > 0.05


def test_more_steps_come_nearer_to_the_source() -> None:
    """The relative difference of the mean falls as one over the steps."""
    found = conversion(scale_firing_rates=20.0).evaluate(X, None, 256, operations=False)
    gaps = values(found.records, "relative difference", readout="mean")

    assert gaps[255] < gaps[15] / 8
    assert values(found.records, "accuracy") == []


def test_regression() -> None:
    """Targets of the output's shape give errors on values, not accuracies."""
    graph = models.mlp()
    targets = evaluate(graph, {"x": X})["output"]
    found = conversion(graph).evaluate(X, targets, STEPS)
    error = np.asarray(conversion(graph).run(X, STEPS).predict()) - targets

    (mean,) = values(found.records, "mean absolute error", readout="mean", steps=STEPS)
    assert mean == pytest.approx(np.abs(error).mean(), rel=1e-6)
    assert values(found.records, "source relative error")[0] < 1e-6
    with pytest.raises(SimulationError, match="needs labels"):
        found.accuracy()


def batches(x: Any, y: Any, sizes: list[int]) -> Iterator[tuple[Any, Any]]:
    """The data cut anywhere."""
    start = 0
    for size in sizes:
        yield x[start : start + size], y[start : start + size]
        start += size


def test_any_form_of_data_gives_the_same_records() -> None:
    """Arrays, dicts, a generator of batches, a PyTorch loader, tensors that carry gradients."""
    x32 = X.astype(np.float32)
    tensors = torch.from_numpy(x32), torch.from_numpy(Y)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*tensors), batch_size=11)
    expected = conversion().evaluate(x32, Y, STEPS).records
    named = (({"x": a}, {"output": b}) for a, b in batches(x32, Y, [20, 30]))
    for form in (
        ({"x": x32}, {"output": Y}),
        (batches(x32, Y, [1, 30, 0, 19]),),
        (named,),
        (loader,),
        (tensors[0].requires_grad_(), tensors[1]),
        (x32, Y.astype(float)),
    ):
        assert conversion().evaluate(form[0], *form[1:2] or (None,), STEPS).records == expected


def test_batches_of_inputs_alone() -> None:
    """Without y there is agreement with the source, of arrays and of batches alike."""
    expected = conversion().evaluate(X, None, STEPS).records
    found = conversion().evaluate((X[i : i + 9] for i in range(0, 50, 9)), steps=STEPS).records

    assert found == expected
    assert values(found, "agreement")


def test_images_of_whole_numbers() -> None:
    """Bytes are taken as the numbers that they are."""
    x = np.random.default_rng(0).integers(0, 5, (20, 6)).astype(np.uint8)

    assert (
        conversion().evaluate(x, None, 4).records == conversion().evaluate(x * 1.0, None, 4).records
    )


def test_several_outputs_have_records_of_their_own() -> None:
    """`y` names outputs; those that it leaves out are compared with the source alone."""
    network = conversion(models.two_headed())
    sizes = np.random.default_rng(6).normal(size=50)
    found = network.evaluate(X, {"class": Y, "value": sizes}, 6)

    assert values(found.records, "accuracy", output="class", readout="mean", steps=6)
    assert values(found.records, "relative error", output="value", readout="mean", steps=6)
    assert values(found.records, "accuracy", output="value") == []
    assert found.accuracy(output="class").how["output"] == "class"
    some = network.evaluate(X, {"class": Y}, 6).records
    assert values(some, "relative error") == []
    assert len(values(some, "relative difference", output="value")) == 12
    with pytest.raises(SimulationError, match="outputs"):
        network.evaluate(X, Y, 6)


def test_inputs_over_time_and_encoded() -> None:
    """The source answers the mean over time, and the values that are encoded."""
    frames = np.random.default_rng(7).normal(size=(20, STEPS, 6))
    mean = evaluate(GRAPH, {"x": frames.mean(axis=1)})["output"].argmax(axis=1)
    over_time = conversion().evaluate(frames, mean, STEPS).records
    encoded = conversion().evaluate(
        X,
        evaluate(GRAPH, {"x": X})["output"].argmax(axis=1),
        STEPS,
        encoder=encoders.Poisson(500.0),
    )

    assert values(over_time, "source accuracy") == [1.0]
    assert values(encoded.records, "source accuracy") == [1.0]
    with pytest.raises(SimulationError, match="the run 5"):
        conversion().evaluate(frames, None, 5)


def test_lists_of_events() -> None:
    """Samples of any length; the source answers the frame that they add up to."""
    rng = np.random.default_rng(8)
    events = [
        np.column_stack([rng.uniform(0, 0.01, n), rng.integers(0, 6, n), rng.choice([-1, 1], n)])
        for n in rng.integers(5, 20, 15)
    ]
    frames = np.zeros((15, 6))
    for frame, sample in zip(frames, events, strict=True):
        np.add.at(frame, sample[:, 1].astype(int), sample[:, 2])
    answers = evaluate(GRAPH, {"x": frames})["output"].argmax(axis=1)
    found = conversion().evaluate(events, answers, STEPS, encoder=encoders.Events())
    alone = conversion().evaluate(events, None, STEPS, encoder=encoders.Events())

    assert values(found.records, "source accuracy") == [1.0]
    assert values(alone.records, "agreement") == values(found.records, "agreement")


def test_a_rate_network_is_its_source() -> None:
    """Nothing is lost, rates are rates, and there are no spikes to count."""
    found = sw.convert(GRAPH).evaluate(X, Y, 3)

    assert set(values(found.records, "accuracy drop")) == {0.0}
    assert values(found.records, "spikes per sample") == []
    rates = sw.convert(GRAPH).run(X, 3).firing_rates()
    assert values(found.records, "firing rate") == pytest.approx(list(rates.values()))


def test_a_loaded_conversion_evaluates_as_the_one_that_was_saved(tmp_path: Path) -> None:
    """The source framework is not needed."""
    conversion().save(tmp_path / "network")

    assert (
        sw.load(tmp_path / "network").evaluate(X, Y, STEPS).records
        == conversion().evaluate(X, Y, STEPS).records
    )


def test_what_is_left_out() -> None:
    """Without the source nothing is compared with it; without operations none is counted."""
    found = conversion().evaluate(X, Y, STEPS, readouts="mean", source=False, operations=False)
    names = {record.name for record in found.records}

    assert names == {
        "accuracy", "firing rate", "spikes per sample", "spikes per neuron", "silent neurons",
        "saturated neurons",
    }  # fmt: skip
    assert {r.how["readout"] for r in select(found.records, "accuracy")} == {"mean"}


def test_operations_are_those_of_the_run() -> None:
    """One accumulate a spike and weight, and energy under every table, at each step asked for."""
    found = conversion().evaluate(X, Y, STEPS, at=[4])
    for steps in (4, STEPS):
        counts = conversion().run(X, steps).spike_counts()
        expected = (8 * counts["act1"] + 3 * counts["act2"]).mean()
        (record,) = [
            r for r in select(found.records, "accumulates", steps=steps) if "layer" not in r.how
        ]
        assert record.value == pytest.approx(expected)
        tables = {r.how["table"] for r in select(found.records, "energy", steps=steps)}
        assert len(tables) >= 3


def test_few_spikes_are_warned_of() -> None:
    """The trace says so, as after a run."""
    network = conversion(scale_firing_rates=1.0)
    network.evaluate(X, Y, 2)

    assert {entry.layer for entry in network.trace.warnings} == {"act1", "act2"}


def test_it_saves_as_json_and_loads(tmp_path: Path) -> None:
    """Records and settings come back as they were, and anyone can read the file."""
    found = conversion().evaluate(X, Y, STEPS, thresholds=[0.5])
    found.save(tmp_path / "found.json")
    loaded = Evaluation.load(tmp_path / "found.json")

    assert loaded.records == found.records
    assert loaded.accuracy() == found.accuracy()
    assert loaded.settings == json.loads(json.dumps(found.settings))
    assert (
        json.loads((tmp_path / "found.json").read_text())["records"][0]["name"] == "source accuracy"
    )
    assert repr(loaded).startswith("<Evaluation of 50 samples, 12 steps of 0.001 s, accuracy ")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"spikewright": "evaluation", "format": 1, "settings": {}, "records": []}',
     '{"spikewright": "evaluation", "format": 9, "settings": {}, "records": []}',
     '{"spikewright": "evaluation", "format": 1, "settings": {"samples": 1, "steps": 1, "dt": 1, '
     '"readouts": []}, "records": [{"name": 3}]}'],
)  # fmt: skip
def test_damaged_files_are_refused(tmp_path: Path, text: str) -> None:
    """What is no evaluation is no evaluation, and says which file."""
    (tmp_path / "bad.json").write_text(text)

    with pytest.raises(DamagedFileError, match=r"bad\.json"):
        Evaluation.load(tmp_path / "bad.json")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": None}, "number of steps"),
        ({"steps": 0}, "number of steps"),
        ({"y": Y[:3]}, "number of samples"),
        ({"y": Y + 7}, "between 0 and 2"),
        ({"y": {"other": Y}}, "outputs are"),
        ({"x": X[:0], "y": Y[:0]}, "no samples"),
        ({"x": [], "y": None}, "no samples"),
        ({"x": 3, "y": None}, "iterable of batches"),
        ({"x": ["abc"], "y": None}, "batch 0"),
        ({"x": (X, Y), "y": None}, "as two arguments"),
        ({"x": X[:, :4]}, "must be"),
        ({"x": X * np.nan}, "NaN"),
        ({"x": {"z": X}}, "inputs are"),
        ({"x": [(X[:5], Y[:5]), X[5:]], "y": None}, "differ in what they hold"),
        ({"x": [(X[:5], Y[:5]), (X[5:, :3], Y[5:])], "y": None}, "differ in their shape"),
        ({"at": [0]}, "at holds"),
        ({"at": [13]}, "at holds"),
        ({"at": 5}, "sequence"),
        ({"readouts": ["median"]}, "readouts are"),
        ({"readouts": []}, "readouts are"),
        ({"thresholds": [1.5]}, "confidences"),
        ({"source": 1}, "source must be"),
        ({"dt": 0.0}, "dt"),
        ({"batch_size": 0}, "batch_size"),
        ({"threads": 0}, "threads"),
        ({"seed": -1}, "seed"),
        ({"executor": "cloud"}, "executor must be"),
        ({"address": "tcp://host:1"}, "address"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(arguments: dict[str, Any], message: str) -> None:
    """The error names the argument and what would do."""
    given = {"x": X, "y": Y, "steps": STEPS, **arguments}
    with pytest.raises(SimulationError, match=message):
        conversion().evaluate(given.pop("x"), given.pop("y"), given.pop("steps"), **given)


@pytest.mark.parametrize(
    ("neurons", "cap", "bits"),
    [
        (sw.IntegrateAndFire(), 1, None), (sw.IntegrateAndFire(), 7, 3.0),
        (sw.BipolarIntegrateAndFire(), 3, np.log2(7)),
    ],
)  # fmt: skip
def test_spikes_of_several_levels_have_bits(
    neurons: sw.NeuronType, cap: int, bits: float | None
) -> None:
    """log2 of what a neuron may send in a step, silence included; beside every count of spikes."""
    made = sw.convert(
        models.mlp(), spiking={"relu": neurons}, max_spikes_per_step=cap, scale_firing_rates=500.0
    )
    found = made.evaluate(models.inputs(models.mlp()), steps=4, at=[2], progress=False)
    records = select(found.records, "bits per graded spike")
    assert [r.value for r in records] == ([] if bits is None else [pytest.approx(bits)] * 6)
    assert ("bits per graded spike" in str(found._summary())) == (bits is not None)
    assert ("graded ones of" in sentence(found.records)) == (bits is not None)


def test_early_exit_needs_classes() -> None:
    """A single value has no confidence."""
    rng = np.random.default_rng(0)
    nodes = (
        GraphNode("x", Input((6,))),
        GraphNode("v", Affine(rng.normal(size=(1, 6)), np.zeros(1)), ("x",)),
    )
    with pytest.raises(SimulationError, match="tells classes apart"):
        sw.convert(Graph(nodes, {"y": "v"})).evaluate(X, None, 3, thresholds=[0.9])


def test_records_say_what_they_hold_for() -> None:
    """Steps, dt and readout wherever they apply, in every record with an interval that holds it."""
    found = conversion().evaluate(X, Y, STEPS, dt=0.002, thresholds=[0.7])
    for record in found.records:
        assert isinstance(record, Record)
        if record.name in ("accuracy", "accuracy drop", "agreement", "relative difference"):
            assert {"steps", "dt", "readout"} <= set(record.how)
        if record.interval is not None:
            assert record.interval[0] <= record.value <= record.interval[1]
    json.dumps([record.as_dict() for record in found.records], allow_nan=False)
