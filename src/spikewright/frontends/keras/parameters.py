"""The weights of Keras models, by their paths."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.errors import ReadError
from spikewright.frontends.keras.quantized import mode_of
from spikewright.frontends.preserving import preserved


def parameters(model: Any) -> dict[str, NDArray]:
    """All that hold real numbers, as float32 or float64.

    Raises `ReadError` where two have one path.
    """
    keras, found = require("keras"), dict[str, NDArray]()
    for weight in _weights(model):
        if weight.path in found:
            raise ReadError(
                f"two weights have the path {weight.path!r}, so that neither can be written by its "
                "name. Give the layers different names"
            )
        wide = np.float64 if str(weight.dtype) == "float64" else np.float32
        found[weight.path] = np.array(keras.ops.convert_to_numpy(weight), wide)
    return found


def frozen(model: Any) -> set[str]:
    """The paths of those that Keras does not train.

    A layer, a model or a single variable has `trainable=False`, or the variable was made with it;
    on the torch backend its tensor may have `requires_grad=False`.
    """
    trained = {id(weight) for weight in model.trainable_variables}
    return {
        weight.path
        for weight in _weights(model)
        if id(weight) not in trained or not getattr(weight.value, "requires_grad", True)
    }


def copied(model: Any, values: Mapping[str, NDArray]) -> Any:
    """A copy of a model with other weights; the model is left as it is.

    Raises `ReadError` for a class of the user's that Keras cannot make again.
    """
    try:
        with preserved(model):  # Keras builds the copy anew, which draws initial weights
            made = copy.deepcopy(model)
    except TypeError as error:
        raise ReadError(
            f"Keras cannot copy the model {model.name!r}, and a copy shows where its weights are "
            "used. Decorate its classes with @keras.saving.register_keras_serializable(), and "
            "let their constructors take **kwargs"
        ) from error
    for weight, (name, value) in zip(_weights(made), values.items(), strict=True):
        assert weight.shape == value.shape, name  # the order is that of `parameters`
        weight.assign(value)
    return made


def write(model: Any, values: Mapping[str, NDArray]) -> Any:
    """Put values into a model, and return it."""
    by_path = {weight.path: weight for weight in _weights(model)}
    for name, value in values.items():
        by_path[name].assign(value)
    return model


def _weights(model: Any) -> list[Any]:
    """Those that hold real numbers, but for the weights of quantised layers and their scales.

    What such a layer computes with is made of several; its bias alone is as it is held.
    """
    held: set[int] = set()
    for layer in model._flatten_layers():
        if mode_of(layer) is not None:
            bias = getattr(layer, "bias", None)
            held |= {id(weight) for weight in layer.weights if weight is not bias}
    weights = (weight for weight in model.weights if id(weight) not in held)
    return [weight for weight in weights if "float" in str(weight.dtype)]
