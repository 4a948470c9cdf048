"""Masks that Keras hands from layer to layer, beside the tensors that they belong to."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any


def mask_tensors(node: Any) -> set[int]:
    """The identities of the tensors that a call is given as masks of its other inputs."""
    given = {id(tensor) for tensor in node.input_tensors}
    return given & {id(mask) for mask in masks_of(node.input_tensors)}


def masks_taken(node: Any, layers_inside: Sequence[Any]) -> list[Any]:
    """The masks that a call takes account of, tensors: those of its inputs if it knows masks.

    `layers_inside` are those of the model that is called, if it is one.
    """
    knows = any(map(_knows_masks, layers_inside or [node.operation]))
    return masks_of(node.input_tensors) if knows else []


def origin_of(nodes: Sequence[Any], ancestors: set[int]) -> Any:
    """The layer that is the first to have a mask among these tensors; `nodes` are in order."""
    return next(
        node.operation
        for node in nodes
        if any(id(mask) in ancestors for mask in masks_of(node.outputs))
    )


def masks_of(tensors: Sequence[Any]) -> list[Any]:
    """The masks that Keras hands on with tensors."""
    found = [getattr(tensor, "_keras_mask", None) for tensor in tensors]
    return [mask for mask in found if mask is not None]


def _knows_masks(operation: Any) -> bool:
    parameters = inspect.signature(operation.call).parameters
    return any(name == "mask" or name.endswith("_mask") for name in parameters)
