"""Runs a network in XyloSim: FILE.npz -> spikes of its last neurons, FILE.npz.

It runs in an environment of XyloSim, without this project.
"""

import sys

import numpy as np
from xylosim.v2 import XyloLayer, XyloSynapse


def synapses(matrix):
    """The synapses of each sender, from weights `(senders, receivers)`."""
    return [[XyloSynapse(j, 0, int(row[j])) for j in np.flatnonzero(row)] for row in matrix]


def main(path):
    """`spikes (steps, inputs)` through hidden and last neurons."""
    given = dict(np.load(path))
    hidden, last = given["out"].shape
    current, leak = int(given["current"]), int(given["leak"])
    # XyloLayer holds references into its arguments: they have to outlive it.
    arguments = {
        "synapses_in": synapses(given["in"]), "synapses_out": synapses(given["out"]),
        "synapses_rec": [[] for _ in range(hidden)], "aliases": [[] for _ in range(hidden)],
        "threshold": given["threshold"].tolist(), "threshold_out": given["threshold_out"].tolist(),
        "has_bias": True, "bias": given["bias"].tolist(), "bias_out": given["bias_out"].tolist(),
        "weight_shift_inp": 0, "weight_shift_rec": 0, "weight_shift_out": 0,
        "dash_mem": [leak] * hidden, "dash_mem_out": [leak] * last,
        "dash_syns": [[current, current]] * hidden, "dash_syns_out": [[current]] * last,
        "name": "x",
    }  # fmt: skip
    np.savez(path, last=np.array(XyloLayer(**arguments).evolve(given["spikes"].tolist())))


main(sys.argv[1])
