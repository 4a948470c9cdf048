"""The benchmark of networks made by hand: what is compared with Nengo computes what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks import document, nef, nef_models
from benchmarks.peer.client import Library, by_label
from benchmarks.results import Results

import spikewright as sw


def run(model: str, seconds: float, **sizes: int) -> np.ndarray:
    """What a model's probe sees."""
    network, probe = nef_models.MODELS[model](sw, **sizes)
    with sw.Simulator(network, nef_models.DT, progress=False) as simulator:
        simulator.run(seconds)
    return np.asarray(simulator.data[probe], np.float64)


def test_products_make_a_circular_convolution() -> None:
    """The maps around the products are those of the convolution theorem, for even and odd sizes."""
    for d in (8, 9, 128):
        left, right, back = nef_models.products_of(d)
        a, b = np.random.default_rng(d).normal(size=(2, d))
        wanted = np.fft.ifft(np.fft.fft(a) * np.fft.fft(b)).real
        np.testing.assert_allclose(back @ ((left @ a) * (right @ b)), wanted, atol=1e-12)


def test_the_convolution_is_decoded() -> None:
    """Sixteen dimensions at 64 neurons a square, in proportion: small squares come out smaller."""
    found = run("convolution", 0.3, dimensions=16)[-100:].mean(axis=0)
    rng = np.random.default_rng(4)
    a, b = (v / np.linalg.norm(v) for v in rng.standard_normal((2, 16)))
    wanted = np.fft.ifft(np.fft.fft(a) * np.fft.fft(b)).real
    assert np.corrcoef(found, wanted)[0, 1] > 0.9


@pytest.mark.parametrize(("model", "within"), [("integrator", 0.1), ("chain", 0.15)])
def test_values_are_held_and_passed_on(model: str, within: float) -> None:
    """After half a second the integrator holds the wave's integral, the chain sends the wave."""
    t = 0.5
    wanted = {"integrator": (1 - np.cos(np.pi * t)) / np.pi, "chain": np.sin(np.pi * (t - 0.08))}
    assert abs(run(model, t)[-1, 0] - wanted[model]) < within


def test_the_array_sends_what_it_is_given() -> None:
    """Each of its values within the noise of a hundred neurons."""
    found = run("array", 0.4, ensembles=12)[-200:].mean(axis=0)
    np.testing.assert_allclose(found, np.random.default_rng(3).uniform(-1, 1, 12), atol=0.1)


def test_the_learner_learns() -> None:
    """Its last half second is nearer to the wave than nothing at all is."""
    found = run("learning", 2.0)
    wave = np.array([nef_models.wave(i * nef_models.DT) for i in range(1501, 2001)])
    assert np.abs(found[1500:, 0] - wave).mean() < 0.5 * np.abs(wave).mean()


@pytest.mark.parametrize("model", ["oja", "oja of rates", "rls"])
def test_weights_change_in_the_rows_of_learning(model: str) -> None:
    """Weights change during the timed run."""
    network, _ = nef_models.MODELS[model](sw, neurons=30)
    (learned,) = (c for c in network.all_connections if c.learning_rules)
    with network:
        weights = sw.Probe(learned, "weights")
    with sw.Simulator(network, nef_models.DT, progress=False) as simulator:
        simulator.run(0.1)
    assert np.ptp(simulator.data[weights], axis=0).max() > 0


@pytest.mark.parametrize("model", ["dense", "sparse"])
def test_neurons_that_drive_each_other_go_on(model: str) -> None:
    """Some tens of spikes a second each, not all the same; what they are sent makes a change."""
    rates = run(model, 0.2, neurons=200, **({"senders": 20} if model == "sparse" else {}))[-1]
    assert 10 < rates.mean() < 200
    assert rates.std() > 5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nef_models, "WEIGHT", 0.0)
        alone = run(model, 0.2, neurons=200, **({"senders": 20} if model == "sparse" else {}))[-1]
    assert np.abs(rates - alone).max() > 1


def test_both_sides_are_measured_and_shown(tmp_path: Path) -> None:
    """A row a model, with Spikewright in both places here; the document has it."""
    libraries = (nef.OWN, Library("Nengo", "spikewright", (), ()))
    with by_label(libraries, worker=nef.WORKER) as workers:
        row = nef.measure("integrator", workers, 5, 1, 20)
        wide = nef.measure("dense", workers, 5, 1, 2, "float64")
    assert wide["model"] == "dense, float64"
    assert row["neurons"] == 1000
    assert row["apart"] == 0.0 < row["size"]
    assert all(row["microseconds"][name] > 0 for name in ("Nengo", "Spikewright"))
    results = Results(tmp_path / "results.json", {"processor": "this one"})
    results.put("nef", "integrator", {**row, "versions": {"nengo": "4.1.0"}})
    document.write(results, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "| integrator, 1000 neurons |" in text
    assert "nengo 4.1.0" in text
