"""Input encoders: what each makes of a value, the law of its mean, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import spikewright as sw
from slowly import in_turn
from spikewright import engines
from spikewright.errors import SimulationError
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Add, Affine, Input
from spikewright.running.encoders import ConstantCurrent, Encoder, Events, Frames, Poisson, Regular

DT = 0.001
STEPS = np.array([16, 32, 64, 128, 256, 512, 1024, 2048])
RNG = np.random.default_rng(5)
X = RNG.normal(size=(6, 3, 4))
IDENTITY = Graph((GraphNode("x", Input((3, 4))),), {"x": "x"})


def _run(encoder: Any, x: Any = X, steps: int | None = 32, graph: Graph = IDENTITY, **how: Any):
    return sw.convert(graph).run(x, steps=steps, encoder=encoder, progress=False, **how)


def _errors(encoder: Encoder, seeds: int = 1) -> NDArray:
    """Root mean square error of the mean after each of `STEPS`."""
    means = np.stack(
        [
            _run(encoder, steps=2048, seed=seed).predict_at_every_step("mean")[:, STEPS - 1]
            for seed in range(seeds)
        ]
    )
    return np.sqrt(((means - X[None, :, None]) ** 2).mean(axis=(0, 1, 3, 4)))


def _slope(errors: NDArray) -> float:
    return float(np.polyfit(np.log(STEPS), np.log(errors), 1)[0])


def test_the_mean_of_a_poisson_input_tends_to_the_value_as_one_over_the_root_of_time() -> None:
    """Slope -1/2, and the size that the docstring states: sqrt(|x| / (rate T)) each."""
    errors = _errors(Poisson(rate=400.0), seeds=8)

    assert -0.55 < _slope(errors) < -0.45
    expected = np.sqrt(np.abs(X).mean() / (400.0 * STEPS * DT))
    np.testing.assert_allclose(errors, expected, rtol=0.1)


def test_the_mean_of_a_regular_input_tends_to_the_value_as_one_over_time() -> None:
    """Slope -1, and never further away than half a spike."""
    run = _run(Regular(rate=400.0), steps=2048)
    errors = np.abs(run.predict_at_every_step("mean") - X[:, None])
    steps = np.arange(1, 2049)[:, None, None]

    assert (errors <= 0.501 / (400.0 * steps * DT) + 1e-6).all()
    assert -1.1 < _slope(_errors(Regular(rate=400.0))) < -0.9


@pytest.mark.parametrize("encoder", [Regular(rate=300.0), Poisson(rate=300.0)])
def test_spikes_are_whole_numbers_of_one_height(encoder: Encoder) -> None:
    """And have the sign of the value, whose zero says nothing."""
    x = X.copy()
    x[0] = 0.0
    counts = _run(encoder, x, steps=200).output * (300.0 * DT)

    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-6)
    assert np.abs(counts).max() >= 1
    assert (counts * np.sign(x)[:, None] >= 0).all()
    assert not counts[0].any()


def test_a_constant_current_is_the_default() -> None:
    """`Constant()`, no encoder and the same frames are the same run."""
    runs = [_run(ConstantCurrent()), _run(None), _run(None, np.repeat(X[:, None], 32, 1))]

    for run in runs[1:]:
        np.testing.assert_array_equal(run.output, runs[0].output)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.permutations(range(6)), st.integers(1, 6))
def test_a_poisson_draw_knows_nothing_of_its_batch(
    seed: int, order: list[int], batch_size: int
) -> None:
    """The same sample has the same spikes wherever it stands, and in whatever company."""
    whole = _run(Poisson(), seed=seed).output
    shuffled = _run(Poisson(), X[order], seed=seed, batch_size=batch_size).output

    np.testing.assert_array_equal(shuffled, whole[order])


def test_poisson_draws_differ_between_samples_seeds_and_inputs_and_repeat_themselves() -> None:
    """A function of (seed, input, values): nothing else, and of each of them."""
    nodes = (
        GraphNode("a", Input((5,))),
        GraphNode("b", Input((5,))),
        GraphNode("sum", Add(), ("a", "b")),
    )
    graph = Graph(nodes, {"a": "a", "b": "b"})
    x = np.full((2, 5), 0.7)
    x[1, 0] = 0.8
    first, again, other = (
        sw.convert(graph)
        .run({"a": x, "b": x}, 64, seed=s, encoder=Poisson(), progress=False)
        .output
        for s in (3, 3, 4)
    )

    np.testing.assert_array_equal(first["a"], again["a"])
    assert (first["a"] != other["a"]).any()
    assert (first["a"] != first["b"]).any()
    assert (first["a"][0, :, 1:] != first["a"][1, :, 1:]).any()


def test_a_longer_poisson_run_begins_like_a_shorter_one() -> None:
    """Steps are drawn one after another."""
    np.testing.assert_array_equal(
        _run(Poisson(), steps=40).output[:, :16], _run(Poisson(), steps=16).output
    )


def test_frames_are_held() -> None:
    """Each for so many steps, the last one until the end; they say how long a run is."""
    frames = RNG.normal(size=(2, 5, 3, 4))
    run = _run(Frames(hold=4), frames, steps=None)

    assert run.steps == 20
    np.testing.assert_allclose(run.output, np.repeat(frames, 4, axis=1), rtol=1e-6)
    longer = _run(Frames(hold=4), frames, steps=23).output
    np.testing.assert_array_equal(longer[:, 20:], longer[:, 19:20].repeat(3, axis=1))
    with pytest.raises(SimulationError, match="20 steps, the run has 19"):
        _run(Frames(hold=4), frames, steps=19)


def test_frames_of_bytes_have_a_scale() -> None:
    """Every value is multiplied by the scale, rounded to float32: products with bytes are exact."""
    frames = RNG.integers(0, 256, (2, 5, 3, 4)).astype(np.uint8)
    run = _run(Frames(hold=2, scale=1 / 255), frames, steps=None)
    wide = _run(Frames(hold=2), frames * float(np.float32(1 / 255)), steps=None)

    np.testing.assert_array_equal(run.output, wide.output)
    np.testing.assert_allclose(run.output, np.repeat(frames / 255.0, 2, axis=1), rtol=1e-6)


NARROW = (bool, np.uint8, np.int8, np.float32)


@pytest.mark.parametrize("engine", engines.available())
def test_narrow_numbers_are_those_of_float64(engine: str) -> None:
    """Over time and held, on every engine, in a layer with weights and without; the array stays."""
    weights = RNG.normal(size=(5, 12)).astype(np.float32)
    nodes = (
        GraphNode("x", Input((12,))),
        GraphNode("y", Affine(weights, np.ones(5)), ("x",)),
        GraphNode("z", Activation("relu"), ("y",)),
    )
    for graph in (Graph(nodes, {"z": "z"}), Graph(nodes[:1], {"x": "x"})):
        conversion = sw.convert(graph, spiking=True)
        for kind in NARROW:
            for shape in ((3, 20, 12), (3, 12)):
                x = RNG.integers(0, 100, shape).astype(kind)
                given = x.copy()
                found, wide = (
                    conversion.run(v, steps=20, engine=engine, progress=False, dt=1.0)
                    for v in (x, x.astype(np.float64))
                )
                np.testing.assert_array_equal(found.output, wide.output)
                np.testing.assert_array_equal(x, given)
                for a, b in zip(
                    found.spike_counts().values(), wide.spike_counts().values(), strict=True
                ):
                    np.testing.assert_array_equal(a, b)


def _events(rank: int) -> list[NDArray]:
    """Lists of events of different length, with several of one place and step."""
    rng = np.random.default_rng(8)
    made = []
    for count in (40, 0, 7):
        where = rng.integers(0, 12, count)
        index = where[:, None] if rank == 1 else np.stack(np.unravel_index(where, (3, 4)), axis=1)
        times, values = rng.integers(0, 20, (count, 1)), rng.choice([-1, 1, 2], (count, 1))
        made.append(np.concatenate([times * 1000, index, values], axis=1).astype(float))
    return made


@pytest.mark.parametrize("rank", [1, 2])
def test_the_mean_of_events_is_their_sum(rank: int) -> None:
    """Whatever their order, and however the index is given; the frame of all events."""
    samples = _events(rank)
    expected = np.zeros((3, 12))
    for frame, sample in zip(expected, _events(1), strict=True):
        np.add.at(frame, sample[:, 1].astype(int), sample[:, 2])
    run = _run(Events(time_unit=1e-6), samples, steps=None)
    backwards = _run(Events(time_unit=1e-6), [s[::-1] for s in samples], steps=None)

    assert run.steps == 1 + max(s[:, 0].max() for s in samples if len(s)) / 1000
    np.testing.assert_allclose(run.predict("mean").reshape(3, 12), expected, atol=1e-5)
    np.testing.assert_array_equal(backwards.output, run.output)


def test_an_event_stands_in_its_step() -> None:
    """Time `n dt` begins step `n`; with a rate its pulse does not depend on the run's length."""
    times = [0.0, 0.0009, 0.001, 0.003, 0.0069999]
    rows = np.array([[t, 5, 2.0] for t in times])
    output = _run(Events(rate=500.0), [rows], steps=8).output[0, :, 1, 1]

    np.testing.assert_allclose(output, [8, 4, 0, 4, 0, 0, 4, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([-1e-9, 0, 1], r"sample 1: event 1, .*before the start"),
        ([0.1, 12, 1], r"event 1, .*not inside an input of shape \(3, 4\)"),
        ([0.1, -1, 1], "not inside"),
        ([0.1, 1.5, 1], "not inside"),
        ([np.nan, 1, 1], "finite"),
        ([0.1, 1, np.inf], "finite"),
        ([50.0, 1, 1], "after the run's 32 steps"),
    ],
)
def test_events_that_are_none_are_refused(row: list[float], message: str) -> None:
    """By input, sample and number, never dropped."""
    samples = [np.array([[0.0, 0, 1]]), np.array([[0.01, 3, 1], row])]
    with pytest.raises(SimulationError, match=message):
        _run(Events(), samples)


SENSORS = {
    "line": ((12,), ("x",)),
    "plane": ((3, 4), ("y", "x")),
    "one channel before": ((1, 3, 4), ("", "y", "x")),
    "one channel behind": ((3, 4, 1), ("y", "x", "")),
    "two channels before": ((2, 3, 4), ("p", "y", "x")),
    "two channels behind": ((3, 4, 2), ("y", "x", "p")),
}
_TYPES = {"x": "<i2", "y": "<i2", "t": "<i8", "p": "?"}


def _identity(shape: tuple[int, ...]) -> Graph:
    return Graph((GraphNode("x", Input(shape)),), {"x": "x"})


def _recorded(shape: tuple[int, ...], axes: tuple[str, ...], order: str, count: int) -> NDArray:
    """A sensor's events at random, its fields in this order."""
    rng = np.random.default_rng(count)
    made = np.zeros(count, [(name, _TYPES[name]) for name in order])
    for name, extent in zip(axes, shape, strict=True):
        if name:
            made[name] = rng.integers(0, extent, count)
    if "p" in order:
        made["p"] = rng.integers(0, 2, count)
    made["t"] = np.sort(rng.integers(0, 8_000, count))
    return made


@pytest.mark.parametrize(("sensor", "order"), in_turn(SENSORS, ["xytp", "tpyx", "pxty"]))
def test_events_of_sensors_are_the_rows_that_they_stand_for(sensor: str, order: str) -> None:
    """Fields in any order, in microseconds: as rows with an index, and a value, in seconds."""
    shape, axes = SENSORS[sensor]
    samples = [_recorded(shape, axes, order, count) for count in (60, 0, 9)]
    rows = []
    for events in samples:
        index = [events[name] if name else 0 * events["t"] for name in axes]
        value = np.ones(len(events)) if "p" in axes else np.where(events["p"], 1, -1)
        flat = np.ravel_multi_index(tuple(map(np.asarray, index)), shape)
        rows.append(np.stack([events["t"] * 1e-6, flat, value], axis=1))
    found = _run(Events(), samples, steps=None, graph=_identity(shape))
    wanted = _run(Events(), rows, steps=None, graph=_identity(shape))

    assert found.steps == wanted.steps == 8
    np.testing.assert_array_equal(found.output, wanted.output)
    assert np.abs(found.output).sum() > 0
    assert ("p" in axes) == (found.output.min() >= 0)


def test_a_sensor_without_polarity_sends_ones() -> None:
    """Where the input has no axis for it; other fields are not looked at."""
    events = np.array([(1, 2, 500, 9)], [("y", int), ("x", int), ("t", int), ("walltime", int)])
    assert _run(Events(), [events], steps=1).output[0, 0, 1, 2] == 1.0


def test_the_unit_of_a_sensor_that_counts_otherwise_is_given() -> None:
    """Milliseconds, here."""
    events = np.array([(1, 2, 3, 1)], [(name, int) for name in "yxtp"])
    assert _run(Events(time_unit=1e-3), [events], steps=None).steps == 4


@pytest.mark.parametrize(
    ("change", "shape", "message"),
    [
        ({"drop": "t"}, (3, 4), r"sample 1: .*with the fields t, y, x for .*got shape .* x, y, p"),
        ({"drop": "x"}, (12,), "fields t, x"),
        ({"drop": "p"}, (2, 3, 4), "fields t, p, y, x"),
        ({"t": -1}, (3, 4), r"event 1, \(x 1, y 1, t -1, p 1\), comes before the start"),
        ({"t": 99}, (3, 4), r"event 2, .*is earlier than the one before it: np.sort"),
        ({"x": 4}, (3, 4), r"event 1, .*is outside: x is from 0 to 3"),
        ({"y": -1}, (2, 3, 4), "is outside: y is from 0 to 2"),
        ({"x": 4}, (3, 4, 2), "is outside: x is from 0 to 3"),
        ({"p": 2}, (2, 3, 4), "has a polarity other than -1, 0 and 1"),
        ({}, (2, 3, 2), "fit inputs .* of shape .* give rows"),
        ({}, (5, 3, 4), "give rows"),
        ({}, (1, 2, 3, 4), "give rows"),
    ],
)
def test_events_of_sensors_that_do_not_fit_are_refused(
    change: dict[str, Any], shape: tuple[int, ...], message: str
) -> None:
    """With the sample, the event and its fields; nothing is sorted or dropped silently."""
    good = np.array([(1, 1, t, 1) for t in (0, 10, 20)], [(name, int) for name in "xytp"])
    dropped = change.get("drop")
    bad = good[[name for name in good.dtype.names or () if name != dropped]].copy()
    for name, value in change.items():
        if name != "drop":
            bad[name][1] = value
    with pytest.raises(SimulationError, match=message):
        _run(Events(), [good, bad], graph=_identity(shape))


def test_the_events_of_one_sample_are_not_taken_for_many() -> None:
    """An array of events alone would be as many samples of one event."""
    with pytest.raises(SimulationError, match=r"events of one sample: give \[events\]"):
        _run(Events(), _recorded((3, 4), ("y", "x"), "xytp", 5))


def test_events_of_sensors_are_evaluated(tmp_path: Path) -> None:
    """A data set of them is that of its rows, with a checkpoint as well, which knows its data."""
    samples = [_recorded((12,), ("x",), "xytp", count) for count in (30, 20, 10)]
    rows = [np.stack([e["t"] * 1e-6, e["x"], np.where(e["p"], 1.0, -1.0)], axis=1) for e in samples]
    made, y = sw.convert(_identity((12,))), np.array([1, 2, 3])
    how: dict[str, Any] = {"encoder": Events(), "progress": False}
    wanted = made.evaluate(rows, y, 8, **how).accuracy()
    kept = {**how, "checkpoint": tmp_path / "kept"}
    for each in (how, kept, kept):
        assert made.evaluate(samples, y, 8, **each).accuracy() == wanted
    with pytest.raises(SimulationError, match="other"):
        made.evaluate([samples[0], samples[1], samples[2][:5]], y, 8, **kept)


@pytest.mark.parametrize(
    ("encoder", "x", "message"),
    [
        (Poisson(), X[:, :2], r"\(batch, 3, 4\)"),
        (Regular(), X[:, None], r"\(batch, 3, 4\)"),
        (Frames(), X, r"\(batch, frames, 3, 4\)"),
        (Poisson(), X * np.nan, "NaN"),
        (Poisson(rate=1e12), X, "spikes a step"),
        (Events(), [np.zeros((2, 5))], r"\(events, 3\) or \(events, 4\)"),
        (Events(), 3.0, "sequence of arrays of events"),
        ({"y": Poisson()}, X, r"encoder names \['y'\]; the inputs are \['x'\]"),
        ("poisson", X, "must be one of spikewright.encoders"),
        ({"x": Poisson}, X, "must be one of spikewright.encoders"),
    ],
)
def test_input_that_an_encoder_cannot_take_is_refused(encoder: Any, x: Any, message: str) -> None:
    """The error says what it takes."""
    with pytest.raises(SimulationError, match=message):
        _run(encoder, x)


def test_microseconds_taken_for_seconds_are_noticed() -> None:
    """A run of hours is refused before it begins, with what to give."""
    with pytest.raises(SimulationError, match="time_unit=1e-6"):
        _run(Events(), [np.array([[250_000.0, 0, 1]])], steps=None)


@pytest.mark.parametrize(
    ("kind", "name", "values"),
    [
        (Poisson, "rate", [0, -1.0, np.nan, np.inf, True, "1", None]),
        (Regular, "rate", [0]),
        (Events, "rate", [-1.0]),
        (Events, "time_unit", [0, "us"]),
        (Frames, "hold", [0, 1.5, True]),
        (Frames, "scale", [0, 1e-60, 1e39, np.nan, np.inf, True, "1"]),
    ],
)
def test_rates_and_units_are_above_zero_and_steps_whole(
    kind: Any, name: str, values: list[Any]
) -> None:
    """Refused where they are given."""
    for value in values:
        with pytest.raises(SimulationError, match=name):
            kind(**{name: value})


def test_every_input_may_have_an_encoder_of_its_own() -> None:
    """Those that are not named are given as they are; the record says what was encoded."""
    nodes = (
        GraphNode("a", Input((4,))),
        GraphNode("b", Input((4,))),
        GraphNode("sum", Add(), ("a", "b")),
        GraphNode("end", Affine(RNG.normal(size=(3, 4))), ("sum",)),
        GraphNode("act", Activation("relu"), ("end",)),
    )
    graph = Graph(nodes, {"y": "act"})
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=100.0)
    a, frames = RNG.normal(size=(2, 4)), RNG.normal(size=(2, 10, 4))
    run = conversion.run({"a": a, "b": frames}, encoder={"a": Regular()}, progress=False)

    assert run.steps == 10
    assert run.record["encoder"] == "{'a': Regular(rate=1000.0)}"
    assert "encoder" not in conversion.run({"a": a, "b": a}, 4, progress=False).record
    with pytest.raises(SimulationError, match="10 steps, the run 12"):
        conversion.run({"a": a, "b": frames}, 12, encoder={"a": Regular()}, progress=False)
    with pytest.raises(SimulationError, match="number of steps"):
        conversion.run({"a": a, "b": a}, encoder=Poisson(), progress=False)


def test_encoded_input_drives_a_spiking_network_to_its_source() -> None:
    """With regular spikes the error of the output keeps the slope of -1."""
    rng = np.random.default_rng(0)
    nodes = (
        GraphNode("x", Input((8,))),
        GraphNode("one", Affine(rng.normal(size=(12, 8)) / 3, rng.normal(size=12)), ("x",)),
        GraphNode("act", Activation("relu"), ("one",)),
        GraphNode("two", Affine(rng.normal(size=(5, 12)) / 4), ("act",)),
    )
    graph = Graph(nodes, {"y": "two"})
    x = rng.normal(size=(6, 8))
    truth = sw.convert(graph).run(x, 1, progress=False).output
    run = sw.convert(graph, spiking=True, scale_firing_rates=200.0).run(
        x, 2048, encoder=Regular(rate=200.0), progress=False
    )
    means = run.predict_at_every_step("mean")
    errors = np.array([np.linalg.norm(means[:, t - 1] - truth[:, 0]) for t in STEPS])

    assert _slope(errors) < -0.85


def test_long_runs_are_encoded_a_few_samples_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is encoded at once stays small, and changes nothing."""
    whole = _run(Poisson()).output
    sizes = []
    original = Poisson.encode

    def spy(self: Poisson, samples: Any, *rest: Any) -> NDArray:
        sizes.append(len(samples))
        return original(self, samples, *rest)

    monkeypatch.setattr(Poisson, "encode", spy)
    monkeypatch.setattr("spikewright.running.runner._ENCODED", 2 * 8 * 12 * 32)
    np.testing.assert_array_equal(_run(Poisson()).output, whole)
    assert sizes == [2, 2, 2]
