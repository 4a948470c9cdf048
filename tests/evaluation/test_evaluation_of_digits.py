"""Evaluations of signed digits: layers count their own steps, and outputs are read out whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

import models
import spikewright as sw
from spikewright.cli import main
from spikewright.errors import SimulationError
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input
from spikewright.measure.scores import confidences, exit_steps
from spikewright.measure.targets import Output
from spikewright.records import select
from spikewright.running.inputs import feeds_of
from spikewright.running.single_step import SingleStepNetwork, rounded
from twins import rounded_values

STEPS, SILENT = 4, 2


def leaky(slope: float) -> Graph:
    """Two layers whose values have both signs."""
    rng = np.random.default_rng(5)

    def affine(out: int, size: int) -> Affine:
        return Affine(rng.normal(size=(out, size)) / 2, rng.normal(size=out) / 3)

    nodes = (
        GraphNode("x", Input((6,))),
        GraphNode("fc1", affine(8, 6), ("x",)),
        GraphNode("a", Activation("leaky_relu", {"negative_slope": slope}), ("fc1",)),
        GraphNode("fc2", affine(8, 8), ("a",)),
        GraphNode("b", Activation("leaky_relu", {"negative_slope": slope}), ("fc2",)),
        GraphNode("fc3", affine(3, 8), ("b",)),
    )
    return Graph(nodes, {"output": "fc3"})


def alone() -> Graph:
    """One layer that reads its input."""
    nodes = (GraphNode("x", Input((6,))), GraphNode("a", Activation("relu"), ("x",)))
    return Graph(nodes, {"output": "a"})


GRAPHS = {
    "residual": models.residual(seed=4, pool=True),
    "two-signed": leaky(0.3),
    "two heads": models.two_headed(3),
}


def converted(graph: Graph, silent: int = SILENT) -> tuple[sw.Conversion, NDArray]:
    """A conversion of signed digits, and the samples that it has seen."""
    x = models.inputs(graph, batch=30, seed=6)
    coding = sw.SignedDigits(STEPS, silent)
    return sw.convert(graph, spiking=True, coding=coding, calibration=x), x


def labels(classes: int) -> NDArray:
    """Random labels of the samples."""
    return np.random.default_rng(7).integers(0, classes, 30)


def test_both_numbers_of_steps_are_told_where_they_differ(tmp_path: Path) -> None:
    """Those of a layer, and of the network until the last one has said all; files hold both."""
    conversion, x = converted(GRAPHS["residual"])
    found, run = conversion.evaluate(x, progress=False), conversion.run(x, progress=False)
    assert (found.settings["steps"], found.settings["network_steps"]) == (STEPS, STEPS + SILENT)
    for text in (repr(found), repr(run), str(run)):
        assert "4 steps of 0.001 s (6 of the network)" in text
    assert "4 steps of 1 ms (6 of the network)" in str(found)
    found.save(tmp_path / "found.json")
    loaded = sw.Evaluation.load(tmp_path / "found.json")
    assert (loaded.records, loaded.settings) == (found.records, found.settings)
    one, x = converted(alone())
    found, run = one.evaluate(x, progress=False), one.run(x, progress=False)
    assert "network_steps" not in found.settings
    assert "of the network" not in f"{found}{run}"


def test_frames_are_refused_with_the_call_that_answers_them() -> None:
    """Each frame has an answer of its own, so labels of samples have nothing to compare with."""
    conversion, x = converted(alone())
    frames = np.stack([x, x[::-1], 2 * x], axis=1)
    encoder = sw.encoders.Frames()
    with pytest.raises(SimulationError, match=r"predict_frames\(\)") as refused:
        conversion.evaluate(frames, encoder=encoder, progress=False)
    assert f"run(x, encoder={encoder!r})" in str(refused.value)
    answers = conversion.run(frames, encoder=encoder, progress=False).predict_frames()
    assert answers.shape == (30, 3, 6)


def test_commands_and_pages_tell_both_numbers(tmp_path: Path) -> None:
    """In the title of tables, in plain data, and among the settings of a page."""
    conversion, x = converted(GRAPHS["residual"])
    conversion.save(tmp_path / "made.sw")
    np.savez(tmp_path / "data.npz", x=x, y=labels(5))
    given = [str(tmp_path / "made.sw"), "--data", str(tmp_path / "data.npz")]
    page = tmp_path / "page.html"
    told = CliRunner().invoke(main, ["run", *given, "--report", str(page)])
    assert told.exit_code == 0, told.output
    assert "4 steps of 1 ms (6 of the network)" in told.output
    assert " last " not in told.output and " mean " in told.output
    assert "network_steps" in page.read_text()


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_what_is_counted_in_between_is_of_the_steps_that_each_layer_has_done(graph: Graph) -> None:
    """At a step of the last output earlier layers have done more; rates divide by their own."""
    conversion, x = converted(graph)
    names = list(conversion.populations())
    run = conversion.run(x, record=names, progress=False)
    found = conversion.evaluate(x, at=[1, 3], progress=False)
    whole = conversion.evaluate(x, progress=False)
    starts = [e.neuron_type.start for e in conversion.populations().values()]
    last = max(starts)
    for stop in (1, 3, STEPS):
        for name, start in zip(names, starts, strict=True):
            done = min(STEPS, last + stop - start)
            sent = np.abs(run.spikes_over_time(name)[:, :done]).sum() / len(x)
            size = run.populations[name].totals[0].size
            how = {"layer": name, "steps": stop}
            (spikes,) = select(found.records, "spikes per sample", **how)
            (rate,) = select(found.records, "firing rate", **how)
            assert spikes.value == pytest.approx(sent)
            assert rate.value == pytest.approx(sent / (size * done * 0.001))
    for record in whole.records:
        if "layer" in record.how or record.unit == "J":
            assert record in found.records


def test_curves_and_early_exits_are_of_what_is_known_of_the_complete_value() -> None:
    """The sum of what came in the output's own steps, over all steps."""
    conversion, x = converted(GRAPHS["two-signed"])
    run = conversion.run(x, record=["b"], progress=False)
    known = run.predict_at_every_step()
    assert isinstance(known, np.ndarray)
    head: Any = conversion.canonical["fc3"].layer
    said = np.cumsum(run.recorded["b"], axis=1) / STEPS
    np.testing.assert_allclose(known, said @ head.weight.T + head.bias, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(known[:, -1], run.predict(), rtol=1e-9)
    y = labels(3)
    found = conversion.evaluate(x, y, thresholds=[0.6, 0.9], progress=False)
    for step in range(1, STEPS + 1):
        right = float(np.mean(known[:, step - 1].argmax(axis=1) == y))
        assert found.accuracy(steps=step).value == pytest.approx(right)
    ((name, raw),) = run.raw.items()
    steps = exit_steps(confidences(raw, Output(name, raw.shape[2:]), 0.001), [0.6, 0.9])
    chances = np.exp(known) / np.exp(known).sum(axis=-1, keepdims=True)
    first = np.argmax(chances.max(axis=-1) >= 0.6, axis=1) + 1
    sure = (chances.max(axis=-1) >= 0.6).any(axis=1)
    np.testing.assert_array_equal(steps[sure, 0], first[sure])
    for place, threshold in enumerate((0.6, 0.9)):
        (early,) = select(found.records, "early exit steps", threshold=threshold)
        assert early.value == pytest.approx(steps[:, place].mean())
    assert sure.any() and 1 < steps[:, 0].mean() < STEPS


def test_other_readouts_are_refused() -> None:
    """Digits have one readout, their complete value."""
    conversion, x = converted(GRAPHS["two-signed"])
    assert conversion.evaluate(x, progress=False).settings["readouts"] == ["mean"]
    with pytest.raises(SimulationError, match="the complete value, got \\['last'\\]"):
        conversion.evaluate(x, readouts="last", progress=False)
    run = conversion.run(x, progress=False)
    readouts: list[Any] = ["last", sw.MeanAfter(0.001), sw.Window(0.001)]
    for readout in readouts:
        with pytest.raises(SimulationError, match="the complete value"):
            run.predict(readout)
    with pytest.raises(SimulationError, match="the complete value"):
        run.predict_at_every_step("last")


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_the_rounded_twin_is_that_of_the_digits(graph: Graph) -> None:
    """Every activation rounded to whole units, as far as the digits reach; of all steps alone."""
    conversion, x = converted(graph)
    held = rounded(conversion.lowered, STEPS)
    assert held is not None
    fed = feeds_of(conversion.as_inputs(x), held.inputs, None, 1, STEPS * 0.001, 0)
    still = SingleStepNetwork(held, STEPS * 0.001, 0, "float64", 1)
    names = {node: name for name, node in held.inputs.items()}
    answers = still.answers(fed, names).outputs
    twin = rounded_values(conversion, x)
    for output, node in conversion.canonical.outputs.items():
        np.testing.assert_allclose(answers[output], twin[node], rtol=0, atol=1e-6)


def test_the_score_of_the_twin_is_told_for_all_steps() -> None:
    """At steps in between there is none: what is rounded is the complete value."""
    conversion, x = converted(GRAPHS["residual"], STEPS)
    y = labels(5)
    found = conversion.evaluate(x, y, at=[1, 2], progress=False)
    (twin,) = select(found.records, "rounded accuracy")
    assert twin.how["steps"] == STEPS and twin.value == found.accuracy().value


def test_few_spikes_of_digits_are_no_reason_to_warn() -> None:
    """Less than a spike for each two neurons says all digits; a silent layer says none."""
    graph = leaky(0.1)
    x = 0.05 * models.inputs(graph, batch=30, seed=6)
    scale: dict[str, Any] = {"a": 400.0, "b": 1e-6}
    coding = sw.SignedDigits(STEPS, SILENT)
    made = sw.convert(graph, spiking=True, coding=coding, scale_firing_rates=scale)
    run = made.run(x, progress=False)
    sent = {name: population.totals.mean() for name, population in run.populations.items()}
    assert 0.0 < sent["a"] < 0.5 and sent["b"] == 0.0
    warned = {entry.layer for entry in made.trace.warnings if "spikes a neuron" in entry.text}
    assert warned == {"b"}
