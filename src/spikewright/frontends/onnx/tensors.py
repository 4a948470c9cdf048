"""Tensors of a model as arrays."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.errors import DamagedFileError


def array_of(tensor: Any, place: str) -> NDArray:
    """The values of a tensor; raises `DamagedFileError` where its data does not fit its shape."""
    try:
        array: NDArray = require("onnx").numpy_helper.to_array(tensor)
    except Exception as error:  # whatever NumPy says about bytes that do not fit
        raise DamagedFileError(
            f"{place}: the tensor {tensor.name!r} cannot be decoded ({error}). "
            "Export the model again."
        ) from error
    return array
