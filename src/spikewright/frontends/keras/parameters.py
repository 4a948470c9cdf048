"""The weights of Keras models: by their paths, and as the real numbers of quantised layers.

A mode of `model.quantize` decides how a layer holds its weights. Each reads, in float64, what the
layer's own call multiplies with. What some modes do to their inputs as well is left out, and noted:
a rounding of every sample to integers or to float8.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import frozen as read_only
from spikewright._base.optional import require
from spikewright.advice import advise
from spikewright.errors import ReadError
from spikewright.frontends.keras.registry import Unreadable, array, plain_array
from spikewright.frontends.preserving import preserved
from spikewright.frontends.source import GraphBuilder, SourceNote

FLOAT8 = 448.0
"""The largest number of `float8_e4m3fn`."""


class QuantizedWeights(NamedTuple):
    """The place of an array of weights in a layer: by the names of its parts, in Keras 3.15.

    `packed` is the axis along which two integers of four bits share a byte, and `columns` whether
    that axis has a scale for each place (else each row has one).
    """

    name: str
    scale: str
    zero: str
    packed: int
    columns: bool


KERNEL = QuantizedWeights("_kernel", "kernel_scale", "kernel_zero", -1, True)
TABLE = QuantizedWeights("_embeddings", "embeddings_scale", "embeddings_zero", -1, False)
REVERSED = QuantizedWeights(
    "reverse_embeddings", "reverse_embeddings_scale", "reverse_embeddings_zero", 0, True
)


def mode_of(layer: Any) -> str | None:
    """The quantisation mode of a layer, or None."""
    mode = getattr(layer, "quantization_mode", None)
    held = getattr(layer, "_kernel", None)
    if mode is None and held is not None and "int" in str(held.dtype):  # before Keras 3.5
        return str(held.dtype)
    return mode


def kernel_of(layer: Any) -> NDArray:
    """The kernel that a layer computes with; raises `Unreadable` for an unknown form of it."""
    if mode_of(layer) is None:
        return array(layer.kernel)
    return read_only(_weights(layer, KERNEL, _shape_of(layer)))


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
    return read_only(_weights(layer, TABLE, (layer.input_dim, layer.output_dim)))


def reversed_table_of(layer: Any) -> NDArray:
    """The table with which an embedding is reversed, (values, rows)."""
    if layer.tie_weights:
        return table_of(layer).T
    if mode_of(layer) is None:
        return array(layer.reverse_embeddings)
    return read_only(_weights(layer, REVERSED, (layer.output_dim, layer.input_dim)))


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


def _shape_of(layer: Any) -> tuple[int, ...]:
    """The shape of a layer's kernel before it was packed."""
    for name in ("original_kernel_shape", "kernel_shape"):
        if getattr(layer, name, None) is not None:
            return tuple(int(n) for n in getattr(layer, name))
    rows = getattr(layer, "_orig_input_dim", None)
    if rows is not None:
        return (int(rows), int(layer._orig_output_dim))
    return tuple(layer._kernel.shape)


def _weights(layer: Any, of: QuantizedWeights, shape: tuple[int, ...]) -> NDArray:
    """The weights of a layer in the mode that it has, of this shape."""
    mode = mode_of(layer)
    read = MODES.get(mode or "")
    if read is None:
        raise Unreadable(f"its weights are quantized ({mode})", _before(mode))
    try:
        found = read(layer, of, shape)
    except AttributeError as error:
        raise Unreadable(
            f"its weights are quantized ({mode}) in another form than that of Keras 3.15: {error}",
            _before(mode),
        ) from None
    return np.asarray(found, np.float64) + _adapted(layer, of)


def _before(mode: str | None) -> str:
    return advise("quantized weights", mode=mode)


def _adapted(layer: Any, of: QuantizedWeights) -> NDArray | float:
    """The part that low-rank adaptation (LoRA) adds to the weights."""
    if not getattr(layer, "lora_enabled", False) or of is REVERSED:
        return 0.0
    parts = "lora_embeddings" if of is TABLE else "lora_kernel"
    first, second = (array(getattr(layer, f"{parts}_{place}")) for place in "ab")
    return layer.lora_alpha / layer.lora_rank * (first.astype(np.float64) @ second)


def _int8(layer: Any, of: QuantizedWeights, shape: tuple[int, ...]) -> NDArray:
    """`q / scale`, with one scale for each place of the output."""
    whole, scale = plain_array(getattr(layer, of.name)), array(getattr(layer, of.scale))
    if whole.shape != shape:
        raise AttributeError(f"a kernel of shape {whole.shape}, not {shape}")
    if hasattr(layer, "_adjust_scale_for_dequant"):  # of an equation: its axes are the output's
        scale = array(layer._adjust_scale_for_dequant(getattr(layer, of.scale)))
    elif not of.columns:
        scale = scale[:, None]
    return whole.astype(np.float64) / scale


def _int4(layer: Any, of: QuantizedWeights, shape: tuple[int, ...]) -> NDArray:
    """`q / scale`, or `scale (q - zero)` in blocks, whose places `g_idx` tells."""
    flat = (shape[0], shape[1])
    if hasattr(layer, "_int4_rows"):  # of an equation: its axes are put together
        flat = (int(layer._int4_rows), int(layer._int4_unpacked_column_size))
    whole = _unpacked(plain_array(getattr(layer, of.name)), of.packed, flat)
    scale = array(getattr(layer, of.scale)).astype(np.float64)
    if not _in_blocks(layer):
        return (whole / (scale if of.columns else scale[:, None])).reshape(shape)
    axis = 0 if of.columns else 1
    places, zero = plain_array(layer.g_idx).astype(int), array(getattr(layer, of.zero))
    made = np.take(scale, places, axis) * (whole - np.take(zero, places, axis))
    return made.reshape(shape)


def _in_blocks(layer: Any) -> bool:
    """Whether weights of four bits have scales and zeros for blocks of them."""
    size = getattr(layer, "_int4_block_size", None)
    return size is not None and size != -1


def _unpacked(packed: NDArray, axis: int, shape: tuple[int, int], signed: bool = True) -> NDArray:
    """Integers of four bits of which two share a byte along an axis, the low half first."""
    first = np.moveaxis(packed, axis, 0)
    number, others = shape[axis], np.delete(shape, axis)
    if first.shape != ((number + 1) // 2, *others):
        raise AttributeError(f"a kernel of shape {packed.shape} for one of {shape}")
    whole = np.stack([first & 0x0F, (first >> 4) & 0x0F], axis=1).reshape(-1, *others)[:number]
    signs = 16.0 * (whole >= 8) if signed else 0.0
    return np.moveaxis(whole - signs, 0, axis)


def _float8(layer: Any, of: QuantizedWeights, shape: tuple[int, ...]) -> NDArray:
    """Rounded to float8 in units of a scale, and bounded to what that holds."""
    ops = require("keras").ops
    scale = float(array(getattr(layer, of.scale)))
    kernel = np.clip(array(getattr(layer, of.name)) / np.float32(scale), -FLOAT8, FLOAT8)
    rounded = ops.cast(ops.cast(ops.convert_to_tensor(kernel), "float8_e4m3fn"), "float32")
    return array(rounded) * np.float64(scale)


def _grouped(layer: Any, of: QuantizedWeights, shape: tuple[int, ...]) -> NDArray:
    """GPTQ and AWQ: `scale (q - zero)` in groups, after calibration; before it the weights."""
    mode = mode_of(layer)
    if not getattr(layer, f"is_{mode}_calibrated"):
        return array(layer._kernel)
    scale, zero = array(layer.kernel_scale), array(layer.kernel_zero)
    places = plain_array(layer.g_idx).astype(int)
    columns, rows = scale.shape[0], len(places)
    held = plain_array(layer.quantized_kernel)
    in_halves = held.shape != (columns, rows)
    whole = _unpacked(held, 0, (columns, rows), signed=False) if in_halves else held
    made = np.take(scale, places, 1) * (whole.astype(np.float64) - np.take(zero, places, 1))
    if mode == "awq":
        made = made / array(layer.awq_scales)
    return made.T.reshape(shape)


_Mode = Callable[[Any, QuantizedWeights, tuple[int, ...]], NDArray]
MODES: Mapping[str, _Mode] = MappingProxyType(
    {"int8": _int8, "int4": _int4, "float8": _float8, "gptq": _grouped, "awq": _grouped}
)
"""Readers of weights, by the mode of quantisation."""


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
