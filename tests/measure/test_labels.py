"""Class labels are taken alike by everything that takes labels, in every form that people have."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

import models
import spikewright as sw
from slowly import in_turn
from spikewright import demo
from spikewright.cli import main
from spikewright.errors import SimulationError, TuningError
from spikewright.graph.layers import Activation
from spikewright.measure import accuracy, accuracy_over_time
from spikewright.measure.targets import Output, labels_of, targets_of

CLASSES = 3
GRAPHS = {
    "classes": models.mlp(output="softmax"),
    "sigmoid": models.mlp(output="sigmoid", outputs=1),
}
SIGMOID = Activation("sigmoid")
LABELS = {
    "classes": np.random.default_rng(4).integers(0, CLASSES, 60),
    "sigmoid": np.random.default_rng(5).integers(0, 2, 60),
}
STEPS = 4

COLUMNS: Mapping[str, Callable[[NDArray], Any]] = {
    "bytes": lambda y: y.astype(np.uint8),
    "floats": lambda y: y.astype(np.float32),
    "column": lambda y: y[:, None],
    "column of floats": lambda y: y[:, None].astype(np.float64),
    "list": lambda y: y.tolist(),
}
ROWS: Mapping[str, Callable[[NDArray], Any]] = {
    "one-hot floats": lambda y: np.eye(CLASSES, dtype=np.float32)[y],
    "one-hot whole numbers": lambda y: np.eye(CLASSES, dtype=int)[y],
    "one-hot truth values": lambda y: np.eye(CLASSES, dtype=bool)[y],
}
CASES = [
    *(pytest.param("classes", form, id=f"classes, {n}") for n, form in {**COLUMNS, **ROWS}.items()),
    *(pytest.param("sigmoid", form, id=f"sigmoid, {n}") for n, form in COLUMNS.items()),
]


def conversion(kind: str) -> sw.Conversion:
    """A spiking network whose output tells classes apart."""
    return sw.convert(GRAPHS[kind], spiking=True, scale_firing_rates=200.0)


def of_accuracy(kind: str, y: Any) -> Any:
    """`measure.accuracy`, of a run and over time."""
    run = conversion(kind).run(inputs(kind), STEPS)
    return accuracy(run, y), accuracy_over_time(run, y, "last")


def of_evaluate(kind: str, y: Any) -> Any:
    """`Conversion.evaluate`, of arrays and of batches."""
    x, y = inputs(kind), np.asarray(y)
    whole = conversion(kind).evaluate(x, y, STEPS).records
    batches = ((x[i : i + 7], y[i : i + 7]) for i in range(0, len(x), 7))
    assert conversion(kind).evaluate(batches, steps=STEPS).records == whole
    return whole


def of_diagnose(kind: str, y: Any) -> Any:
    """`Conversion.diagnose`."""
    return conversion(kind).diagnose(inputs(kind), y, STEPS).as_dict()


def of_tune(kind: str, y: Any) -> Any:
    """`sw.tune`."""
    space = {"steps": [1, 2], "neuron": "default", "max_spikes_per_step": None}
    found = sw.tune(GRAPHS[kind], inputs(kind), y, trials=2, space=space, progress=False)
    assert found.best is not None
    return found.best.steps, found.best.lost, found.records


def of_sweep(kind: str, y: Any) -> Any:
    """`sw.sweep`."""
    given = {"scales": [100, 200], "steps": STEPS, "progress": False}
    return sw.sweep(GRAPHS[kind], inputs(kind), y, **given).as_dict()


USERS = {u.__name__: u for u in (of_accuracy, of_evaluate, of_diagnose, of_tune, of_sweep)}


def inputs(kind: str) -> NDArray:
    """Sixty seeded samples."""
    return models.inputs(GRAPHS[kind], 60, seed=3)


@pytest.fixture(scope="module")
def expected() -> Callable[[str, str], Any]:
    """What a measure gives for whole numbers `(samples,)`, worked out once."""
    known: dict[tuple[str, str], Any] = {}

    def get(user: str, kind: str) -> Any:
        if (user, kind) not in known:
            known[user, kind] = USERS[user](kind, LABELS[kind])
        return known[user, kind]

    return get


@pytest.mark.parametrize(("case", "user"), in_turn(CASES, USERS))
def test_every_form_of_labels_is_the_same(
    case: Any, user: str, expected: Callable[[str, str], Any]
) -> None:
    """Whole numbers of any type, in a column, or rows of zeros with a single one."""
    kind, form = case.values
    found = USERS[user](kind, form(LABELS[kind]))

    assert np.unique(LABELS[kind]).size > 1
    assert repr(found) == repr(expected(user, kind))


COMMANDS = {
    "run": ["--spiking", "--steps", "4"],
    "evaluate": ["--spiking", "--steps", "4"],
    "diagnose": ["--steps", "4"],
    "sweep": ["--steps", "4", "--scale", "5,50"],
    "tune": ["--trials", "2", "--space", "steps=[1,2]"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_take_every_form(command: str, tmp_path: Path) -> None:
    """What a command prints of rows, and of a column, is what it prints of whole numbers."""
    x, y = demo.held_out(60)
    printed = {}
    for name, labels in {
        "plain": y,
        "column": y[:, None],
        "one-hot": np.eye(10, dtype=np.float32)[y],
    }.items():
        path = tmp_path / f"{name}.npz"
        np.savez(path, x=x, y=labels)
        given = [command, str(demo.MODEL), "--data", str(path), *COMMANDS[command], "--json"]
        found = CliRunner().invoke(main, given)
        assert found.exit_code == 0, found.output
        printed[name] = json.loads(found.stdout)

    assert printed["column"] == printed["plain"]
    assert printed["one-hot"] == printed["plain"]


SOFT = np.random.default_rng(6).dirichlet(np.ones(CLASSES), 60)


def test_other_rows_stay_values() -> None:
    """Probabilities are targets, also where single rows are all zeros and a single one."""
    some = SOFT.copy()
    some[::7] = np.eye(CLASSES)[0]
    found = conversion("classes").evaluate(inputs("classes"), some, STEPS)

    assert {r.name for r in found.records} >= {"relative error", "mean absolute error"}
    assert "accuracy" not in {r.name for r in found.records}
    several = np.random.default_rng(7).integers(0, 2, (60, 3)).astype(float)
    wide = Output("tags", (3,), SIGMOID)
    assert targets_of(several, wide, 60).kind == "targets"


def test_a_sigmoid_may_have_targets() -> None:
    """Real numbers that are no classes are what its value should be."""
    output = Output("p", (1,), SIGMOID)

    assert targets_of(np.array([0.0, 0.25, 1.0]), output, 3).kind == "targets"
    assert targets_of(np.array([0.0, 1.0, 1.0]), output, 3).kind == "labels"
    with pytest.raises(SimulationError, match="class labels are needed"):
        labels_of(np.array([0.0, 0.25, 1.0]), output, 3)


def test_damaged_rows_are_not_taken_for_values() -> None:
    """Of labels one row of which is all zeros nobody makes a regression: the row is named."""
    rows = np.eye(CLASSES)[LABELS["classes"]]
    rows[17] = 0
    with pytest.raises(SimulationError, match="59 of 60 rows; row 17 is not such a row"):
        conversion("classes").evaluate(inputs("classes"), rows, STEPS)
    with pytest.raises(TuningError, match="row 17"):
        sw.tune(GRAPHS["classes"], inputs("classes"), rows, progress=False)


def test_batches_agree_on_what_they_hold() -> None:
    """A batch of labels behind one of values is refused: which of them is meant?"""
    x = inputs("classes")
    batches = [(x[:30], SOFT[:30]), (x[30:], np.eye(CLASSES)[LABELS["classes"][30:]])]
    with pytest.raises(SimulationError, match=r"targets of output, x in the first, labels of out"):
        conversion("classes").evaluate(batches, steps=STEPS)
