"""A network made by hand for tests of its page."""

from __future__ import annotations

import numpy as np

import spikewright as sw
from spikewright.explorer.live import LiveRun, live


def network() -> sw.Network:
    """A value and its square, with an input to move, one to hold, and probes of every kind."""
    with sw.Network("Square", seed=1) as net:
        stimulus = sw.Node([0.5], label="stimulus")
        pair = sw.Node([0.1, -0.2])
        screen = sw.Node(np.linspace(0, 1, 30), label="screen")
        a = sw.Ensemble(80, 1, label="a")
        b = sw.Ensemble(60, 2, radius=1.5)
        sw.Connection(stimulus, a)
        sw.Connection(a, b[0], function=np.square)
        sw.Connection(pair, b)
        sw.Connection(screen, b[1], transform=np.full((1, 30), 0.01))
        sw.Probe(a, synapse=0.03)
        sw.Probe(b, synapse=0.03, sample_every=0.003)
        sw.Probe(a.neurons)
        sw.Probe(b.neurons[::2], "spike_count", label="counts")
        sw.Probe(a.neurons, "voltage")
        sw.Probe(screen)
    return net


def run() -> LiveRun:
    """Its run."""
    return live(network())
