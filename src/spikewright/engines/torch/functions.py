"""The array functions of equations over torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright._base.windows import Windows
from spikewright.engines.torch.device import Tensor, Tensors, full_products, numpy_of
from spikewright.engines.torch.maps import max_pool


class TorchFunctions:
    """The array functions of neuron equations and node functions, over torch."""

    exp, expm1, log, log1p = torch.exp, torch.expm1, torch.log, torch.log1p
    tanh, erf, sin, cos, arctan = torch.tanh, torch.erf, torch.sin, torch.cos, torch.arctan
    sqrt, floor, sign, abs, power = torch.sqrt, torch.floor, torch.sign, torch.abs, torch.pow
    isfinite, zeros_like, swapaxes = torch.isfinite, torch.zeros_like, torch.swapaxes
    greater, greater_equal = torch.greater, torch.greater_equal

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._constants: dict[int, tuple[NDArray, Tensor]] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(
            f"the torch engine has no function {name!r} for neuron equations; ArrayNamespace in "
            "spikewright.network.neurons lists what they may use"
        )

    def constant(self, array: NDArray) -> Tensor:
        """The values of an array that does not change, as a tensor that is made once."""
        if id(array) not in self._constants:
            self._constants[id(array)] = (array, self._tensors.of(array))
        return self._constants[id(array)][1]

    def where(self, condition: Tensor, first: Any, second: Any) -> Tensor:
        """Elementwise choice; numbers take the population's type."""
        if not isinstance(first, torch.Tensor) and not isinstance(second, torch.Tensor):
            first = torch.full((), first, dtype=self._tensors.dtype, device=self._tensors.device)
        return torch.where(condition, first, second)

    def maximum(self, first: Tensor, second: Any) -> Tensor:
        """Elementwise maximum of an array and an array or number."""
        if isinstance(second, torch.Tensor):
            return torch.maximum(first, second)
        return first.relu() if second == 0.0 else first.clamp(min=second)

    def minimum(self, first: Tensor, second: Any) -> Tensor:
        """Elementwise minimum of an array and an array or number."""
        if isinstance(second, torch.Tensor):
            return torch.minimum(first, second)
        return first.clamp(max=second)

    def sum(self, x: Tensor, axis: Any, keepdims: bool = False) -> Tensor:
        """Sum over axes."""
        return torch.sum(x, dim=axis, keepdim=keepdims)

    def mean(self, x: Tensor, axis: Any, keepdims: bool = False) -> Tensor:
        """Mean over axes."""
        return torch.mean(x, dim=axis, keepdim=keepdims)

    def amax(self, x: Tensor, axis: Any, keepdims: bool = False) -> Tensor:
        """Maximum over axes."""
        return torch.amax(x, dim=axis, keepdim=keepdims)

    def matmul(self, first: Tensor, second: Tensor) -> Tensor:
        """Matrix products over the last two axes."""
        with full_products(self._tensors.device):
            return torch.matmul(first, second)

    def rows(self, table: Tensor, numbers: Tensor) -> Tensor:
        """Rows of a table by numbers, each rounded to the nearest row."""
        return table[numbers.round().clamp(0, len(table) - 1).long()]

    def called(self, function: Callable[..., NDArray], *arrays: Tensor) -> Tensor:
        """A function of NumPy's arrays applied to tensors, on the processor."""
        return self._tensors.of(function(*(numpy_of(a).astype(np.float64) for a in arrays)))

    def max_pool(self, x: Tensor, windows: Windows, last: bool) -> Tensor:
        """Maximum over sliding windows of `(batch, steps, *shape)`."""
        return max_pool(x, windows, last)
