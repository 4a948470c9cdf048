"""The benchmark of random networks of neurons: models, what Spikewright makes of them, tables."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks import document
from benchmarks import networks_of_neurons as benchmark
from benchmarks.neurons import in_spikewright, models, page
from benchmarks.neurons.description import GRID, Model, Wiring, kick, peak
from benchmarks.neurons.statistics import Mean, Spikes, distance, irregularity, populations
from benchmarks.results import Results

import spikewright as sw

TINY = {
    "brunel": lambda: models.brunel(50),
    "cuba": lambda: models.cuba(200),
    "microcircuit": lambda: lively(),
}


def lively() -> Model:
    """The microcircuit with so few neurons that it needs more input to spike."""
    model = models.microcircuit(0.005)
    outside = model.background * model.background_weight * model.tau_exc
    return replace(
        model, drive=2.0 * (model.drive + outside), background=np.zeros_like(model.background)
    )


def spikes_of(model: Model, steps: int) -> tuple[list[int], list[int]]:
    """The definition, written out: spikes that arrive, currents, voltages, silence."""
    taus = {1: model.tau_exc, -1: model.tau_inh}
    arriving = {sign: np.zeros((steps + 300, model.n)) for sign in taus}
    current = {sign: np.zeros(model.n) for sign in taus}
    v, silent = model.start.copy(), np.zeros(model.n, int)
    keep, wiring = np.exp(-model.dt / model.tau_m), model.wiring
    found: tuple[list[int], list[int]] = ([], [])
    for t in range(1, steps + 1):
        pushed = sum(kick(model.tau_m, tau, model.dt) * current[s] for s, tau in taus.items())
        v = np.where(silent > 0, v, keep * v + (1 - keep) * model.drive + pushed)
        silent = np.maximum(silent - 1, 0)
        for i in np.flatnonzero(v > 1):
            found[0].append(t)
            found[1].append(int(i))
            for k in range(wiring.firsts[i], wiring.firsts[i + 1]):
                weight, at = wiring.weights[k], t + int(wiring.delays[k])
                arriving[1 if weight > 0 else -1][at, wiring.targets[k]] += weight
        silent[v > 1] = model.steps(model.tau_ref)
        v[v > 1] = 0
        for sign, tau in taus.items():
            current[sign] = np.exp(-model.dt / tau) * current[sign] + arriving[sign][t]
    return found


@pytest.mark.parametrize("name", TINY)
def test_spikewright_runs_what_is_described(name: str) -> None:
    """The spikes of the definition, of which many are answers to others."""
    model = TINY[name]()
    steps = 1200
    alone = replace(model, wiring=model.wiring.part(np.zeros(len(model.wiring), bool)))
    simulation = in_spikewright.Simulation(model, True)
    simulation.run(700)
    simulation.run(steps - 700)
    found = [x.tolist() for x in simulation.spikes()]
    assert found == [list(x) for x in spikes_of(model, steps)]
    assert len(found[0]) > 60
    assert found != [list(x) for x in spikes_of(alone, steps)]
    assert simulation.simulator.engine == "native"


def test_random_spikes_arrive_at_their_rate() -> None:
    """Without other synapses the mean voltage of neurons that do not fire is that of the input."""
    model = models.microcircuit(0.005)
    none = model.wiring.part(np.zeros(len(model.wiring), bool))
    weak = 0.01 * model.background_weight
    model = replace(model, wiring=none, background_weight=weak, drive=np.zeros(model.n))
    network, neurons = in_spikewright.made(model)
    with network:
        probe = sw.Probe(neurons, "voltage")
    with sw.Simulator(network, model.dt, progress=False) as simulator:
        simulator.run_steps(2000)
    wanted = model.background * weak * model.tau_exc
    found = simulator.data[probe][1000:].mean()
    assert found == pytest.approx(wanted.mean(), rel=0.02)


def test_a_model_is_what_its_file_holds(tmp_path: Path) -> None:
    """Arrays and plain data come back; a second copy differs in nothing."""
    model = models.microcircuit(0.005)
    model.save(tmp_path / "model.npz")
    again = Model.load(tmp_path / "model.npz")
    assert (again.name, again.sizes) == (model.name, model.sizes)
    for name in ("drive", "start", "background"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    for name in ("firsts", "targets", "weights", "delays"):
        np.testing.assert_array_equal(getattr(again.wiring, name), getattr(model.wiring, name))


def test_wiring_keeps_every_synapse() -> None:
    """Sorted by sender, on the grid; parts are those that were chosen."""
    rng = np.random.default_rng(0)
    senders, targets = rng.integers(0, 9, (2, 60))
    weights, delays = rng.normal(size=60), rng.integers(1, 5, 60)
    wiring = Wiring.of(9, senders, targets, weights, delays)
    on_grid = np.round(weights / GRID) * GRID
    given = sorted(zip(senders, targets, on_grid, delays, strict=True))
    held = (wiring.senders, wiring.targets, wiring.weights, wiring.delays)
    assert sorted(zip(*held, strict=True)) == given
    late = wiring.part(wiring.delays == 3)
    held = (late.senders, late.targets, late.weights, late.delays)
    assert sorted(zip(*held, strict=True)) == [row for row in given if row[3] == 3]


def test_the_microcircuit_has_the_published_numbers() -> None:
    """77 169 neurons and 0.3 billion synapses in full; a fifth; 0.15 mV; the mean input in full."""
    assert models.SIZES.sum() == 77169
    assert models.synapse_numbers().sum() == pytest.approx(2.99e8, rel=0.005)
    assert (models.synapse_numbers().sum() * 0.04) == pytest.approx(12e6, rel=0.01)
    weight = models.mean_weights()[0, 0]
    assert weight * peak(0.01, 0.0005) * 15 == pytest.approx(0.15)
    assert weight * 15 * 250 / 10 == pytest.approx(87.8, abs=0.05)  # pA
    drive, spikes = models._input(1.0)
    assert not drive.any()
    np.testing.assert_array_equal(spikes, models.EXTERNAL * 8.0)
    drive, spikes = models._input(0.25)
    np.testing.assert_array_equal(4 * spikes, models.EXTERNAL * 8.0)
    assert (drive > 0).all()


def test_a_finer_step_leaves_delays_and_neurons_as_they_are() -> None:
    """Brunel's network in steps of a tenth: ten of them make the same delay."""
    coarse, fine = models.brunel(50), models.brunel(50, 0.0001)
    np.testing.assert_array_equal(fine.wiring.targets, coarse.wiring.targets)
    np.testing.assert_array_equal(fine.wiring.delays, 10 * coarse.wiring.delays)
    assert (coarse.dt, fine.dt) == (0.001, 0.0001)


def test_regular_and_random_trains_are_told_apart() -> None:
    """Intervals of one length have none, those of a Poisson train 1; few spikes do not tell."""
    rng = np.random.default_rng(0)
    trains = [np.arange(10, 9000, 30), np.cumsum(rng.geometric(0.02, 4000)), np.array([5, 6, 9])]
    steps = np.concatenate(trains)
    neurons = np.repeat(range(3), [len(train) for train in trains])
    order = np.lexsort((neurons, steps))
    found = irregularity(Spikes(steps[order], neurons[order]), 4)
    assert found[0] == 0 and found[1] == pytest.approx(1.0, abs=0.05)
    assert np.isnan(found[2:]).all()


def test_rates_agree_within_their_errors() -> None:
    """Of two draws of one rate, not of another; the same spikes agree whatever their errors."""
    model = models.brunel(50)
    rng = np.random.default_rng(0)

    def drawn(rate: float) -> Spikes:
        at = np.nonzero(rng.random((5000, model.n)) < rate * model.dt)
        return Spikes(at[0] + 1, at[1])

    runs = [drawn(20.0), drawn(20.0), drawn(30.0)]
    means = [populations(model, run, 1000, 5000)["E"] for run in runs]
    assert means[0]["rate"].value == pytest.approx(20.0, rel=0.1)
    assert means[0]["rate"].agrees(means[1]["rate"])
    assert not means[0]["rate"].agrees(means[2]["rate"])
    assert means[0]["irregularity"].agrees(means[1]["irregularity"])
    assert distance(model, runs[:2], 0) < 0.4 < distance(model, runs[::2], 0)
    assert Mean.of(np.array([1.0])).agrees(Mean.of(np.array([2.0])))  # one neuron does not tell
    assert runs[0].same_until(runs[0]) is None
    moved = Spikes(runs[0].steps.copy(), runs[0].neurons.copy())
    moved.neurons[7] += 1
    assert runs[0].same_until(moved) == runs[0].steps[7]
    assert runs[0].same_until(Spikes(moved.steps[:3], runs[0].neurons[:3])) == runs[0].steps[3]


def test_all_sides_are_measured_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row a model, with Spikewright in the peers' places here; the document has it."""
    peer = replace(benchmark.OWN, label="NEST")
    monkeypatch.setitem(benchmark.MODELS, "tiny", lively)
    how = benchmark.Settings(5, 0.1, 0.01)
    pythons = {peer.module: sys.executable}
    row = benchmark.row("tiny", (peer, benchmark.OWN), how, pythons)
    agreement = row["compared"]["agreement"]["NEST"]
    assert agreement == {"same_seconds": 0.1, "distance": 0.0, "apart": []}
    assert all(row["seconds"][name] > 0 for name in ("NEST", "Spikewright"))
    assert row["compared"]["spikes_per_second"] > 0
    results = Results(tmp_path / "results.json", {"processor": "this one"})
    results.put("networks_of_neurons", "tiny", {**row, "versions": {"nest-simulator": "3.10"}})
    document.write(results, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "## Random networks of neurons" in text and "nest-simulator 3.10" in text
    assert "| microcircuit, 385 neurons, 7 k synapses | 0.1 ms | 0.1 to " in text
    assert "| microcircuit, 385, 0.1 ms, NEST | 100 of 100 ms | agree | 0.000 |" in text
    assert page.times([row]).count("|") > 10
