"""`sw.sweep`: every combination measured as `Conversion.evaluate` does, the cheapest one named."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

import models
import spikewright as sw
from slowly import slow_but
from spikewright import demo, frontends
from spikewright.errors import MissingExtraError, SimulationError
from spikewright.evaluation import sharded
from spikewright.evaluation.work import ShardEvaluator, SourceNetwork
from spikewright.graph import Graph, GraphNode, evaluate
from spikewright.graph.layers import Affine, Input
from spikewright.measure.readout import AtEveryStep
from spikewright.records import Record, select

GRAPH = models.mlp(output="softmax")
X = models.inputs(GRAPH, 30, seed=3)
SOURCE = evaluate(GRAPH, {"x": X})["output"]
Y = np.where(np.arange(30) % 9 == 0, 0, SOURCE.argmax(axis=1))
"""Labels that the source mostly knows."""

RULE = sw.MinimumError(8, spikes_per_step=1)
SCALES = [20, 100.0, 400.0]
GIVEN: dict[str, Any] = {"scales": SCALES, "synapse": [None, 0.002], "steps": [3, 8]}
KEYS = ("scale", "synapse", "neurons", "chosen")


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several shards of few samples: seven, so that nothing fits evenly."""
    monkeypatch.setattr(sharded, "_MOST", 7)


def swept(model: Any = GRAPH, x: Any = X, y: Any = Y, **more: Any) -> sw.results.StudyResult:
    """A sweep of three scales and two synapses."""
    return sw.sweep(model, x, y, **{**GIVEN, **more}, progress=False)


def stripped(records: Any) -> list[Record]:
    """Records without what a sweep adds to them."""
    return [
        Record(
            r.name, r.value, r.unit, r.n, r.interval,
            {k: v for k, v in r.how.items() if k not in KEYS},
        )
        for r in records
    ]  # fmt: skip


def settings_of(found: sw.results.StudyResult) -> dict[sw.StudySetting, sw.results.OperatingPoint]:
    """Its settings, in order, each with one of its points."""
    return {point.setting: point for point in found.points}


def top_2(outputs: Any, y: Any) -> Any:
    """Whether the right class is among the two largest."""
    return np.any(np.argsort(outputs, axis=1)[:, -2:] == y[:, None], axis=1)


def margin(outputs: Any, y: Any) -> Any:
    """By how much the right class leads: a number of either sign."""
    rows = np.arange(len(y))
    others = outputs.copy()
    others[rows, y] = -np.inf
    return outputs[rows, y] - others.max(axis=1)


CASES: dict[str, dict[str, Any]] = {
    "labels": {},
    "one-hot": {"y": np.eye(3)[Y]},
    "targets": {"y": SOURCE + 0.05},
    "nothing said": {"y": None},
    "shares": {"metric": top_2},
    "scores": {"metric": margin},
    "after": {"readouts": [sw.MeanAfter(0.002), "last"]},
    "encoded": {"encoder": sw.encoders.Regular(300.0), "x": np.abs(X)},
    "capped": {"max_spikes_per_step": 2, "initial_voltage": "zero"},
    "rules": {"scales": [RULE, sw.TargetRate(200.0)], "calibration": X},
    "by layer": {"scales": [{"act1": 50, "act2": np.full(8, 90.0)}, {"act1": 5, "act2": 9}]},
    "neurons": {"neurons": [True, {"relu": sw.BipolarIntegrateAndFire()}], "synapse": None},
    "rate": {"neurons": [False, True], "synapse": None, "scales": 100},
}


@pytest.mark.parametrize(
    "case", slow_but(["labels", "targets", "scores", "after", "rules", "neurons", "rate"], CASES)
)
def test_it_equals_single_evaluations(case: str) -> None:
    """Digit for digit, every record of every setting, in every form of truth and of settings."""
    given = {**GIVEN, "x": X, "y": Y, **CASES[case]}
    found = swept(**CASES[case])
    evaluating = {k: v for k, v in given.items() if k in ("metric", "readouts", "encoder")}
    expected = 0
    for setting, point in settings_of(found).items():
        single = sw.convert(GRAPH, **setting.arguments).evaluate(
            given["x"], given["y"], 8, at=[3], progress=False, **evaluating
        )
        assert point.evaluation is not None
        assert point.evaluation.records == single.records
        assert point.evaluation.settings == single.settings
        how = setting.how
        mine = [r for r in found.records if all(r.how.get(k, 0) == v for k, v in how.items())]
        own = [r for r in single.records if not r.name.startswith("source ")]
        assert stripped(mine) == own
        expected += len(own)
    source = [r for r in found.records if r.name.startswith("source ")]
    assert source == [r for r in single.records if r.name.startswith("source ")]
    assert len(settings_of(found)) > 1 and len(found.records) == expected + len(source)


def test_every_combination_is_there() -> None:
    """Scales in turn first, under each synapse and kind of neurons; once each."""
    found = swept(scales=[100, 100.0, 20], neurons=[True, {"relu": sw.SpikingRectifiedLinear()}])
    names = [setting.name for setting in settings_of(found)]

    assert names[:4] == [
        "scale 100", "scale 20", "scale 100, synapse 2 ms", "scale 20, synapse 2 ms",
    ]  # fmt: skip
    assert names[4] == "scale 100, neurons {relu: SpikingRectifiedLinear()}"
    assert len(names) == len(set(names)) == 8
    assert len(found.points) == 8 * 2 * 2


def test_settings_of_the_same_words_are_told_apart() -> None:
    """Arrays are not written out: a number does it, in names and in records."""
    first, second = ({"act1": np.full(12, v), "act2": 9.0} for v in (5.0, 6.0))
    found = swept(scales=[first, second], synapse=None)
    scales = [setting.how["scale"] for setting in settings_of(found)]

    assert scales == ["{act1: 12 values, act2: 9}", "{act1: 12 values, act2: 9} #2"]
    assert len(select(found.records, "accuracy", scale=scales[1], steps=8)) == 2


def test_the_table_holds_what_was_measured() -> None:
    """Every cell, from `Conversion.evaluate` and a run of that many steps."""
    found = swept(scales=[20, 100], within=0.2)
    table = found.table
    for row in table.as_dicts():
        synapse = None if row["synapse"] == "none" else row["synapse"]
        network = sw.convert(GRAPH, spiking=True, scale_firing_rates=row["scale"], synapse=synapse)
        single = network.evaluate(X, Y, 8, at=[3], progress=False)
        run = network.run(X, row["steps"], progress=False)
        for readout in ("mean", "last"):
            record = single.accuracy(readout, row["steps"])
            names = ("", "_low", "_high")
            cells = [row[f"accuracy_{readout}{name}"] for name in names]
            assert cells == [record.value, *(record.interval or ())]
        counts = sum(run.spike_counts().values())
        assert row["spikes_per_sample"] == counts.mean()
        assert row["rate_hz"] == pytest.approx(counts.mean() / (20 * row["steps"] * 0.001))
        assert row["latency_ms"] == row["steps"]
        how = {"steps": row["steps"], "network": "spiking", "table": "45nm-fp32"}
        assert row["energy_j"] == select(single.records, "energy", **how)[0].value
    assert [row["chosen"] for row in table.as_dicts()].count(True) == 1
    assert "neurons" not in [column.key for column in table.columns]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often a shard was run, the source was, and a model read."""
    found = {"shards": 0, "source": 0, "read": 0}

    def spy(owner: Any, name: str, what: str) -> None:
        original = getattr(owner, name)

        def counting(*arguments: Any, **more: Any) -> Any:
            found[what] += 1
            return original(*arguments, **more)

        monkeypatch.setattr(owner, name, counting)

    spy(ShardEvaluator, "__call__", "shards")
    spy(SourceNetwork, "answers", "source")
    spy(frontends, "read", "read")
    return found


def test_what_does_not_depend_on_the_setting_is_done_once(counted: dict[str, int]) -> None:
    """One run a setting answers for all steps and readouts; the source runs once, is read once."""
    swept(steps=[1, 2, 3, 8], readouts=["mean", "last", sw.MeanAfter(0.001)])

    assert counted == {"shards": 6 * 5, "source": 5, "read": 1}


def test_the_source_is_computed_once_elsewhere_too() -> None:
    """What workers hand back goes to the next setting; the records are the same."""
    expected = swept()
    with ThreadPoolExecutor(2) as pool:
        found = swept(executor=pool)

    assert found.records == expected.records


def batches() -> Iterator[tuple[Any, Any]]:
    """Data that can be read once."""
    for i in range(0, 30, 11):
        yield X[i : i + 11], Y[i : i + 11]


@pytest.mark.parametrize("form", ["generator", "loader", "named", "tensors"])
def test_data_in_any_form(form: str) -> None:
    """A generator is gone through once; a loader that shuffles means the same samples for all."""
    expected = swept()
    tensors = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    shuffled = torch.utils.data.DataLoader(tensors, batch_size=4, shuffle=True)
    torch.manual_seed(0)
    data = {
        "generator": (batches(), None),
        "loader": (shuffled, None),
        "named": ({"x": X}, {"output": Y}),
        "tensors": (torch.from_numpy(X), torch.from_numpy(Y)),
    }[form]
    found = swept(x=data[0], y=data[1])

    values = [r.value for r in found.records]
    assert values == pytest.approx([r.value for r in expected.records], rel=1e-12)
    if form != "loader":
        assert found.records == expected.records


def cheapest_by_hand(found: sw.results.StudyResult, within: float, key: Any) -> tuple[Any, ...]:
    """The best of all settings, steps and readouts, from the records alone."""
    good = []
    for drop in select(found.records, "accuracy drop"):
        how = {k: drop.how[k] for k in ("scale", "synapse", "steps")}
        spikes = [
            r for r in select(found.records, "spikes per sample", **how) if "layer" not in r.how
        ]
        energy = select(found.records, "energy", network="spiking", table="45nm-fp32", **how)
        if spikes and drop.value <= within:
            cost = {
                "spikes": spikes[0].value, "energy": energy[0].value, "latency": how["steps"],
            }  # fmt: skip
            good.append((cost[key], spikes[0].value, drop.value, *how.values()))
    return min(good, key=lambda item: item[:3])


@pytest.mark.parametrize("minimise", ["spikes", "energy", "latency"])
@pytest.mark.parametrize("within", [0.07, 0.2, 1.0])
def test_the_best_is_the_cheapest_within(minimise: Any, within: float) -> None:
    """Of all settings, steps and readouts, what was asked for; it stands in the records."""
    found = swept(minimise=minimise, within=within)
    best = found.best
    _, spikes, lost, scale, synapse, steps = cheapest_by_hand(found, within, minimise)
    assert best is not None
    how = best.setting.how

    assert (best.spikes, best.lost, best.steps) == (spikes, lost, steps)
    assert (how["scale"], how["synapse"]) == (scale, synapse)
    (chosen,) = [r for r in found.records if r.how.get("chosen")]
    assert (chosen.name, chosen.how["scale"], chosen.how["steps"]) == ("accuracy", scale, steps)
    assert chosen.value == best.scores[0].value.value
    assert [r.how["setting"] for r in found.trade_off if r.how.get("chosen")] == [best.name] * 3


@dataclass(frozen=True)
class Half(AtEveryStep):
    """A readout of the user's own, with a parameter: the mean behind a share of the steps."""

    share: float = 0.5

    def left_out(self, steps: int, dt: float) -> int:
        """The first steps."""
        return int(self.share * steps)


@pytest.mark.parametrize("readout", ["mean", sw.MeanAfter(0.002), Half(0.25)], ids=str)
@pytest.mark.parametrize("model", [GRAPH, sw.convert(GRAPH)], ids=["model", "conversion"])
def test_the_call_makes_the_best_again(readout: Any, model: Any) -> None:
    """The printed program predicts the same, with rules in the place of many numbers.

    So do the arguments, which need no data.
    """
    given: dict[str, Any] = {"scales": [RULE, 100], "synapse": [None, sw.Alpha(0.001)]}
    given |= {"initial_voltage": sw.VoltageCorrection(8), "calibration": X}
    found = swept(model, **given, within=1.0, max_spikes_per_step=2, readouts=[readout])
    best = found.best
    assert best is not None and "calibration=x" in found.call and "np." not in found.call
    *made, run = found.call.splitlines()
    space: dict[str, Any] = {"model": model, "x": X}
    exec("\n".join(made), space)
    converted = sw.convert(GRAPH, **best.setting.arguments)
    values = np.asarray(converted.run(X, best.steps).predict(readout))

    np.testing.assert_array_equal(eval(run, space), values)
    again = sw.convert(GRAPH, **best.arguments).run(X, **best.run).predict(best.readout)
    np.testing.assert_array_equal(again, values)


def test_a_model_file_is_called_by_its_path() -> None:
    """As one types it."""
    x, y = demo.held_out(30)
    found = sw.sweep(demo.MODEL, x, y, scales=[20, 100], steps=8, within=0.05, progress=False)

    made = f"conversion = sw.convert({str(demo.MODEL)!r}, spiking=True"
    assert found.call.startswith(f"import spikewright as sw\n{made}")


def test_a_conversion_may_be_swept() -> None:
    """What it was made with and is not swept stays."""
    base = sw.convert(GRAPH, spiking=True, max_spikes_per_step=1, initial_voltage="zero")
    found = swept(base)
    expected = swept(max_spikes_per_step=1, initial_voltage="zero")

    assert found.records == expected.records


def test_the_conclusion_says_what_it_is_worth_and_costs() -> None:
    """In words that follow from the records."""
    found = swept(synapse=None, within=0.1)
    best = found.best
    assert best is not None
    value, drop = best.scores[0].value, best.scores[0].drop
    (source,) = select(found.records, "source accuracy")
    assert drop is not None and best.spikes is not None
    text = found.conclusion

    assert text.startswith(
        f"The cheapest setting in spikes within 10 points of the source (accuracy "
        f"{100 * source.value:.1f} %) is scale {best.setting.how['scale']:g}, {best.steps} "
    )
    assert f"accuracy {100 * value.value:.1f} %" in text
    assert f"{100 * abs(drop.value):.1f} points {'lost' if drop.value >= 0 else 'gained'}" in text
    assert str(found).endswith(f"{text}\n\n{found.call}")


@pytest.mark.parametrize("steps", [1, 2])
def test_one_step_is_called_what_it_is(steps: int) -> None:
    """A quantised rate network: nothing in it depends on the order of spikes."""
    found = swept(scales=1000, steps=steps, within=1.0)
    assert found.best is not None and found.best.steps == steps
    assert found.conclusion.endswith(" this is a quantised rate network.") == (steps == 1)


def test_where_nothing_is_near_enough_the_nearest_is_named() -> None:
    """There is no best and no call, and that is said."""
    found = swept(scales=1, steps=2)

    assert found.best is None and found.call == ""
    assert found.conclusion.startswith("No setting here comes within 1 point of the source")
    assert found.closest.setting.name in found.conclusion
    assert not any(r.how.get("chosen") for r in found.records)
    assert found.best_or_closest is found.closest and found.closest.call


def test_other_measures_are_judged_in_their_own_unit() -> None:
    """Targets by the rise of their error, none by agreement, metrics as they count."""
    targets = swept(y=SOURCE * 1.1, within=0.2)
    (source,) = select(targets.records, "source relative error")
    nothing = swept(y=None, within=0.1)
    scores = swept(metric=margin, within=0.05)
    for found, name in ((targets, "relative error"), (nothing, "agreement"), (scores, "margin")):
        assert found.best is not None
        assert found.best.scores[0].worth.name == name
        assert found.limit is not None and found.best.lost <= found.limit
        assert name in found.conclusion
    assert targets.best is not None and nothing.best is not None
    assert targets.best.lost == targets.best.scores[0].value.value - source.value
    assert nothing.best.lost == 1 - nothing.best.scores[0].value.value
    assert "within 0.05 of the source (margin" in scores.conclusion


def test_of_several_outputs_the_worst_counts() -> None:
    """Each is judged by what was said of it; those of which nothing was said do not count."""
    rng = np.random.default_rng(5)
    graph = models.two_headed(rng, 1.0)
    values = evaluate(graph, {"x": X})
    y = {"class": values["class"].argmax(axis=1), "value": values["value"]}
    both = swept(graph, y=y, within=0.2)
    one = swept(graph, y={"class": y["class"]}, within=0.2)
    assert both.best is not None and one.best is not None

    assert [part.worth.name for part in both.best.scores] == ["accuracy", "relative error"]
    assert both.best.lost == max(part.lost for part in both.best.scores)
    assert [part.worth.name for part in one.best.scores] == ["accuracy"]
    assert "class accuracy" in both.conclusion and "value relative error" in both.conclusion


def test_a_setting_that_fails_is_a_row_that_failed() -> None:
    """With its reason; the others are what they are without it."""
    odd = {"nowhere": sw.BipolarIntegrateAndFire()}
    found = swept(
        scales=[20, sw.MinimumError(8), -5.0, 100], synapse=None, neurons=[True, odd],
        max_spikes_per_step=1,
    )  # fmt: skip
    expected = swept(scales=[20, 100], synapse=None, max_spikes_per_step=1)

    assert found.records == expected.records
    assert list(found.failed) == [
        "MinimumError(steps=8)", "scale -5",
        *(f"{scale}, neurons {{nowhere: BipolarIntegrateAndFire()}}"
          for scale in ("scale 20", "MinimumError(steps=8)", "scale -5", "scale 100")),
    ]  # fmt: skip
    assert "calibration" in found.failed["MinimumError(steps=8)"]
    assert "nowhere" in list(found.failed.values())[-1]
    rows = found.table.as_dicts()
    failed = [row for row in rows if row["accuracy_mean"] is None]
    assert len(failed) == 6 and len(rows) == 6 + 2 * 2
    assert all(row["spikes_per_sample"] is None and row["steps"] is None for row in failed)
    assert found.as_dict()["failed"] == found.failed


@pytest.mark.parametrize(
    "bad",
    [
        {"scales": [100, 0.0]},
        {"scales": [100, float("nan")]},
        {"scales": [100, "fast"]},
        {"scales": [100, {"nowhere": 5.0}]},
        {"scales": [100, 1e30]},
        {"scales": 100, "synapse": [None, -1.0]},
        {"scales": 100, "synapse": [None, {"nowhere": 0.1}]},
        {"scales": 100, "neurons": [True, {"relu": "lif"}]},
        {"scales": 100, "neurons": [True, "lif"]},
    ],
)
def test_whatever_is_wrong_with_a_setting_is_its_own(bad: dict[str, Any]) -> None:
    """The other one is measured."""
    found = swept(**{"synapse": None, **bad})

    assert len(settings_of(found)) == 2 and len(found.failed) == 1
    assert not found.points[0].failed and all(found.failed.values())


def test_what_is_missing_on_the_machine_ends_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it, and not once for each setting."""

    def missing(*arguments: Any) -> Any:
        raise MissingExtraError("no torch here")

    monkeypatch.setattr("spikewright.running.runner.engines.get", missing)
    with pytest.raises(MissingExtraError):
        swept()


def test_where_every_setting_fails_the_reasons_are_raised() -> None:
    """Once each; bad data is one reason, not thirty."""
    with pytest.raises(SimulationError, match=r"no setting could .* of 2 .* calibration"):
        swept(scales=[sw.MinimumError(8), sw.TargetRate(10.0)], synapse=None)
    x = X.copy()
    x[11] = np.nan
    with pytest.raises(SimulationError) as caught:
        swept(x=x)
    assert str(caught.value).count("NaN") == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "whole number from 1"),
        ({"steps": []}, "whole number from 1"),
        ({"steps": [4, 2.5]}, "whole number from 1"),
        ({"scales": []}, "scales holds nothing"),
        ({"synapse": ()}, "synapse holds nothing"),
        ({"within": -0.1}, "within must be a number from 0"),
        ({"within": "a point"}, "within must be a number from 0"),
        ({"minimise": "money"}, "minimise must be one of 'spikes', 'energy', 'latency'"),
        ({"energy_table": "free"}, "no cost table"),
        ({"readouts": ["first"]}, "readouts are"),
        ({"y": np.full(30, 7)}, "between 0 and 2"),
        ({"y": Y[:3]}, "number of samples"),
        ({"metric": 3}, "metric must be a function"),
        ({"dt": 0}, "dt"),
        ({"executor": "cloud"}, "executor"),
    ],
)
def test_what_no_sweep_can_be_is_refused(changes: dict[str, Any], message: str) -> None:
    """Before anything runs, with the value and what would do."""
    with pytest.raises(SimulationError, match=message):
        swept(**changes)


def test_names_of_arguments_are_checked() -> None:
    """Another word for one of them is named."""
    with pytest.raises(TypeError, match="Did you mean 'scales'"):
        sw.sweep(GRAPH, X, Y, scale=[1])
    with pytest.raises(SimulationError, match=r"max_pool must be None or one of .*got 'median'"):
        swept(sw.convert(GRAPH), max_pool="median", scales=1, synapse=None)


def test_a_model_without_neurons_has_nothing_to_scale() -> None:
    """That is said at once."""
    with pytest.raises(SimulationError, match="no layer of the model has neurons"):
        swept(
            Graph(
                (
                    GraphNode("x", Input((6,))),
                    GraphNode("y", Affine(np.eye(6), np.ones(6)), ("x",)),
                ),
                {"o": "y"},
            )
        )


def test_candidates_say_nothing() -> None:
    """Few spikes in a setting are what a sweep is to find, and no reason to warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        swept(scales=[1, 100], steps=2)


def test_progress_is_that_of_all_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples times settings, those of failed ones included."""
    seen: dict[str, Any] = {"done": 0}

    @contextmanager
    def bar(total: int, show: bool, what: str) -> Iterator[Any]:
        seen.update(total=total, what=what)
        yield lambda done: seen.update(done=seen["done"] + done)

    monkeypatch.setattr("spikewright.study.measuring.progress_bar", bar)
    swept(scales=[20, sw.MinimumError(8), 100])

    assert seen == {"done": 180, "total": 180, "what": "samples x settings"}


def test_it_is_plain_data() -> None:
    """For JSON: rows of the table, the best, every record."""
    found = swept(scales=[RULE, 100], calibration=X, within=0.5)
    plain = json.loads(json.dumps(found.as_dict(), allow_nan=False))

    assert found.best is not None
    assert plain["best"]["name"] == found.best.name
    assert plain["call"] == found.call
    assert len(plain["records"]) == len(found.records)
    assert [row["scale"] for row in plain["table"][:4:2]] == [str(RULE), 100.0]


def test_codes_are_one_more_axis_each_in_its_own_steps() -> None:
    """Points are those of `evaluate` of a conversion with the code, which is given no steps."""
    codes = [sw.RateCode(8), sw.SignedDigits(4, 1), sw.SignedDigits(3, 2)]
    found = sw.sweep(GRAPH, X, Y, coding=codes, calibration=X, readouts=["mean"], progress=False)
    assert [point.steps for point in found.points] == [8, 4, 3] and not found.failed
    assert [row["steps"] for row in found.table.as_dicts()] == [8, 4, 3]
    for point, code in zip(found.points, codes, strict=True):
        made = sw.convert(GRAPH, spiking=True, coding=code, calibration=X)
        expected = made.evaluate(X, Y, readouts=["mean"], progress=False)
        assert point.evaluation is not None
        assert stripped(point.evaluation.records) == stripped(expected.records)
        assert point.conversion.coding == code
        whole = made.run(X, progress=False).network_steps
        assert point.latency == whole and (whole > point.steps) == (code.steps != 8)
    times = [row["latency_ms"] for row in found.table.as_dicts()]
    assert times == [point.latency for point in found.points]


def test_digits_are_read_after_their_own_steps_alone() -> None:
    """Of steps that are given for all; where theirs are not among them, the reason is told."""
    digits = sw.SignedDigits(4, 1)
    asked: dict[str, Any] = {"calibration": X, "readouts": ["mean"], "progress": False}
    found = sw.sweep(GRAPH, X, Y, coding=[None, digits], scales=50.0, steps=[2, 4], **asked)
    assert [(point.setting.how["scale"], point.steps) for point in found.points] == [
        (50.0, 2), (50.0, 4), ("SignedDigits(steps=4, silent_steps=1), scale 50.0", 4)
    ]  # fmt: skip
    found = sw.sweep(GRAPH, X, Y, coding=[None, digits], steps=8, scales=[None], **asked)
    assert ["digits in 4 steps each, got steps=8" in p.failed for p in found.points] == [
        False,
        True,
    ]
    with pytest.raises(SimulationError, match="digits in 4 steps each, got steps=8"):
        sw.sweep(GRAPH, X, Y, coding=digits, steps=8, **asked)


def test_what_convert_chooses_for_eight_steps_is_a_row() -> None:
    """Beside scales that were left out: `evaluate` of the one-line default, and a program."""
    found = sw.sweep(GRAPH, X, Y, steps=[4, 32], progress=False)
    point = next(p for p in found.points if p.setting.name == "default")
    made = sw.convert(GRAPH, spiking=True, calibration=X, steps=8)
    single = made.evaluate(X, Y, progress=False, readouts=["mean", "last"])
    assert point.evaluation is not None and point.evaluation.records == single.records
    assert found.table.as_dicts()[0]["scale"] == "default"
    assert [row["steps"] for row in found.table.as_dicts()[:3]] == [8, 4, 32]
    names: dict[str, Any] = {"model": GRAPH, "x": X}
    exec(point.call, names)
    assert np.array_equal(names["conversion"].run(X).predict(), made.run(X).predict())
    assert "sw.convert(model, spiking=True, steps=8, calibration=x)" in point.call
    assert "Chosen on the samples measured here, without their labels." in str(found)
    assert "signed digits in 8 steps of a layer and" in found.as_dict()["reference"]


@pytest.mark.parametrize(
    ("given", "there"),
    [
        ({"scales": [50]}, False),
        ({"neurons": [False, True]}, False),
        ({"dt": 0.002}, False),
        ({"reference": False}, False),
        ({"scales": [50], "reference": True}, True),
    ],
)
def test_the_row_of_the_default_is_there_where_asked_for(given: Any, there: bool) -> None:
    """Choices that a user made have none unless it is asked for."""
    found = sw.sweep(GRAPH, X, Y, **{"steps": 8, **given}, progress=False)
    assert any(p.setting.name == "default" for p in found.points) == there
    assert bool(found.facts["reference"]) == there


def test_samples_of_calibration_choose_the_default() -> None:
    """They are named in place of those that are measured; the figure draws it as a line."""
    few = X[:12]
    found = sw.sweep(GRAPH, X, Y, scales=[50, 100], steps=8, calibration=few, reference=True,
                     progress=False)  # fmt: skip
    point = found.points[0]
    made = sw.convert(GRAPH, spiking=True, calibration=few, steps=8)
    assert np.array_equal(point.conversion.run(X).predict(), made.run(X).predict())
    assert found.facts["reference"].endswith(" of them. Chosen on the calibration samples.")
    info = sw.report.figures.sweep_info(found.records)
    assert info.scales == (50.0, 100.0) and [c.steps for c in info.reference] == [8]
    assert any("default, 8 steps" in entry.text for entry in info.chart().keys)
