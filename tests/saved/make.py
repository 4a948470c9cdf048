"""Files of this version, with what they gave: run in an empty folder, `python make.py`.

`test_saved_files.py` loads them in later versions.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

import spikewright as sw

HERE = Path.cwd()
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 60)

SPACE = {"steps": [1, 2, 4], "synapse": None, "max_spikes_per_step": None}


def model() -> nn.Module:
    """Linear maps, ReLU and a sigmoid."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.Sigmoid(), nn.Linear(8, 3)
    ).eval()


def network() -> tuple[sw.Network, sw.Probe]:
    """An ensemble that learns what another one says."""
    with sw.Network(seed=3) as net:
        stimulus = sw.Node([0.5, -0.3])
        pre = sw.Ensemble(30, 2, label="pre")
        post = sw.Ensemble(20, 1, neuron_type=sw.RegularSpiking(sw.LIFRate()), label="post")
        error = sw.Node(size_in=1, label="error")
        sw.Connection(stimulus, pre)
        learned = sw.Connection(pre, post, transform=[[0.2, 0.1]], learning_rule_type=sw.PES())
        sw.Connection(post, error)
        sw.Connection(stimulus, error, transform=[[-1.0, 0.0]])
        sw.Connection(error, learned.learning_rule)
        probe = sw.Probe(post.neurons, label="spikes")
    return net, probe


def main() -> None:
    """Write everything."""
    warnings.simplefilter("ignore")
    conversion = sw.convert(
        model(),
        spiking=True,
        scale_firing_rates=sw.Percentile(99.0, 1000.0),
        calibration=X,
        synapse={"1": 0.005, "3": None},
        example_input=X[:1],
    )
    conversion.save(HERE / "conversion.safetensors")
    run = conversion.run(X, 60, progress=False)
    net, probe = network()
    sw.network.save(net, HERE / "network.safetensors")
    with sw.Simulator(net, seed=1, progress=False) as simulator:
        simulator.run_steps(60)
        spikes = simulator.data[probe]
    conversion.calibrate(X).save(HERE / "statistics.safetensors")
    evaluation = conversion.evaluate(X, Y, steps=60, progress=False)
    evaluation.save(HERE / "evaluation.json")
    warnings.simplefilter("ignore")
    sw.tune(
        model(), X, Y, max_drop=0.5, space=SPACE, study=HERE / "study.db", trials=2,
        progress=False, example_input=X[:1],
    )  # fmt: skip
    np.savez(HERE / "gave.npz", x=X, y=Y, output=run.output, spikes=spikes)


if __name__ == "__main__":
    main()
