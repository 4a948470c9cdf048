"""What Keras 2 wrote into HDF5 files and Keras 3 does not accept, put right."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

_UNKNOWN: dict[str, tuple[str, ...]] = {
    "DepthwiseConv1D": ("groups",),
    "DepthwiseConv2D": ("groups",),
    "SeparableConv1D": (
        "groups",
        "kernel_initializer",
        "kernel_regularizer",
        "kernel_constraint",
    ),
    "SeparableConv2D": (
        "groups",
        "kernel_initializer",
        "kernel_regularizer",
        "kernel_constraint",
    ),
}
"""Arguments that Keras 2 stored without a use for them: `groups` is 1, kernels have other names."""


def repaired(description: Any) -> Any:
    """A copy of a model's description that Keras 3 builds.

    Four things differ: arguments of depthwise and separable convolutions that Keras 3 has not;
    dtype policies written as objects; layers of a model nested in a Sequential one, written as in
    the later format but with the arguments of the earlier; and the count of a nested model's calls,
    which in Keras 2 begins after a call of its own.
    """
    result = deepcopy(description)
    for layer in _layers(result):
        if str(layer.get("module")).split(".")[0] == "keras":
            for key in ("module", "registered_name", "build_config"):
                layer.pop(key, None)  # without them Keras takes its path for the earlier format
        config = layer["config"]
        for argument in _UNKNOWN.get(layer["class_name"], ()):
            config.pop(argument, None)
        policy = config.get("dtype")
        if isinstance(policy, dict) and policy.get("class_name") == "Policy":
            config["dtype"] = policy["config"]["name"]
        if layer["class_name"] in ("Functional", "Model"):
            _recount(config)
    return result


def _layers(entry: Any) -> Iterator[dict[str, Any]]:
    """A layer and all layers inside it, as far as they are described by a dict."""
    if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
        return
    yield entry
    for layer in entry["config"].get("layers") or ():
        yield from _layers(layer)


def _recount(config: dict[str, Any]) -> None:
    """Count the calls of nested models from 0, as Keras 3 does."""
    inbound = list(_references([layer.get("inbound_nodes") for layer in config["layers"]]))
    outputs = list(_references(config.get("output_layers")))
    for layer in config["layers"]:
        if layer["class_name"] in ("Functional", "Model"):
            uses = inbound  # for its use as an output Keras 3 does the same itself
        elif layer["class_name"] == "Sequential":
            uses = inbound + outputs
        else:
            continue
        for use in uses:
            if use[0] == layer["name"] and use[1] > 0:
                use[1] -= 1


def _references(value: Any) -> Iterator[list[Any]]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        if len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int):
            yield value
            value = value[3:]  # further tensors hide in the call's keyword arguments
        for item in value:
            yield from _references(item)
