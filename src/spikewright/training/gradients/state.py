"""What a training has come to, as plain data with arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from spikewright.engines.torch.device import Tensor, numpy_of
from spikewright.training.gradients.budget import TrainingBudget
from spikewright.training.history import Epoch, Measured

Tensors = dict[str, Tensor]


def of_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Tensors as arrays, by name."""
    return {name: numpy_of(tensor.detach()) for name, tensor in tensors.items()}


def to_tensors(arrays: Mapping[str, Any]) -> Tensors:
    """Arrays as tensors, which share no memory with them."""
    return {name: torch.tensor(array) for name, array in arrays.items()}


def of_optimiser(optimiser: Any) -> dict[str, Any]:
    """What an optimiser remembers of each parameter; rates and options are a call's arguments."""
    kept = optimiser.state_dict()["state"]
    return {
        str(number): {n: numpy_of(v) if torch.is_tensor(v) else v for n, v in entry.items()}
        for number, entry in kept.items()
    }


def to_optimiser(optimiser: Any, state: Mapping[str, Mapping[str, Any]]) -> None:
    """Put that back into an optimiser of the same parameters."""
    kept = {
        int(number): {n: torch.tensor(v) if hasattr(v, "dtype") else v for n, v in entry.items()}
        for number, entry in state.items()
    }
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": kept, "param_groups": groups})


def of_budget(budget: TrainingBudget) -> list[list[float]]:
    """Multipliers, what is sent for what is kept, and what was spent before the training."""
    return [[one.value, one.sent, one.first] for one in budget.multipliers]


def to_budget(budget: TrainingBudget, state: Sequence[Sequence[float]]) -> None:
    """Put that back."""
    for one, (value, sent, first) in zip(budget.multipliers, state, strict=True):
        one.value, one.sent, one.first = float(value), float(sent), float(first)


def of_history(history: list[Epoch]) -> list[dict[str, Any]]:
    """Epochs as plain data."""
    return [asdict(epoch) for epoch in history]


def to_history(records: Any) -> list[Epoch]:
    """Epochs from plain data."""
    found = []
    for record in records:
        held = record["held_back"]
        found.append(Epoch(**{**record, "held_back": None if held is None else Measured(**held)}))
    return found
