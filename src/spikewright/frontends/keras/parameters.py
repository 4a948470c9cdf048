"""The weights of Keras models: by their paths, and as the real numbers of quantised layers.

A mode of `model.quantize` decides how a layer holds its weights. What some modes do to their inputs
as well is left out, and noted: a rounding of every sample to integers or to float8.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import frozen as read_only
from spikewright._base.optional import require
from spikewright.advice import advise
from spikewright.errors import ReadError
from spikewright.frontends.keras.registry import UnsupportedOp, array
from spikewright.frontends.preserving import preserved
from spikewright.frontends.source import GraphBuilder, SourceNote

FLOAT8 = 448.0
"""The largest number of `float8_e4m3fn`."""


MODES = ("int8", "int4", "float8", "gptq", "awq")
"""Modes of quantisation of which it is known what they do to inputs."""


def mode_of(layer: Any) -> str | None:
    """The quantisation mode of a layer, or None."""
    mode = getattr(layer, "quantization_mode", None)
    held = getattr(layer, "_kernel", None)
    if mode is None and held is not None and "int" in str(held.dtype):  # before Keras 3.5
        return str(held.dtype)
    return mode


def kernel_of(layer: Any, shape: Sequence[int]) -> NDArray:
    """The kernel of a Dense or EinsumDense layer on inputs `(batch, *shape)`.

    That of a quantised layer is what its own call makes of unit vectors. Raises `UnsupportedOp` for
    an unknown mode, and where that call fails.
    """
    if mode_of(layer) is None:
        return array(layer.kernel)
    if getattr(layer, "equation", None) is None:
        return read_only(_asked(layer, np.eye(shape[-1], dtype=np.float32)))
    given, own, result = re.split(r",|->", layer.equation.replace("...", "."))
    sizes = dict(zip(given[::-1], shape[::-1], strict=False))
    summed = [label for label in given if label in own]
    extents = [sizes[label] for label in summed]
    count = math.prod(extents)
    inside = [sizes[label] if label in summed else 1 for label in given[1:]]
    made = _asked(layer, np.eye(count, dtype=np.float32).reshape(count, *inside))
    others = [label for label in result if label in own]
    made = made.reshape(*extents, *(made.shape[result.index(label)] for label in others))
    return read_only(made.transpose([[*summed, *others].index(label) for label in own]))


def bias_of(layer: Any) -> NDArray | None:
    """The bias of a layer, or None; beside a kernel in float8 it is rounded to bfloat16."""
    if layer.bias is None:
        return None
    if mode_of(layer) == "float8" and layer.dtype_policy.compute_dtype == "float32":
        ops = require("keras").ops
        return array(ops.cast(ops.cast(layer.bias, "bfloat16"), layer.bias.dtype))
    return array(layer.bias)


def table_of(layer: Any) -> NDArray:
    """The rows of an embedding, (rows, values)."""
    if mode_of(layer) is None:
        return array(layer.embeddings)
    return read_only(_asked(layer, np.arange(layer.input_dim, dtype=np.int32)))


def reversed_table_of(layer: Any) -> NDArray:
    """The table with which an embedding is reversed, (values, rows)."""
    if layer.tie_weights:
        return table_of(layer).T
    if mode_of(layer) is None:
        return array(layer.reverse_embeddings)
    return read_only(_asked(layer, np.eye(layer.output_dim, dtype=np.float32), reverse=True))


_AFTER = ("bias", "activation", "logit_soft_cap")


def _asked(layer: Any, inputs: NDArray, **arguments: Any) -> NDArray:
    """The result of a quantised layer's own call, inputs as they are, without what follows."""
    if (mode := mode_of(layer)) not in MODES:
        raise UnsupportedOp(
            f"its weights are quantized ({mode})", advise("quantized weights", mode=mode)
        )
    with ExitStack() as stack:
        for name in _AFTER:
            if hasattr(layer, name):
                stack.enter_context(_with(layer, name, None))
        stack.enter_context(inputs_as_they_are(layer))
        given = require("keras").ops.convert_to_tensor(inputs)
        try:
            return array(layer(given, **arguments))
        except Exception as error:  # whatever weights in another form make Keras raise
            reason = f"its own call on its quantized weights ({mode}) raises {type(error).__name__}"
            raise UnsupportedOp(reason, advise("quantized weights", mode=mode)) from error


def note_inputs(builder: GraphBuilder, layer: Any, source: str) -> None:
    """Note what a layer of this name does to its inputs before it multiplies them: left out."""
    mode, quantizer = mode_of(layer), getattr(layer, "inputs_quantizer", None)
    text = ""
    if mode == "float8":
        most = FLOAT8 * float(array(layer.inputs_scale))
        text = f"the model rounds its inputs to float8, and bounds them to {most:g}"
    elif mode in ("int8", "int4") and quantizer is not None and not _in_blocks(layer):
        levels = quantizer.value_range[1]
        text = f"the model rounds the inputs of every sample to {levels} levels of either sign"
    if text:
        note = SourceNote(source, f"input quantisation left out: {text}; here they are not rounded")
        builder.notes.append(note)


@contextmanager
def inputs_as_they_are(model: Any) -> Iterator[None]:
    """A context in which the layers of a model do not round their inputs, as the graph does not."""
    with ExitStack() as stack:
        for layer in model._flatten_layers():
            if mode_of(layer) == "float8":
                stack.enter_context(_with(layer, "_float8_call", _plain_call(layer)))
            elif mode_of(layer) is not None and getattr(layer, "inputs_quantizer", None):
                stack.enter_context(_with(layer, "inputs_quantizer", None))
        yield


@contextmanager
def _with(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An object with another attribute, past what its class does when one is set."""
    own = vars(owner)
    missing = object()
    before = own.get(name, missing)
    own[name] = value
    try:
        yield
    finally:
        if before is missing:
            del own[name]
        else:
            own[name] = before


def _plain_call(layer: Any) -> Callable[..., Any]:
    """The call of a layer in float8 with its inputs as they are: kernel and bias are rounded."""

    def call(inputs: Any, training: Any = None) -> Any:
        ops, dtype = require("keras").ops, layer.compute_dtype
        scale = ops.convert_to_tensor(layer.kernel_scale)
        bounded = ops.clip(ops.divide(layer._kernel, scale), -FLOAT8, FLOAT8)
        kernel = ops.multiply(ops.cast(ops.cast(bounded, "float8_e4m3fn"), dtype), scale)
        equation = getattr(layer, "equation", None)
        made = ops.einsum(equation, inputs, kernel) if equation else ops.matmul(inputs, kernel)
        if layer.bias is not None:
            rounded = ops.cast(layer.bias, "bfloat16") if dtype == "float32" else layer.bias
            made = ops.add(made, ops.cast(rounded, dtype))
        return made if layer.activation is None else layer.activation(made)

    return call


def _in_blocks(layer: Any) -> bool:
    """Whether weights of four bits have scales and zeros for blocks of them."""
    size = getattr(layer, "_int4_block_size", None)
    return size is not None and size != -1


def parameters(model: Any) -> dict[str, NDArray]:
    """All that hold real numbers, as float32 or float64.

    Raises `ReadError` where two have one path.
    """
    keras, found = require("keras"), dict[str, NDArray]()
    for weight in _real_weights(model):
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
        for weight in _real_weights(model)
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
    for weight, (name, value) in zip(_real_weights(made), values.items(), strict=True):
        assert weight.shape == value.shape, name  # the order is that of `parameters`
        weight.assign(value)
    return made


def write(model: Any, values: Mapping[str, NDArray]) -> Any:
    """Put values into a model, and return it."""
    by_path = {weight.path: weight for weight in _real_weights(model)}
    for name, value in values.items():
        by_path[name].assign(value)
    return model


def _real_weights(model: Any) -> list[Any]:
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
