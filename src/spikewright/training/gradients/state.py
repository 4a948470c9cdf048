"""Tensors as arrays that a file can hold, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from spikewright.engines.torch.device import numpy_of


def as_arrays(value: Any) -> Any:
    """A value with arrays in the place of its tensors, and text in that of keys."""
    if torch.is_tensor(value):
        return numpy_of(value.detach())
    if isinstance(value, Mapping):
        return {str(key): as_arrays(entry) for key, entry in value.items()}
    return value


def as_tensors(value: Any) -> Any:
    """A value with tensors in the place of its arrays; they share no memory with them."""
    if isinstance(value, np.ndarray):
        return torch.tensor(value)
    if isinstance(value, Mapping):
        return {key: as_tensors(entry) for key, entry in value.items()}
    return value
