"""Masks that Keras hands from layer to layer, beside the tensors that they belong to.

A layer that knows masks is given those of its inputs when it is called. Code and nested models find
them at the tensors, for the layers inside them.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from spikewright._base.optional import require
from spikewright.frontends.keras.registry import of_keras

_UNUSED = frozenset({"BatchNormalization"})
"""Layers that take account of masks in training alone."""


def unused_masks(node: Any) -> set[int]:
    """The identities of the masks that a call is given and does not look at, at inference."""
    if type(node.operation).__name__ not in _UNUSED:
        return set()
    return {id(mask) for _, mask in _masked(node.input_tensors)}


def masked_inputs(node: Any) -> list[tuple[Any, Any]]:
    """The inputs of a call that may use their masks, itself or inside, each with its mask."""
    operation = node.operation
    if not isinstance(operation, require("keras").Layer) or type(operation).__name__ in _UNUSED:
        return []
    return _masked(node.input_tensors) if any(map(knows_masks, operation._flatten_layers())) else []


def _masked(tensors: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Those of the tensors that have a mask, each with it."""
    found = [(tensor, getattr(tensor, "_keras_mask", None)) for tensor in tensors]
    return [(tensor, mask) for tensor, mask in found if mask is not None]


def makes_masks(operation: Any) -> bool:
    """True for a layer that may make masks, itself or by one inside it; handing on makes none."""
    layer = require("keras").Layer
    return isinstance(operation, layer) and any(map(_makes_masks, operation._flatten_layers()))


def _makes_masks(layer: Any) -> bool:
    if of_keras(layer):
        return bool(getattr(layer, "mask_zero", False)) or type(layer).__name__ == "Masking"
    return bool(type(layer).compute_mask is not require("keras").Layer.compute_mask)


def uses_masks(operation: Any) -> bool:
    """Whether a layer takes account of the masks of its inputs at inference."""
    return type(operation).__name__ not in _UNUSED and knows_masks(operation)


def knows_masks(operation: Any) -> bool:
    """Whether a layer is called with the masks of its inputs."""
    parameters = inspect.signature(operation.call).parameters
    return any(name == "mask" or name.endswith("_mask") for name in parameters)
