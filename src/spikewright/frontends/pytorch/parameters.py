"""The parameters and buffers of PyTorch modules and programs, by the names of their state dict."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from spikewright.errors import ReadError
from spikewright.frontends.preserving import preserved


def parameters(model: Any) -> dict[str, NDArray]:
    """All that hold real numbers, as float32 or float64; raises `ReadError` for other models.

    Names of one tensor, as of modules that share a weight, have one array.
    """
    tensors = _tensors(model)
    arrays = {id(tensor): _array(tensor) for tensor in tensors.values()}
    return {name: arrays[id(tensor)] for name, tensor in tensors.items()}


def frozen(model: Any) -> set[str]:
    """The names of those that PyTorch does not train: `requires_grad=False`, and all buffers."""
    return {name for name, tensor in _tensors(model).items() if not tensor.requires_grad}


def copied(model: Any, values: Mapping[str, NDArray]) -> Any:
    """A copy of a module or program with other values; the model is left as it is."""
    if isinstance(model, torch.export.ExportedProgram):
        made = copy.copy(model)  # a deep copy has other names
        made._state_dict = copy.deepcopy(model.state_dict)
    else:
        with preserved(model):
            made = copy.deepcopy(model)
    write(made, values)
    return made


def write(model: Any, values: Mapping[str, NDArray]) -> Any:
    """Put values into a module, and return it."""
    tensors = _tensors(model)
    with torch.no_grad():
        for name, value in values.items():
            tensors[name].copy_(torch.from_numpy(value))
    return model


def _tensors(model: Any) -> dict[str, Any]:
    if isinstance(model, torch.nn.Module):
        with preserved(model):  # hooks of its state dict may do anything
            state = model.state_dict(keep_vars=True)
    elif isinstance(model, torch.export.ExportedProgram):
        state = model.state_dict
    else:
        raise ReadError(
            f"a {type(model).__name__} holds no parameters to write to. Give the torch.nn.Module"
        )
    return {name: value for name, value in state.items() if value.is_floating_point()}


def _array(tensor: Any) -> NDArray:
    wide = torch.float64 if tensor.dtype == torch.float64 else torch.float32
    array: NDArray = tensor.detach().cpu().to(wide).numpy().copy()
    return array
