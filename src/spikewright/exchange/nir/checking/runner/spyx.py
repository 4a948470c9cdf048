"""Spyx: a chain of layers scanned over time, channels last."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np


class Model:
    """What Spyx makes of a file; its neurons are known by their place in the chain alone."""

    notes: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.exchange = import_module("spyx.nir")
        self.jax = import_module("jax")

    def read(self, path: str, dt: float, neurons: tuple[str, ...]) -> None:
        """Read a file for steps of `dt` of its units of time."""
        self.graph = import_module("nir").read(path)
        self.dt, self.neurons = dt, neurons
        (shape,) = [
            np.atleast_1d(node.input_type["input"])
            for node in self.graph.nodes.values()
            if type(node).__name__ == "Input"
        ]
        self.model, _ = self._run(np.zeros((1, 1, *shape), np.float32))

    def _run(self, x: np.ndarray) -> Any:
        """The model and its outputs, for values `(batch, steps, *shape)`."""
        early = np.moveaxis(x, 1, 0)
        last = np.moveaxis(early, 2, -1) if x.ndim > 3 else early
        return self.exchange.from_nir(self.graph, self.jax.numpy.asarray(last), dt=self.dt)

    def run(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Outputs and spikes of values `(batch, steps, *shape)`."""
        early = np.moveaxis(x, 1, 0)
        early = np.moveaxis(early, 2, -1) if x.ndim > 3 else early
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
        _, (output, sent) = self.jax.lax.scan(step, begin, self.jax.numpy.asarray(early))
        if len(sent) != len(self.neurons):
            raise ValueError(f"{len(sent)} layers of neurons were made of {len(self.neurons)}")
        named = zip(self.neurons, sent, strict=True)
        return _in_order(output), {name: _in_order(value) for name, value in named}


def _in_order(values: Any) -> np.ndarray:
    """Values `(steps, batch, *spatial, channels)` as `(batch, steps, channels, *spatial)`."""
    found = np.moveaxis(np.asarray(values), 0, 1)
    return np.moveaxis(found, -1, 2) if found.ndim > 3 else found
