"""Modules of PyTorch that compute one step a call, with their neurons listened to."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np


class Stepped:
    """A module called as `module(x, state) -> (output, state)`, and the neurons in it by name."""

    def __init__(self, module: Any, neurons: tuple[str, ...]) -> None:
        self.module = module.eval()
        self.sent: dict[str, list[Any]] = {}
        found = dict(module.named_modules())
        for name in neurons:
            inner = next((found[n] for n in spellings(name) if n in found), None)
            if inner is not None:
                inner.register_forward_hook(self._listen(name))

    def _listen(self, name: str) -> Any:
        def hook(module: Any, given: Any, sent: Any) -> None:
            first = sent[0] if isinstance(sent, tuple) else sent
            self.sent.setdefault(name, []).append(first.detach().numpy())

        return hook

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


def spellings(name: str) -> tuple[str, ...]:
    """The names that modules of a node may have: keywords get a prefix, loops a folder."""
    return (f"{name}.{name}", name, f"nir_node_{name}", f"nir_node_{name}.{name}")
