"""Tries an installed wheel: its engines, its command line, and a network's spikes on both engines.

    python scripts/check_wheel.py

Needs nothing but the wheel and what it installs. `cibuildwheel` runs it for every wheel that it
builds, and `scripts/wheels.sh` for the one of this machine.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

import spikewright as sw
from spikewright import engines

HERE = Path(__file__).resolve().parents[1]


def spikes(engine: str) -> np.ndarray:
    """A second of a small network with loops, filters and decoders."""
    with sw.Network(seed=1) as network:
        stimulus = sw.Node([0.5])
        a, b = sw.Ensemble(50, 1), sw.Ensemble(50, 1)
        sw.Connection(stimulus, a)
        sw.Connection(a, b, function=np.square)
        sw.Connection(b, b, synapse=0.1)
        probe = sw.Probe(b.neurons)
    with sw.Simulator(network, engine=engine, progress=False) as simulator:
        simulator.run(1.0)
        return np.asarray(simulator.data[probe])


def main() -> None:
    """Raise `AssertionError` where the wheel lacks something or the engines differ."""
    place = Path(sw.__file__).resolve()
    assert not place.is_relative_to(HERE), f"{place} is the repository, not an installed wheel"
    assert "native" in engines.available(), "the wheel has no native engine"
    native, reference = spikes("native"), spikes("reference")
    assert native.any(), "no neuron spiked"
    assert np.array_equal(native, reference), "the native engine and the reference differ"
    command = [sys.executable, "-m", "spikewright", "doctor"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    spikes_here = np.count_nonzero(native)
    print(f"spikewright {sw.__version__} in {place.parent}: {spikes_here} spikes, equal on both")


if __name__ == "__main__":
    main()
