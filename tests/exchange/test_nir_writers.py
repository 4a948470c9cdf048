"""NIR files that other tools wrote (`scripts/nir_writers.py`): they load, and spike as they did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw

pytest.importorskip("nir")

FILES = Path(__file__).parent / "files"


def _run(net: sw.Network, x: np.ndarray, dt: float, engine: str) -> np.ndarray:
    (source,) = net.inputs.values()
    simulator = sw.Simulator(net, dt, engine=engine, progress=False)
    simulator.run_steps(len(x), {source: x.reshape(len(x), *source.shape_in)})
    found: np.ndarray = simulator.data[net.probes[0]].reshape(len(x), -1)
    return found


def _written(writer: str) -> Any:
    return np.load(FILES / f"{writer}.npz")


@pytest.mark.parametrize("engine", ["reference", "native"])
def test_spikingjelly_resets_as_nir_does(engine: str) -> None:
    """Convolution, average pool, `Flatten` counted with the batch, `IF` of r = 1 / dt: equal."""
    given = _written("spikingjelly")
    net = sw.nir.load(FILES / "spikingjelly.nir", 1e-3)

    np.testing.assert_array_equal(_run(net, given["x"], 1e-3, engine), given["y"])
    assert given["y"].sum() > 10


@pytest.mark.parametrize("engine", ["reference", "native"])
def test_sinabs_keeps_the_rest(engine: str) -> None:
    """Its file does not say so; read with that reset its spikes are ours, else others."""
    given, file = _written("sinabs"), FILES / "sinabs.nir"
    found = _run(sw.nir.load(file, 1.0, reset="subtract"), given["x"], 1.0, engine)
    others = _run(sw.nir.load(file, 1.0), given["x"], 1.0, engine)

    np.testing.assert_array_equal(found, given["y"])
    assert given["y"].sum() > 10 and np.any(others != given["y"])


@pytest.mark.parametrize(("writer", "dt"), [("norse", 1e-3), ("snntorch", 1e-4)])
def test_leaky_neurons_of_explicit_steps_load(writer: str, dt: float) -> None:
    """Norse and snnTorch step explicitly, so that values differ; the network is the same."""
    given = _written(writer)
    net = sw.nir.load(FILES / f"{writer}.nir", dt)
    found = _run(net, given["x"], dt, "reference")

    assert [e.shape for e in net.layers.values()] in ([(6,)], [(1, 6)])
    assert found.shape == given["y"].shape and np.ptp(found) > 0
