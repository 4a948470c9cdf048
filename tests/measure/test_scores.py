"""Scores of samples, early exits, and what is accepted as the truth."""

from __future__ import annotations

import numpy as np
import pytest

from spikewright import measure
from spikewright.errors import SimulationError
from spikewright.graph.layers import Activation
from spikewright.measure import MeanAfter, Run
from spikewright.measure.exact_counts import ExactCounts, concatenated, summed
from spikewright.measure.scores import confidences, exit_steps, score_records, scores
from spikewright.measure.targets import Output, targets_of
from spikewright.records import select

CLASSES = Output("out", (4,))
RNG = np.random.default_rng(0)
RAW = RNG.normal(size=(40, 9, 4))
LABELS = RNG.integers(0, 4, 40)


def records_of(output: Output, raw: np.ndarray, source: np.ndarray | None, y: object, **more):  # type: ignore[no-untyped-def]
    """Records of one output under both readouts."""
    truth = None if y is None else targets_of(y, output, len(raw))
    thresholds = more.get("thresholds", ())
    rows = scores(output, raw, source, truth, ("mean", "last"), 0.001, thresholds)
    return score_records(ExactCounts(rows, {}), [output.name], raw.shape[1], 0.001, thresholds)


def test_labels_may_stand_in_a_column() -> None:
    """Whole numbers `(samples, 1)`, as in Keras's data sets, are labels like `(samples,)`."""
    column = targets_of(LABELS[:, None].astype(np.uint8), CLASSES, 40)

    assert column.kind == "labels"
    assert np.array_equal(column.values, LABELS)


@pytest.mark.parametrize("readout", ["mean", "last"])
def test_accuracy_is_that_of_runs(readout: str) -> None:
    """At every step the value and the interval that `accuracy_over_time` gives of a run."""
    run = Run({"out": RAW}, {}, {}, 0.001, 9, {"batch": 40})
    found = select(records_of(CLASSES, RAW, None, LABELS), "accuracy", readout=readout)

    assert found == measure.accuracy_over_time(run, LABELS, readout)  # type: ignore[arg-type]


def test_the_drop_is_paired() -> None:
    """Source less spiking, with the interval of the four counts of pairs."""
    source = RNG.normal(size=(40, 4))
    records = records_of(CLASSES, RAW, source, LABELS)
    (drop,) = select(records, "accuracy drop", readout="last", steps=9)
    theirs, ours = source.argmax(1) == LABELS, RAW[:, -1].argmax(1) == LABELS
    counts = (theirs & ours, theirs & ~ours, ~theirs & ours, ~theirs & ~ours)

    assert drop.value == pytest.approx(theirs.mean() - ours.mean())
    assert drop.interval == measure.paired_interval(*(int(c.sum()) for c in counts))
    (agreement,) = select(records, "agreement", readout="last", steps=9)
    assert agreement.value == np.mean(source.argmax(1) == RAW[:, -1].argmax(1))


def test_errors_of_values() -> None:
    """Relative, mean absolute and root mean square error of targets, by their formulas."""
    output = Output("y", (2, 3))
    raw, targets = RNG.normal(size=(20, 5, 2, 3)), RNG.normal(size=(20, 2, 3))
    records = records_of(output, raw, targets + 0.1, targets)
    error = raw[:, -1] - targets
    expected = {
        "relative error": np.sqrt((error**2).sum() / (targets**2).sum()),
        "mean absolute error": np.abs(error).mean(),
        "root mean square error": np.sqrt((error**2).mean()),
    }
    for name, value in expected.items():
        (record,) = select(records, name, readout="last", steps=5)
        assert record.value == pytest.approx(value)
        assert record.interval[0] < record.value < record.interval[1]
    (own,) = select(records, "source mean absolute error")
    assert own.value == pytest.approx(0.1)
    assert {r.name for r in records}.isdisjoint({"accuracy", "agreement"})


def test_without_truth_there_is_agreement_alone() -> None:
    """The same answer as the source, and how far its values are."""
    records = records_of(CLASSES, RAW, RAW[:, -1], None)
    (agreement,) = select(records, "agreement", readout="last", steps=9)
    (difference,) = select(records, "relative difference", readout="last", steps=9)

    assert {r.name for r in records} == {"agreement", "relative difference"}
    assert (agreement.value, difference.value) == (1.0, 0.0)


def test_an_error_relative_to_nothing_is_left_out() -> None:
    """Targets that are all zero have no relative error; the others stand."""
    output = Output("y", (1,))
    records = records_of(output, np.ones((3, 2, 1)), None, np.zeros(3))

    assert select(records, "relative error") == []
    assert [r.value for r in select(records, "mean absolute error", readout="mean")] == [1.0, 1.0]


def test_a_sigmoid_tells_two_classes() -> None:
    """Above one half is class 1."""
    output = Output("p", (1,), Activation("sigmoid"))
    raw = np.array([-2.0, 3.0, -1.0, 4.0]).reshape(4, 1, 1)
    (record,) = select(
        records_of(output, raw, None, np.array([0, 1, 1, 1])), "accuracy", readout="mean"
    )

    assert record.value == 0.75


def test_early_exit_by_hand() -> None:
    """Logits that grow: each sample leaves where its softmax first reaches the threshold."""
    raw = np.zeros((3, 4, 2))
    raw[0, :, 0] = 5.0  # sure at once
    raw[1, :, 1] = [0.0, 0.0, 12.0, 12.0]  # mean 0, 0, 4, 6
    confidence = confidences(raw, Output("out", (2,)), 0.001)

    assert confidence[1, 2] == pytest.approx(1 / (1 + np.exp(-4.0)))
    assert exit_steps(confidence, [0.6, 0.98, 0.999]).tolist() == [[1, 1, 4], [3, 3, 4], [4, 4, 4]]
    records = records_of(Output("out", (2,)), raw, None, np.array([0, 1, 1]), thresholds=(0.6,))
    (accuracy,) = select(records, "early exit accuracy", threshold=0.6)
    (steps,) = select(records, "early exit steps", threshold=0.6)
    assert (accuracy.value, steps.value) == (2 / 3, 8 / 3)


def test_a_threshold_of_nothing_leaves_at_once_and_of_everything_at_the_end() -> None:
    """Then the accuracy is that of the first and of the last step."""
    thresholds = (1e-9, 1.0)
    records = records_of(CLASSES, RAW, None, LABELS, thresholds=thresholds)
    for threshold, step in zip(thresholds, (1, 9), strict=True):
        (early,) = select(records, "early exit accuracy", threshold=threshold)
        (whole,) = select(records, "accuracy", readout="mean", steps=step)
        assert early.value == whole.value
        (steps,) = select(records, "early exit steps", threshold=threshold)
        assert steps.value == step


def test_probabilities_are_taken_as_they_are() -> None:
    """The confidence of a softmax output is its largest value, not a softmax of it."""
    raw = RNG.normal(size=(5, 3, 4)) * 3
    own = confidences(raw, Output("out", (4,), Activation("softmax")), 0.001)

    np.testing.assert_allclose(own, confidences(raw, CLASSES, 0.001))


def test_a_delayed_readout_has_its_name() -> None:
    """`MeanAfter` appears in records as text."""
    rows = scores(CLASSES, RAW, None, targets_of(LABELS, CLASSES, 40), (MeanAfter(0.002),), 0.001)
    found = score_records(ExactCounts(rows, {}), ["out"], 9, 0.001)

    assert {r.how["readout"] for r in found} == {"MeanAfter(start=0.002)"}
    assert found[-1].value == np.mean(RAW[:, 2:].mean(1).argmax(1) == LABELS)


@pytest.mark.parametrize(
    ("y", "output", "message"),
    [
        (np.zeros(3, int), CLASSES, "40 labels or targets"),
        (np.full(40, 4), CLASSES, "between 0 and 3"),
        (np.full(40, -1), CLASSES, "between 0 and 3"),
        (np.full(40, 0.5), CLASSES, "neither labels nor targets"),
        (np.eye(40, 4, dtype=int), CLASSES, "row 4 is not such a row: give the class of each"),
        (np.eye(40, 4) * 2, Output("v", (3,)), "neither labels nor targets"),
        (np.full((40, 4), 2), CLASSES, "neither labels nor targets"),
        (np.zeros(40, int), Output("v", (1,)), "tell no classes apart"),
        (np.zeros(40, int), Output("v", (3, 3)), "tell no classes apart"),
        (np.zeros((40, 3)), CLASSES, "neither labels nor targets"),
        (np.full((40, 4), np.nan), CLASSES, "NaN"),
        (np.array(["a"] * 40), CLASSES, "numbers"),
    ],
)
def test_what_is_no_truth_is_refused(y: np.ndarray, output: Output, message: str) -> None:
    """The error names the output, and what would do."""
    with pytest.raises(SimulationError, match=message):
        targets_of(y, output, 40)


def test_tallies_add_up_in_any_order_of_sums() -> None:
    """Rows are appended, whole numbers added; narrow types do not overflow."""
    parts = [
        ExactCounts({("a",): np.full((2, 1), i)}, {("s",): np.array([200], np.uint8)})
        for i in range(3)
    ]

    whole = concatenated(parts)
    assert whole.samples[("a",)].ravel().tolist() == [0, 0, 1, 1, 2, 2]
    assert whole.sums[("s",)].tolist() == [600]
    assert summed(p.sums for p in reversed(parts))[("s",)].tolist() == [600]
