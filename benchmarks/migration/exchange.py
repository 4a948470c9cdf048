"""A network written by another library as NIR, and read here."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import spikewright as sw


def read_back(write: Callable[[Any, Path], None], net: Any, reset: Any, dt: float) -> str:
    """Write a network of 6 inputs and 20 neurons, read it, and compare spikes where `net` is given.

    `net` is called step by step with `(1, 6)`, from the start. `dt` is the step in the unit of the
    file's time constants.
    """
    import torch

    x = np.random.default_rng(0).uniform(0, 4, (60, 6)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.nir"
        write(torch.tensor(x[:1]), path)
        network = sw.nir.load(path, dt=dt, reset=reset)
    (node,) = network.inputs.values()
    simulator = sw.Simulator(network, progress=False, engine="reference", precision="float64")
    simulator.run_steps(len(x), {node: x})
    ours = np.asarray(simulator.data[network.probes[0]]).reshape(len(x), -1)
    assert ours.shape == (60, 20), ours.shape
    assert ours.any()
    if net is None:
        return f"{np.count_nonzero(ours)} spikes"
    if hasattr(net[1], "reset"):
        net[1].reset()
    with torch.no_grad():
        theirs = np.concatenate([net(torch.tensor(now[None])).numpy() for now in x])
    differing = np.count_nonzero((ours > 0) != (theirs > 0))
    assert differing <= 2, f"{differing} of {theirs.sum():.0f} spikes differ"
    return f"{np.count_nonzero(theirs)} steps with spikes, {differing} differ"
