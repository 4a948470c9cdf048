"""Runs convolutions and their neurons in sinabs: FILE.npz -> spikes and numbers, FILE.npz.

It runs in an environment of sinabs, without this project. `discretize.py` is read by its path, for
its package asks for the driver of the chip.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import sinabs
import torch
from sinabs.layers import IAF


def discretize():
    """The module of sinabs that makes whole numbers for Speck."""
    path = Path(sinabs.__file__).parent / "backend" / "dynapcnn" / "discretize.py"
    spec = importlib.util.spec_from_file_location("discretize", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def layer(given, i):
    """A convolution and its neurons, discretised where that is asked for."""
    weight, bias = (torch.tensor(given[f"{name}{i}"]).float() for name in ("weight", "bias"))
    conv = torch.nn.Conv2d(*weight.shape[1::-1], weight.shape[2], int(given[f"stride{i}"]), 1)
    conv.weight.data, conv.bias.data = weight, bias
    threshold = float(given[f"threshold{i}"])
    neurons = IAF(spike_threshold=torch.tensor(threshold), min_v_mem=-threshold)
    if not given["discretise"]:
        return conv, neurons
    return discretize().discretize_conv_spike(conv, neurons)


def main(path):
    """`spikes (samples, steps, channels, *size)` through all layers, and their numbers."""
    given = dict(np.load(path))
    spikes, found = torch.tensor(given["spikes"]).float(), {}
    samples = len(spikes)
    for i in range(int(given["layers"])):
        conv, neurons = layer(given, i)
        with torch.no_grad():
            spikes = neurons(conv(spikes.flatten(0, 1)).unflatten(0, (samples, -1)))
        found |= {f"spikes{i}": spikes.numpy(), f"weight{i}": conv.weight.detach().numpy()}
        found |= {f"bias{i}": conv.bias.detach().numpy()}
        found |= {f"threshold{i}": neurons.spike_threshold.numpy()}
    np.savez(path, **found)


main(sys.argv[1])
