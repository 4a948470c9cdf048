"""The operators of quantised models, written on the real numbers that their integers stand for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from spikewright._base.optional import require
from spikewright.frontends.onnx.dequantising import (
    HANDLERS,
    PLAIN,
    Dequantiser,
    Handler,
    Unquantised,
)
from spikewright.frontends.onnx.parameters import dequantize

_MICROSOFT = "com.microsoft"
_BY_BATCH = (
    "the file rounds {} to 256 values between the least and the largest of each batch; here it "
    "keeps its value"
)


class _Operator(NamedTuple):
    """An operator on integers: its ordinary form, and the places of its inputs.

    Each of the `operands`, and the result's scale at `result`, is followed by its own
    scale and zero, or zero. `axes` are those along which constant operands have scales, `bias` is
    where integers of the product of the operands' scales are added.
    """

    form: str
    operands: tuple[int, ...]
    result: int
    axes: tuple[int, ...] = (1, 1)
    bias: int = 0
    others: tuple[int, ...] = ()


_OPERATORS = {
    ("", "QLinearConv"): _Operator("Conv", (0, 3), 6, (1, 0), bias=8),
    ("", "QLinearMatMul"): _Operator("MatMul", (0, 3), 6, (-2, -1)),
    (_MICROSOFT, "QGemm"): _Operator("Gemm", (0, 3), 7, (0, 1), bias=6),
    (_MICROSOFT, "QLinearAdd"): _Operator("Add", (0, 3), 6),
    (_MICROSOFT, "QLinearMul"): _Operator("Mul", (0, 3), 6),
    (_MICROSOFT, "QLinearSigmoid"): _Operator("Sigmoid", (0,), 3),
    (_MICROSOFT, "QLinearLeakyRelu"): _Operator("LeakyRelu", (0,), 3),
    (_MICROSOFT, "QLinearSoftmax"): _Operator("Softmax", (0,), 3),
    (_MICROSOFT, "QLinearAveragePool"): _Operator("AveragePool", (0,), 3),
    (_MICROSOFT, "QLinearGlobalAveragePool"): _Operator("GlobalAveragePool", (0,), 3),
    (_MICROSOFT, "QLinearConcat"): _Operator("Concat", (), 0),
    (_MICROSOFT, "QLinearWhere"): _Operator("Where", (1, 4), 7, others=(0,)),
}


def _of(form: _Operator) -> Handler:
    """The handler of an operator of the table."""

    def handle(model: Dequantiser, node: Any) -> None:
        given, output = _inputs(node), node.output[0]
        settings = _settings(model, node)
        operands = form.operands or tuple(range(2, len(node.input), 3))
        axes = [0 if settings.get("transB") and i else axis for i, axis in enumerate(form.axes)]
        reals = [given[k] for k in form.others]
        for k, axis in zip(operands, [*axes, *[1] * len(operands)], strict=False):
            reals.append(model.real(given[k], given[k + 1], given[k + 2], axis))
        if form.bias and given[form.bias]:
            reals.append(_bias(model, given, form, settings.get("alpha", 1.0)))
        if not given[form.result]:
            model.emit(form.form, reals, output, **settings)
            return
        inner = model.fresh(f"{output}:value")
        value = model.emit(form.form, reals, inner, part="value", **settings)
        model.rounded(value, output, given[form.result], given[form.result + 1])

    return handle


def _inputs(node: Any) -> list[str]:
    """The names of a node's inputs, empty where they are left out or there are no more."""
    return [*node.input, *[""] * 12]


def _settings(model: Dequantiser, node: Any) -> dict[str, Any]:
    """The attributes of the ordinary form; raises `Unquantised` where it has not the same."""
    get = require("onnx").helper.get_attribute_value
    settings = {attribute.name: get(attribute) for attribute in node.attribute}
    by_axes = int(settings.pop("opset", model.opset)) >= 13  # the meaning of its axis
    if settings.pop("channels_last", 0) or by_axes != (model.opset >= 13):
        raise Unquantised
    return settings


def _bias(model: Dequantiser, given: list[str], form: _Operator, alpha: float) -> str:
    """A bias of integers, which stand for multiples of the product of both operands' scales."""
    first, second = (model.array(given[k + 1]) for k in form.operands)
    value = model.array(given[form.bias])
    scale = (first * second * np.float32(alpha)).astype(np.float32)
    return model.constant(dequantize(value, scale, axis=-1))


HANDLERS.update({key: _of(form) for key, form in _OPERATORS.items()})


def _handles(*operators: str, domain: str = "") -> Any:
    def decorate(handler: Handler) -> Handler:
        HANDLERS.update({(domain, operator): handler for operator in operators})
        return handler

    return decorate


@_handles("QuantizeLinear")
@_handles("QuantizeLinear", domain=_MICROSOFT)
def _quantize_linear(model: Dequantiser, node: Any) -> None:
    x, scale, zero = _inputs(node)[:3]
    settings = _settings(model, node)
    model.rounded(x, node.output[0], scale, zero, output_dtype=settings.get("output_dtype"))


@_handles("DequantizeLinear")
@_handles("DequantizeLinear", domain=_MICROSOFT)
def _dequantize_linear(model: Dequantiser, node: Any) -> None:
    x, scale, zero = _inputs(node)[:3]
    if not model.is_whole(x):
        raise Unquantised
    model.emit("Identity", [model.recoded(x, code := model.code(scale, zero))], node.output[0])
    model.grids[node.output[0]] = code


@_handles("Cast")
def _cast(model: Dequantiser, node: Any) -> None:
    """Cast: integers as real numbers stand for themselves, the plain code."""
    x, output = node.input[0], node.output[0]
    if x not in model.codes:
        model.keep(node)
        return
    types = require("onnx").TensorProto
    model.emit("Identity", [model.recoded(x, PLAIN)], output)
    if node.attribute[0].i not in (types.FLOAT, types.DOUBLE):
        model.codes[output] = PLAIN


@_handles("Pad")
def _pad(model: Dequantiser, node: Any) -> None:
    """Pad: the values around are integers too, 0 unless another is given."""
    x, counts, value, axes = _inputs(node)[:4]
    code = model.codes.get(x)
    if code is None:
        model.keep(node)
        return
    if not counts:
        raise Unquantised
    integer = float(model.array(value).reshape(())) if value else 0.0
    around = model.constant(np.float32((integer - code.zero) * code.scale))
    inputs = [x, counts, around, axes] if axes else [x, counts, around]
    model.emit("Pad", inputs, node.output[0], **_settings(model, node))
    model.codes[node.output[0]] = model.grids[node.output[0]] = code


@_handles("Resize")
def _resize(model: Dequantiser, node: Any) -> None:
    """Values are chosen, or lie between others."""
    mode = _settings(model, node).get("mode", b"nearest")
    code = model.codes.get(node.input[0])
    model.keep(node)
    if code is None:
        return
    if mode == b"cubic":  # values beyond the limits would be cut off
        raise Unquantised
    if mode == b"linear":
        model.note(f"the file rounds it to multiples of {code.scale:.3g}; here it is not rounded")
    model.codes[node.output[0]] = code


@_handles("DynamicQuantizeLinear")
def _dynamic(model: Dequantiser, node: Any) -> None:
    """Whatever its scale and zero, integers of scale 1 and zero 0 stand for the same numbers."""
    y, scale, zero = node.output
    model.emit("Identity", [node.input[0]], y)
    model.codes[y] = PLAIN
    model.constant(np.float32(1), scale)
    model.constant(np.uint8(0), zero)
    model.note(_BY_BATCH.format("it"))


@_handles("MatMulInteger", "ConvInteger")
def _integer_product(model: Dequantiser, node: Any) -> None:
    a, b, a_zero, b_zero = _inputs(node)[:4]
    one = model.constant(np.float32(1))
    reals = [model.real(a, one, a_zero), model.real(b, one, b_zero, -1)]
    form = node.op_type.removesuffix("Integer")
    model.emit(form, reals, node.output[0], **_settings(model, node))
    model.codes[node.output[0]] = PLAIN


@_handles("MatMulIntegerToFloat", domain=_MICROSOFT)
def _product_to_real(model: Dequantiser, node: Any) -> None:
    a, b, a_scale, b_scale, a_zero, b_zero, bias = _inputs(node)[:7]
    reals = [model.real(a, a_scale, a_zero), model.real(b, b_scale, b_zero, -1)]
    _biased_product(model, reals, bias, node.output[0])


@_handles("DynamicQuantizeMatMul", domain=_MICROSOFT)
def _dynamic_product(model: Dequantiser, node: Any) -> None:
    a, b, scale, zero, bias = _inputs(node)[:5]
    _biased_product(model, [a, model.real(b, scale, zero, -1)], bias, node.output[0])
    model.note(_BY_BATCH.format("what it reads"))


def _biased_product(model: Dequantiser, factors: list[str], bias: str, output: str) -> None:
    if not bias:
        model.emit("MatMul", factors, output)
        return
    product = model.emit("MatMul", factors, model.fresh(f"{output}:product"), part="product")
    model.emit("Add", [product, bias], output)


@_handles("DynamicQuantizeLSTM", domain=_MICROSOFT)
def _dynamic_lstm(model: Dequantiser, node: Any) -> None:
    """Its weights lie the other way round than those of an LSTM."""
    given = _inputs(node)
    weights = [_gates(model, given[k], given[s], given[s + 1]) for k, s in ((1, 8), (2, 10))]
    inputs = [given[0], *weights, *given[3:8]]
    model.emit("LSTM", inputs, *node.output, **_settings(model, node))
    model.note(_BY_BATCH.format("what its products read"))


def _gates(model: Dequantiser, weight: str, scale: str, zero: str) -> str:
    """`(directions, gates, inputs)` of `(directions, inputs, gates)`."""
    whole, factor = model.array(weight).astype(np.float32), model.array(scale)
    shift = model.array(zero).astype(np.float32) if zero else np.zeros(len(whole), np.float32)
    factor, shift = (value.reshape(len(whole), 1, -1) for value in (factor, shift))
    return model.constant(((whole - shift) * factor).transpose(0, 2, 1))
