"""Calibration through the pipeline: rules become numbers, corrections close gaps."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import models
import spikewright as sw
from spikewright.choosing import calibration, collect
from spikewright.choosing.correction import (
    BiasCorrection,
    StepCorrection,
    VoltageCorrection,
)
from spikewright.choosing.measured_activations import sent_means, source_means
from spikewright.conversion.arguments import Wanted
from spikewright.conversion.stages import ConvertibleModel
from spikewright.errors import ConversionError
from spikewright.frontends import read
from spikewright.graph import Graph

DEFAULTS: dict[str, Any] = {
    "spiking": True,
    "scale_firing_rates": 1.0,
    "synapse": None,
    "initial_voltage": "half",
    "calibration": None,
    "max_pool": "gate",
    "max_spikes_per_step": 1,
    "bias_correction": None,
    "weights": None,
}
MLP = models.mlp(seed=3)
RESIDUAL = models.residual(seed=4, pool=True)
X = models.inputs(MLP, batch=60, seed=5)
IMAGES = models.inputs(RESIDUAL, batch=12, seed=6)
STATISTICS_RULES = [
    sw.TargetRate(250.0),
    sw.Percentile(),
    sw.MinimumError(8),
    sw.LocalThresholdBalancing(),
    sw.ThresholdIteration(8),
    sw.EnergyBudget(8, spikes=200.0),
]
CORRECTED: dict[str, Any] = {
    "scale_firing_rates": sw.MinimumError(4),
    "calibration": IMAGES,
    "bias_correction": BiasCorrection(4),
    "initial_voltage": VoltageCorrection(4),
}


def convert(graph: Graph, **arguments: Any) -> sw.Conversion:
    """A graph converted as `sw.convert` converts a model, spiking, one spike a step."""
    return ConvertibleModel(sw.Conversion, read(graph)).converted(Wanted({**DEFAULTS, **arguments}))


def same(one: sw.Conversion, two: sw.Conversion, x: np.ndarray) -> bool:
    """Whether two conversions are one, parameter by parameter and spike by spike."""
    for name, ensemble in one.populations().items():
        other = two.populations()[name]
        for field in ("rate_scale", "bias", "initial_voltage"):
            if not np.array_equal(getattr(ensemble, field), getattr(other, field)):
                return False
    runs = [c.run(x, 8, progress=False) for c in (one, two)]
    return np.array_equal(runs[0].output, runs[1].output)


def gaps(conversion: sw.Conversion, x: np.ndarray, steps: int) -> dict[str, np.ndarray]:
    """Source less spiking mean of every neuron, as far as neurons can send it."""
    samples = {conversion.canonical.inputs[0]: x}
    source = source_means(conversion, samples, (steps,), 0.001)
    found = sent_means(conversion, samples, (steps,), 0.001)
    sent = {name: means[0] for name, means in found.items()}
    return {name: source[name] - sent[name] for name in sent}


@pytest.mark.parametrize("rule", [*STATISTICS_RULES, sw.DataFreeCalibration(-2, 2)], ids=repr)
def test_rules_resolve_to_numbers_that_reproduce_the_network(rule) -> None:
    """`resolved` needs neither rule nor data and gives the same network, bit for bit."""
    found = convert(
        RESIDUAL, scale_firing_rates=rule, calibration=IMAGES if rule.needs_data else None
    )
    again = convert(RESIDUAL, **found.resolved)

    assert found.resolved["calibration"] is None
    assert list(found.resolved["scale_firing_rates"]) == ["relu1", "relu2"]
    assert same(found, again, IMAGES)
    lines = [entry for entry in found.trace if entry.stage == "calibrate"]
    assert [line.layer for line in lines] == ["relu1", "relu2"]
    assert all("scale" in line.text for line in lines)


def test_the_percentile_fires_at_the_target_rate() -> None:
    """The 99th percentile of measured rates is hz, to 2 % and one spike a run."""
    steps, hz = 2000, 200.0
    found = convert(MLP, scale_firing_rates=sw.TargetRate(hz, 99.0), calibration=X,
                    max_spikes_per_step=None)  # fmt: skip
    run = found.run(X, steps, progress=False)

    for population in run.populations.values():
        rate = np.percentile(population.totals, 99.0, method="inverted_cdf") / (steps * run.dt)
        assert rate == pytest.approx(hz, rel=0.02, abs=1 / (steps * run.dt))


def test_a_budget_of_spikes_is_spent() -> None:
    """Without a cap, in the mean over the data that it was chosen on."""
    found = convert(MLP, scale_firing_rates=sw.EnergyBudget(64, spikes=500.0), calibration=X,
                    max_spikes_per_step=None)  # fmt: skip
    spikes = sum(s.mean() for s in found.run(X, 64, progress=False).spike_counts().values())

    assert spikes == pytest.approx(500.0, rel=0.03)


def test_a_dict_mixes_rules_and_numbers() -> None:
    """Each layer by its own; a source layer's name stands for the population it feeds."""
    rules = {"fc1": sw.Percentile(), "act2": 7.0}
    found = convert(MLP, scale_firing_rates=rules, calibration=X)
    whole = convert(MLP, scale_firing_rates=sw.Percentile(), calibration=X)

    assert found.resolved["scale_firing_rates"]["act2"] == 7.0
    assert (
        found.resolved["scale_firing_rates"]["act1"]
        == (whole.resolved["scale_firing_rates"]["act1"])
    )
    alone = convert(MLP, scale_firing_rates={"act1": sw.Percentile()}, calibration=X)
    assert alone.resolved["scale_firing_rates"] == {
        "act1": whole.resolved["scale_firing_rates"]["act1"],
        "act2": 1.0,
    }


def test_numbers_beside_a_rule_may_be_a_scale_for_each_neuron() -> None:
    """A layer's array is not compared with the rule of another."""
    first, *others = sw.Conversion.populations(convert(MLP))
    rows = np.linspace(1.0, 2.0, MLP.shapes[first][0])
    scales = {first: rows, **dict.fromkeys(others, sw.TargetRate(250.0))}

    found = convert(MLP, scale_firing_rates=scales, calibration=X).resolved["scale_firing_rates"]

    assert np.array_equal(found[first], rows)
    assert all(isinstance(found[name], float) for name in others)


def test_rules_follow_a_cap_and_a_start() -> None:
    """The smallest error of neurons that floor is at another threshold; two spikes a step halve."""

    def chosen(**arguments: Any) -> Any:
        found = convert(MLP, scale_firing_rates=sw.MinimumError(4), calibration=X, **arguments)
        return found.resolved["scale_firing_rates"]["act1"]

    assert not np.array_equal(chosen(), chosen(initial_voltage="zero"))
    assert np.all(chosen(max_spikes_per_step=2) > chosen())
    with pytest.raises(ConversionError, match="nothing bounds the spikes"):
        chosen(max_spikes_per_step=None)


def test_a_rule_knows_the_synapse() -> None:
    """What is read out last averages over 2 tau; the mean over all steps."""

    def chosen(rule: sw.ScaleRule, synapse: Any) -> Any:
        return convert(MLP, scale_firing_rates=rule, calibration=X, synapse=synapse).resolved[
            "scale_firing_rates"
        ]["act1"]

    last, mean = (sw.MinimumError(64, readout=r) for r in ("last", "mean"))
    assert np.array_equal(chosen(mean, 0.005), chosen(mean, None))
    assert chosen(last, 0.005).mean() > chosen(last, 0.02).mean() > chosen(mean, None).mean()


def test_a_rate_network_may_have_a_rule() -> None:
    """It computes what the source does at any scale."""
    found = convert(MLP, spiking=False, max_spikes_per_step=None, calibration=X,
                    scale_firing_rates=sw.TargetRate(100.0))  # fmt: skip

    assert found.verify(X)


def test_statistics_are_collected_once(tmp_path, monkeypatch) -> None:
    """`replace` and equal data share them; saved ones and `calibrate` give the same scales."""
    calls = []
    original = calibration.collect
    monkeypatch.setattr(
        calibration, "collect", lambda *a, **k: calls.append(1) or original(*a, **k)
    )
    found = convert(MLP, scale_firing_rates=sw.Percentile(), calibration=X)
    other = found.replace(scale_firing_rates=sw.MinimumError(8))
    assert len(calls) == 1

    statistics = convert(MLP).calibrate(X, progress=False)
    statistics.save(tmp_path / "statistics")
    for given in (statistics, tmp_path / "statistics", str(tmp_path / "statistics")):
        assert same(other, other.replace(calibration=given), X)
    before = len(calls)
    other.replace(calibration=X.copy())
    other.replace(calibration=X)
    assert len(calls) == before + 1


def test_where_samples_are_looked_at_does_not_matter() -> None:
    """Some here, some there, joined as they come: the statistics of one worker, bit for bit."""
    found = convert(RESIDUAL)
    many = np.concatenate([IMAGES * factor for factor in np.linspace(0.5, 2, 12)])
    whole = collect(found.canonical, list(found.populations()), many, progress=False)

    with ThreadPoolExecutor(2) as pool:
        assert found.calibrate(many, executor=pool) == whole
    assert found.calibrate([many[:100], many[100:]]) == whole
    assert pickle.loads(pickle.dumps(whole)) == whole
    assert pickle.loads(pickle.dumps(found.canonical)).shapes == found.canonical.shapes


def test_a_loaded_conversion_can_calibrate(tmp_path) -> None:
    """Its graph is in the file."""
    found = convert(MLP)
    found.save(tmp_path / "network")

    assert sw.load(tmp_path / "network").calibrate(X) == found.calibrate(X)


def test_data_that_is_missing_or_not_needed_is_an_error() -> None:
    """With what to give; statistics of another model are told by their weights."""
    rule = sw.Percentile()
    with pytest.raises(ConversionError, match="calibration=x"):
        convert(MLP, scale_firing_rates=rule)
    with pytest.raises(ConversionError, match="nothing that was asked for needs data"):
        convert(MLP, calibration=X)
    with pytest.raises(ConversionError, match="another model"):
        convert(MLP, scale_firing_rates=rule, calibration=convert(models.mlp(1)).calibrate(X))
    with pytest.raises(FileNotFoundError):
        convert(MLP, scale_firing_rates=rule, calibration="nowhere")


@pytest.mark.parametrize("steps", [4, 8])
@pytest.mark.parametrize("kind", [BiasCorrection, VoltageCorrection])
@pytest.mark.parametrize(("graph", "x"), [(MLP, X), (RESIDUAL, IMAGES)], ids=["mlp", "residual"])
def test_a_correction_closes_the_gaps(graph, x, kind, steps) -> None:
    """The mean gap of every layer is smaller than before, on the data it was measured on."""
    argument = {BiasCorrection: "bias_correction", VoltageCorrection: "initial_voltage"}[kind]
    plain = convert(graph, scale_firing_rates=sw.MinimumError(steps), calibration=x)
    found = plain.replace(**{argument: kind(steps)})
    before, after = gaps(plain, x, steps), gaps(found, x, steps)

    for name, gap in before.items():
        axes = tuple(range(1, gap.ndim)) if kind is BiasCorrection else ()
        assert np.abs(after[name].mean(axes)).mean() < np.abs(gap.mean(axes)).mean()
    assert [e.layer for e in found.trace if e.stage == "correct"] == list(before)


@pytest.mark.parametrize("steps", [1, 4])
def test_what_has_no_error_stays_as_it_is(steps) -> None:
    """Where every value is a whole number of spikes no correction changes anything."""
    weights = {"fc1": np.eye(6), "fc2": np.ones((2, 6)), "fc3": np.ones((1, 2))}
    nodes = []
    for node in MLP:
        layer = node.layer
        if node.name in weights:
            layer = type(layer)(weights[node.name], None)
        nodes.append(type(node)(node.name, layer, node.inputs))
    graph = Graph(tuple(nodes), MLP.outputs)
    x = np.random.default_rng(0).integers(0, 3, (20, 6)).astype(float)
    plain = convert(graph, scale_firing_rates=1000.0, max_spikes_per_step=None)
    found = plain.replace(
        bias_correction=BiasCorrection(steps),
        initial_voltage=VoltageCorrection(steps),
        calibration=x,
    )

    assert all(np.all(e.bias == 0) for e in found.populations().values())
    assert all(np.all(e.initial_voltage == 0.5) for e in found.populations().values())


def test_corrections_resolve_to_arrays() -> None:
    """Both at once, reproduced without data; arrays are taken as they are."""
    found = convert(RESIDUAL, **CORRECTED)
    again = convert(RESIDUAL, **found.resolved)

    assert found.resolved["bias_correction"]["relu1"].shape == (6, 1, 1)
    assert found.resolved["initial_voltage"]["relu1"].shape == (6, 8, 8)
    assert same(found, again, IMAGES)


def test_corrected_networks_can_be_saved(tmp_path) -> None:
    """With a scale a channel and a voltage a neuron."""
    found = convert(RESIDUAL, **CORRECTED)
    found.save(tmp_path / "network")

    assert same(found, sw.load(tmp_path / "network"), IMAGES)


def test_biases_may_be_given() -> None:
    """Numbers or arrays for every layer; what fits none is refused by name."""
    plain = convert(MLP)
    found = convert(MLP, bias_correction={"act1": np.arange(12) / 10, "act2": 0.5})
    bias = plain.populations()["act1"].bias

    assert found.populations()["act1"].bias == pytest.approx(bias + np.arange(12) / 10)
    with pytest.raises(ConversionError, match="act1"):
        convert(MLP, bias_correction={"act1": np.ones(5), "act2": 0.5})
    alone = convert(MLP, bias_correction={"act1": 0.5})
    assert np.array_equal(alone.populations()["act2"].bias, plain.populations()["act2"].bias)
    with pytest.raises(ConversionError, match="not a number"):
        convert(MLP, bias_correction="some")


def test_corrections_need_data_to_run_on() -> None:
    """Neither statistics nor a used iterator will do; a fresh one does for both."""
    correction = BiasCorrection(4)
    with pytest.raises(ConversionError, match="none was given"):
        convert(MLP, bias_correction=correction)
    with pytest.raises(ConversionError, match="statistics of it were"):
        convert(MLP, bias_correction=correction, calibration=convert(MLP).calibrate(X))
    batches = iter([X[:30], X[30:]])
    once = convert(MLP, scale_firing_rates=sw.Percentile(), calibration=batches)
    with pytest.raises(ConversionError, match="read before"):
        once.replace(bias_correction=correction)
    fresh = convert(MLP, scale_firing_rates=sw.Percentile(), bias_correction=correction,
                    calibration=iter([X[:30], X[30:]]))  # fmt: skip
    assert same(fresh, once.replace(calibration=X, bias_correction=correction), X)


def test_only_spiking_networks_are_corrected() -> None:
    """A rate network has no gaps."""
    with pytest.raises(ConversionError, match="only spiking networks"):
        convert(MLP, spiking=False, max_spikes_per_step=None, calibration=X,
                bias_correction=BiasCorrection(4))  # fmt: skip


def test_a_correction_is_one_for_all_layers() -> None:
    """A dict of them is refused, with what to write."""
    with pytest.raises(ConversionError, match="all layers"):
        convert(MLP, initial_voltage={"act1": VoltageCorrection(4), "act2": "half"}, calibration=X)
    with pytest.raises(ConversionError, match="all layers"):
        convert(MLP, bias_correction={"act1": BiasCorrection(4), "act2": 0.0}, calibration=X)
    with pytest.raises(ConversionError, match=r"BiasCorrection\(steps\) or .*StepCorrection"):
        convert(MLP, bias_correction=VoltageCorrection(4), calibration=X)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BiasCorrection(0), "BiasCorrection.steps"),
        (lambda: BiasCorrection(4, rounds=0), "BiasCorrection.rounds"),
        (lambda: BiasCorrection(4, dt=-1.0), "BiasCorrection.dt"),
        (lambda: BiasCorrection(4, per="layer"), "BiasCorrection.per"),
        (lambda: StepCorrection(4, per="layer"), "StepCorrection.per"),
        (lambda: StepCorrection(4, rate=0.0), "StepCorrection.rate"),
        (lambda: VoltageCorrection(2.5), "VoltageCorrection.steps"),
        (lambda: VoltageCorrection(4, start="uniform"), "VoltageCorrection.start"),
    ],
)
def test_impossible_corrections_are_refused(make, words) -> None:
    """By name."""
    with pytest.raises(ConversionError, match=words):
        make()


@pytest.mark.parametrize("spiking", [{"relu": sw.BipolarIntegrateAndFire()}, True])
def test_means_are_of_what_is_sent(spiking) -> None:
    """Spikes that are taken back count against those that were sent."""
    found = convert(MLP, spiking=spiking, scale_firing_rates=300.0, max_spikes_per_step=None)
    with found.network:
        probe = sw.Probe(found.layers["act2"].neurons)
    (stimulus,) = found.inputs.values()
    means = []
    for x in X[:5]:
        with sw.Simulator(found.network, progress=False) as simulator:
            simulator.run_steps(6, {stimulus: x})
            means.append(simulator.data[probe].mean(axis=0))

    told = sent_means(found, {"x": X[:5]}, (6,), 0.001)["act2"][0]
    assert told == pytest.approx(np.mean(means, axis=0), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(("graph", "x"), [(MLP, X), (RESIDUAL, IMAGES)], ids=["mlp", "residual"])
def test_a_network_up_to_a_layer_sends_there_what_the_whole_one_does(graph, x) -> None:
    """Layers behind it change nothing, so that corrections need not run them."""
    found = convert(graph, spiking=True, scale_firing_rates=300.0)
    samples = {found.canonical.inputs[0]: x}
    whole = sent_means(found, samples, (2, 6), 0.001)
    names = list(found.populations())
    for count, name in enumerate(names, 1):
        part = sent_means(found, samples, (2, 6), 0.001, last=name)
        assert list(part) == names[:count]
        assert all(np.array_equal(part[one], whole[one]) for one in part)
    assert all(np.array_equal(means[1], sent_means(found, samples, (6,), 0.001)[name][0])
               for name, means in whole.items())  # fmt: skip
