"""Modules of PyTorch that compute one step a call, with their neurons listened to."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np


class Stepped:
    """A module called as `module(x, state) -> (output, state)`, and the neurons in it by name."""

    def __init__(self, module: Any, neurons: tuple[str, ...]) -> None:
        self.module = module.eval()
        self.sent: dict[str, list[Any]] = {}
        listen(module, neurons, lambda name, sent: self.sent.setdefault(name, []).append(sent))

    def run(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Outputs and spikes `(batch, steps, *shape)` of values `(batch, steps, *shape)`."""
        torch = import_module("torch")
        self.sent = {}
        outputs, state = [], None
        with torch.no_grad():
            for step in range(x.shape[1]):
                output, state = self.module(torch.from_numpy(x[:, step].copy()), state)
                outputs.append(output.numpy())
        return np.stack(outputs, 1), {n: np.stack(sent, 1) for n, sent in self.sent.items()}


class SteppedModel:
    """A reader whose modules take a step a call; `module` makes one of a graph."""

    notes: tuple[str, ...] = ()

    def module(self, graph: Any, dt: float) -> Any:
        """The reader's module of a graph, for steps of `dt` of its units of time."""
        raise NotImplementedError

    def read(self, path: str, dt: float, neurons: tuple[str, ...]) -> None:
        """Read a file for steps of `dt` of its units of time."""
        graph = import_module("nir").read(path)
        self.stepped = Stepped(self.module(graph, dt), neurons)

    def run(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Outputs and spikes of values `(batch, steps, *shape)`."""
        return self.stepped.run(x)


def listen(module: Any, neurons: tuple[str, ...], hear: Callable[[str, np.ndarray], Any]) -> None:
    """Let `hear` have the name and the spikes of a module's neurons, whenever they send some."""
    found = dict(module.named_modules())
    for name in neurons:
        inner = next((found[n] for n in _spellings(name) if n in found), None)
        if inner is not None:
            inner.register_forward_hook(_hook(name, hear))


def _hook(name: str, hear: Callable[[str, np.ndarray], Any]) -> Any:
    def hook(module: Any, given: Any, sent: Any) -> None:
        hear(name, (sent[0] if isinstance(sent, tuple) else sent).detach().numpy())

    return hook


def _spellings(name: str) -> tuple[str, ...]:
    """The names that modules of a node may have: keywords get a prefix, loops a folder."""
    return (f"{name}.{name}", name, f"nir_node_{name}", f"nir_node_{name}.{name}")
