"""A training that is killed after its second epoch: `python interrupted.py CHECKPOINT WAY`.

`training(...)` is that training, which the test goes on with.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import spikewright as sw
from spikewright.training import history

WAYS: dict[str, dict[str, Any]] = {
    "budget": {"spikes": 30.0},
    "time": {"method": "time", "trainable": ("weights", "scales")},
    "chosen": {"learning_rate": "chosen", "epochs": 30},
    "auto": {},
}


def samples(seed: int, count: int) -> tuple[Any, Any]:
    """Points and the quadrant that each is in."""
    x = np.random.default_rng(seed).normal(size=(count, 6)).astype(np.float32)
    return x, (x[:, 0] > 0) * 2 + (x[:, 1] > 0)


def training(path: Any, way: str, **changes: Any) -> Any:
    """Four epochs or more of a small network on a shuffled loader."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 4))
    cap = {"max_spikes_per_step": 1} if way != "budget" else {}
    conversion = sw.convert(
        model, spiking={"relu": sw.BipolarIntegrateAndFire()}, example_input=np.zeros((1, 6)), **cap
    )
    x, y = samples(1, 256)
    held = samples(2, 100)
    data = DataLoader(
        TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), batch_size=32, shuffle=True,
        generator=torch.Generator() if way == "time" else None,
    )  # fmt: skip
    usual = {"steps": 3, "epochs": 4, "learning_rate": 0.01, "validation": held, "seed": 5}
    how = {**usual, **WAYS[way], **changes}
    return conversion.train(data, checkpoint=path, progress=False, **how)


def main(path: str, way: str) -> None:
    """Die in the middle of the third epoch, as a machine that loses its power would."""
    saved = []
    save = history.TrainingCheckpoint.save

    def counted(self: Any, state: Any) -> None:
        save(self, state)
        saved.append(1)
        if len(saved) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    history.TrainingCheckpoint.save = counted  # type: ignore[method-assign]
    training(path, way)


if __name__ == "__main__":
    main(*sys.argv[1:])
