"""Spyx: a chain of layers scanned over time, channels last."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np


class Model:
    """A file as Spyx reads it; its neurons are known by their place in the chain alone."""

    notes: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.exchange = import_module("spyx.nir")
        self.jax = import_module("jax")

    def read(self, path: str, dt: float, neurons: tuple[str, ...]) -> None:
        """Read a file for steps of `dt` of its units of time."""
        graph = import_module("nir").read(path)
        (shape,) = [
            np.atleast_1d(node.input_type["input"])
            for node in graph.nodes.values()
            if type(node).__name__ == "Input"
        ]
        example = _as_taken(np.zeros((1, 1, *shape), np.float32))
        self.neurons = neurons
        self.model, _ = self.exchange.from_nir(graph, self.jax.numpy.asarray(example), dt=dt)

    def run(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Outputs and spikes of values `(batch, steps, *shape)`."""
        layers = list(self.model.layers)

        def step(states: Any, value: Any) -> Any:
            after, sent = [], []
            for layer, state in zip(layers, states, strict=True):
                if state is None:
                    value = layer(value)
                else:
                    value, state = layer(value, state)
                    sent.append(value)
                after.append(state)
            return after, (value, sent)

        begin = list(self.model.initial_state(len(x)))
        _, (output, sent) = self.jax.lax.scan(step, begin, self.jax.numpy.asarray(_as_taken(x)))
        if len(sent) != len(self.neurons):
            raise ValueError(f"{len(sent)} layers of neurons were made of {len(self.neurons)}")
        named = zip(self.neurons, sent, strict=True)
        return _in_order(output), {name: _in_order(value) for name, value in named}


def _as_taken(x: np.ndarray) -> np.ndarray:
    """Values `(batch, steps, channels, *spatial)` as `(steps, batch, *spatial, channels)`."""
    early = np.moveaxis(x, 1, 0)
    return np.moveaxis(early, 2, -1) if x.ndim > 3 else early


def _in_order(values: Any) -> np.ndarray:
    """The same in the other direction."""
    found = np.moveaxis(np.asarray(values), 0, 1)
    return np.moveaxis(found, -1, 2) if found.ndim > 3 else found
