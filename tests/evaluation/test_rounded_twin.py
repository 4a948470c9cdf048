"""The rounded twin and spikes per active neuron: what is lost to timing, told from the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import models
import spikewright as sw
from slowly import in_turn
from spikewright.graph import Graph
from spikewright.records import select
from spikewright.report.tables import over_time_table
from spikewright.running.inputs import feeds_of
from spikewright.running.single_step import SingleStepNetwork, rounded

GRAPHS = {"mlp": models.mlp(seed=3), "residual": models.residual(seed=4, pool=True)}
BIPOLAR = {"relu": sw.BipolarIntegrateAndFire()}
STEPS = 6


def twin_of(conversion: sw.Conversion, x: np.ndarray, steps: int) -> np.ndarray:
    """The outputs of the rounded twin, `(samples, *out)`."""
    held = rounded(conversion.lowered, steps)
    assert held is not None
    fed = feeds_of(conversion.as_inputs(x), conversion.inputs, None, steps, 0.001, 0)
    still = SingleStepNetwork(held, steps * 0.001, 0, "float32", 1)
    names = {node: name for name, node in conversion.inputs.items()}
    (values,) = still.answers(fed, names).outputs.values()
    return np.asarray(values)


def data(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """Random samples and labels."""
    x = models.inputs(graph, batch=40, seed=6)
    return x, np.random.default_rng(7).integers(0, 3, 40)


@pytest.mark.parametrize(
    ("start", "graph", "steps"),
    in_turn(2 * ["half", "zero", "uniform"], GRAPHS.values(), [1, 3, 8]),
)
def test_without_a_cap_nothing_is_lost_to_timing(graph: Graph, start: Any, steps: int) -> None:
    """Neurons that take spikes back send what the twin sends, whose steps are one."""
    x, y = data(graph)
    conversion = sw.convert(graph, spiking=BIPOLAR, scale_firing_rates=400.0, initial_voltage=start)
    run = conversion.run(x, steps, progress=False)
    found = conversion.evaluate(x, y, steps=steps, progress=False)
    (twin,) = select(found.records, "rounded accuracy")

    np.testing.assert_allclose(twin_of(conversion, x, steps), run.predict(), rtol=0, atol=3e-6)
    assert twin.value == found.accuracy().value
    taken_back = [(p.net != p.totals).any() for p in run.populations.values()]
    assert any(taken_back) or steps == 1


@pytest.mark.parametrize(("heights", "graph"), in_turn([(1,), (3, 1), (4, 2, 1)], GRAPHS.values()))
def test_heights_that_end_at_one_change_nothing_that_is_sent_in_all(
    graph: Graph, heights: tuple[int, ...]
) -> None:
    """Without a cap, from the last step with a height on: input at once is the same input."""
    x, _ = data(graph)
    high = {"relu": sw.BipolarIntegrateAndFire(spike_heights=heights)}
    conversion = sw.convert(graph, spiking=high, scale_firing_rates=400.0)
    plain = sw.convert(graph, spiking=BIPOLAR, scale_firing_rates=400.0)
    for steps in range(len(heights), 7):
        found, wanted = (c.run(x, steps, progress=False) for c in (conversion, plain))
        np.testing.assert_allclose(found.predict(), wanted.predict(), rtol=0, atol=3e-6)
        for name, population in found.populations.items():
            np.testing.assert_array_equal(population.net, wanted.populations[name].net)
    np.testing.assert_allclose(twin_of(conversion, x, 6), twin_of(plain, x, 6), rtol=0, atol=3e-6)


@pytest.mark.parametrize("heights", [(3,), (4, 2), (6, 3, 3)], ids=str)
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_the_twin_says_multiples_of_the_last_height(graph: Graph, heights: tuple[int, ...]) -> None:
    """Without a cap neurons whose heights are such multiples send what the twin sends."""
    x, _ = data(graph)
    high = {"relu": sw.BipolarIntegrateAndFire(spike_heights=heights)}
    conversion = sw.convert(graph, spiking=high, scale_firing_rates=4000.0)
    run = conversion.run(x, len(heights), progress=False).predict()
    twin = twin_of(conversion, x, len(heights))
    np.testing.assert_allclose(twin, run, rtol=0, atol=3e-6)
    assert np.abs(run).max() > 0


@pytest.mark.parametrize("heights", [(4, 2, 1, 1), (8, 8, 2)], ids=str)
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_the_twin_of_fewer_steps_than_heights(graph: Graph, heights: tuple[int, ...]) -> None:
    """All input of the steps with heights has come in the first: without a cap it is the run.

    Heights are multiples of those behind them, so that the order of spikes does not count.
    """
    x, _ = data(graph)
    high = {"relu": sw.BipolarIntegrateAndFire(spike_heights=heights)}
    conversion = sw.convert(graph, spiking=high, scale_firing_rates=4000.0)
    for steps in range(1, len(heights) + 2):
        run = conversion.run(x, steps, progress=False).predict()
        np.testing.assert_allclose(twin_of(conversion, x, steps), run, rtol=1e-5, atol=3e-5)
        assert np.abs(run).max() > 0


def test_under_a_cap_the_twin_of_fewer_steps_than_heights_answers_too() -> None:
    """The more steps the nearer it is to the source; its means are too large by a factor."""
    graph = GRAPHS["residual"]
    x, _ = data(graph)
    conversion = sw.convert(
        graph, spiking={"relu": sw.BipolarIntegrateAndFire.in_steps(4)}, max_spikes_per_step=1,
        scale_firing_rates=sw.MinimumError(4), calibration=x,
    )  # fmt: skip
    source = conversion.replace(spiking=False, max_spikes_per_step=None, scale_firing_rates=1.0,
                              calibration=None).run(x, 1, progress=False).predict()  # fmt: skip
    apart = [
        np.abs(twin_of(conversion, x, steps) * steps / 4 - source).mean() for steps in (1, 2, 4)
    ]
    held = rounded(conversion.lowered, 4)
    assert held is not None and {e.neuron_type.assumed for e in held.network.all_ensembles} == {0}
    assert apart == sorted(apart, reverse=True) and apart[0] < 0.25 * np.abs(source).mean()


@pytest.mark.parametrize("neurons", [True, BIPOLAR], ids=["sends", "takes back"])
def test_under_a_cap_the_twin_is_nearer_to_the_source(neurons: Any) -> None:
    """It is within the same bound of T spikes, and what is left is due to timing."""
    graph = GRAPHS["residual"]
    x, _ = data(graph)
    conversion = sw.convert(
        graph, spiking=neurons, max_spikes_per_step=1, calibration=x,
        scale_firing_rates=sw.MinimumError(STEPS),
    )  # fmt: skip
    held = rounded(conversion.lowered, STEPS)
    assert held is not None
    source = conversion.replace(spiking=False, max_spikes_per_step=None, scale_firing_rates=1.0,
                              calibration=None).run(x, 1, progress=False).predict()  # fmt: skip
    run = conversion.run(x, STEPS, progress=False).predict()
    twin = twin_of(conversion, x, STEPS)

    kinds = {e.neuron_type.most_spikes for e in held.network.all_ensembles}
    assert kinds == {STEPS}
    assert {e.neuron_type.most_spikes for e in conversion.network.all_ensembles} == {1}
    assert 0 < np.abs(twin - source).mean() < np.abs(run - source).mean()


def test_biases_of_each_step_are_in_the_twin_on_average() -> None:
    """Where nothing is lost to timing they are worth their mean, and the run is the twin."""
    graph = GRAPHS["mlp"]
    x, _ = data(graph)
    biases = np.random.default_rng(1).normal(size=(4, 1))
    conversion = sw.convert(
        graph, spiking=BIPOLAR, scale_firing_rates=400.0, bias_correction=biases
    )
    for steps in (2, 4, 9):
        run = conversion.run(x, steps, progress=False).predict()
        np.testing.assert_allclose(twin_of(conversion, x, steps), run, rtol=0, atol=3e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"spiking": False},
        {"spiking": {"relu": sw.SpikingRectifiedLinear()}},
        {"spiking": {"relu": sw.IntegrateAndFire(voltage_floor=0.5)}},
        {"spiking": True, "synapse": 0.005},
    ],
    ids=["rates", "loses charge", "floor", "synapse"],
)
def test_there_is_no_twin_where_it_makes_no_sense(changes: dict[str, Any]) -> None:
    """Of rates, of spikes that do not follow the mean, and behind a filter."""
    graph = GRAPHS["mlp"]
    x, y = data(graph)
    conversion = sw.convert(graph, **changes)

    assert rounded(conversion.lowered, STEPS) is None
    found = conversion.evaluate(x, y, steps=STEPS, progress=False)
    assert select(found.records, "source accuracy")
    assert not select(found.records, "rounded accuracy")


def metric(values: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The output of the class."""
    return values[np.arange(len(y)), y]


@pytest.mark.parametrize("judged", ["labels", "targets", "metric"])
def test_the_twin_is_measured_at_every_step_that_is_looked_at(judged: str) -> None:
    """As in an evaluation of so many steps, under every measure; tables have it beside the run."""
    graph = GRAPHS["residual"]
    x, y = data(graph)
    given: dict[str, Any] = {"x": x, "y": y, "progress": False}
    names = ["accuracy"]
    if judged == "targets":
        given["y"] = np.random.default_rng(8).normal(size=(40, 5))
        names = ["relative error", "mean absolute error", "root mean square error"]
    elif judged == "metric":
        given["metric"], names = metric, ["metric"]
    conversion = sw.convert(graph, spiking=True, max_spikes_per_step=1, scale_firing_rates=200.0)
    whole = conversion.evaluate(steps=STEPS, at=[2, 4], **given)

    for steps in (2, 4, STEPS):
        alone = conversion.evaluate(steps=steps, **given)
        for name in names:
            (one,) = select(alone.records, f"rounded {name}")
            (found,) = select(whole.records, f"rounded {name}", steps=steps)
            assert (found.value, found.interval) == (one.value, one.interval)
    shown = over_time_table(whole.records, [1, 2, 4, STEPS])
    keys = [column.key for column in shown.columns]
    twin = keys.index(f"rounded_{names[0].replace(' ', '_')}")
    active = keys.index("spikes_per_active_neuron")
    assert [row[twin] is None for row in shown.rows if row[0] == "mean"] == [True, *[False] * 3]
    assert [row[active] is None for row in shown.rows if row[0] == "mean"] == [True, *[False] * 3]


def test_spikes_are_counted_beside_the_active_neurons_of_the_source() -> None:
    """Spikes a sample over positive values a sample; none without the source or by hand."""
    graph = GRAPHS["residual"]
    x, y = data(graph)
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=300.0)
    found = conversion.evaluate(x, y, steps=STEPS, at=[2], progress=False)
    source = sw.convert(graph).run(x, 1, progress=False)
    active = sum(np.count_nonzero(p.totals) for p in source.populations.values()) / len(x)

    assert 0 < active < sum(p.totals[0].size for p in source.populations.values())
    for steps in (2, STEPS):
        (spikes,) = select(found.records, "spikes per sample", layer=None, steps=steps)
        (each,) = select(found.records, "spikes per active neuron", steps=steps)
        assert each.value == pytest.approx(spikes.value / active, rel=1e-12)
    bare = conversion.evaluate(x, y, steps=STEPS, source=False, progress=False)
    assert not select(bare.records, "spikes per active neuron")
    assert not select(bare.records, "rounded accuracy")
    with conversion.network:
        sw.Ensemble(3, None, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=500.0)
    mixed = conversion.evaluate(x, y, steps=STEPS, progress=False)
    assert not select(mixed.records, "spikes per active neuron")
    assert not select(mixed.records, "rounded accuracy")
