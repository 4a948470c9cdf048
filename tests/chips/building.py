"""Networks of neurons and weights, made by hand for tests of chips."""

from __future__ import annotations

from typing import Any

import numpy as np

import spikewright as sw


def population(shape: Any, neuron_type: Any = None, label: str | None = None) -> sw.Ensemble:
    """Neurons without a vector."""
    kind = sw.IntegrateAndFire(voltage_floor=1) if neuron_type is None else neuron_type
    return sw.Ensemble(shape, None, neuron_type=kind, gain=1, bias=0, label=label)


def reads(post: sw.Ensemble, pre: Any, transform: Any = None) -> None:
    """Weights from an input, a junction or a population to a population."""
    source = pre.neurons if isinstance(pre, sw.Ensemble) else pre
    sw.Connection(source, post.neurons, transform=transform, synapse=None)


def dense(post: sw.Ensemble, pre: Any) -> None:
    """Weights of one from every value to every neuron."""
    size = pre.size_out if isinstance(pre, sw.Node) else pre.n_neurons
    reads(post, pre, sw.Dense(np.ones((post.n_neurons, size))))


def given(size: Any) -> sw.Node:
    """An input."""
    return sw.Node(np.zeros(size))
