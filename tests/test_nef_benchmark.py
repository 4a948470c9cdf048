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


@pytest.mark.parametrize(("model", "within"), [("integrator", 0.1), ("chain", 0.15)])
def test_values_are_held_and_passed_on(model: str, within: float) -> None:
    """After half a second the integrator holds the wave's integral, the chain sends the wave."""
    t = 0.5
    wanted = {"integrator": (1 - np.cos(np.pi * t)) / np.pi, "chain": np.sin(np.pi * (t - 0.08))}
    assert abs(run(model, t)[-1, 0] - wanted[model]) < within


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
