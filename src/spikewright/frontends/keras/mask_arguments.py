"""Masks as arguments of a layer's call, as Keras finds them at the tensors."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

from spikewright.frontends.keras.registry import Value
from spikewright.frontends.keras.walking import map_structure, values_in


def given_masks(
    operation: Any, arguments: Mapping[str, Any], masks: Mapping[str, Value]
) -> dict[str, Any]:
    """The arguments of a layer's call with the masks that Keras adds to them, by node of values."""
    parameters = inspect.signature(operation.call).parameters
    tensors = {name: given for name, given in arguments.items() if values_in(given)}
    names = {name: "mask" if len(tensors) == 1 else f"{name}_mask" for name in tensors}
    made = dict(arguments)
    for name, mask_name in names.items():
        if mask_name not in parameters or arguments.get(mask_name) is not None:
            continue
        found = map_structure(partial(_mask_of, masks), tensors[name])
        if values_in(found):
            made[mask_name] = found
    return made


def _mask_of(masks: Mapping[str, Value], leaf: Any) -> Value | None:
    return masks.get(leaf.name or "") if isinstance(leaf, Value) else None
