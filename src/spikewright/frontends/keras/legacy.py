"""Keras 2's descriptions of models in HDF5 files, converted to those that Keras 3 accepts."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from spikewright.frontends.keras.legacy_calls import rewrite_calls

_UNKNOWN: dict[str, tuple[str, ...]] = {
    "BatchNormalization": (
        "fused",
        "renorm",
        "renorm_clipping",
        "renorm_momentum",
        "virtual_batch_size",
    ),
    "Conv1DTranspose": ("groups",),
    "Conv2DTranspose": ("groups",),
    "Conv3DTranspose": ("groups",),
    "MultiHeadAttention": ("query_shape", "key_shape", "value_shape"),
    "SpatialDropout1D": ("noise_shape", "trainable"),
    "SpatialDropout2D": ("noise_shape", "trainable"),
    "SpatialDropout3D": ("noise_shape", "trainable"),
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
"""Arguments that Keras 2 stored without a use for them at inference: `groups` is 1, kernels have
other names, shapes are those of the inputs."""


def repaired(description: Any) -> Any:
    """A copy of a model's description that Keras 3 builds.

    The differences: arguments that Keras 3 lacks; dtype policies written as objects; layers of a
    model nested in a Sequential one, written as in the later format but with the arguments of the
    earlier; layers in other layers, without their module; the count of a nested model's calls,
    which in Keras 2 begins after a call of its own; TensorFlow functions in the place of layers;
    and tensors given by name, as attention's are.
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
        _rename(layer, config)
        if layer["class_name"] in ("Functional", "Model"):
            _recount(config)
    for layer in list(_layers(result)):  # all are in the earlier format now
        rewrite_calls(layer)
        inner = layer["config"].get("layer")
        if isinstance(inner, dict):  # in a wrapper Keras 3 asks for the module
            models = ("Functional", "Model", "Sequential")
            inner["module"] = "keras" if inner["class_name"] in models else "keras.layers"
    return result


def _rename(layer: dict[str, Any], config: dict[str, Any]) -> None:
    """Change settings that Keras 3 names otherwise, or mistakes for something else."""
    if layer["class_name"] == "ThresholdedReLU" and "theta" in config:
        layer["class_name"] = "ReLU"
        config["threshold"] = config.pop("theta")
    if layer["class_name"] == "Attention" and config.get("score_mode") == "dot":
        del config["score_mode"]  # the default, and to Keras 3 the name of a function


def _layers(entry: Any) -> Iterator[dict[str, Any]]:
    """A layer and all layers inside it that a dict describes."""
    if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
        return
    yield entry
    for layer in entry["config"].get("layers") or ():
        yield from _layers(layer)
    yield from _layers(entry["config"].get("layer"))


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
