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
from benchmarks.neurons.description import Model, kick
from benchmarks.results import Results

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
