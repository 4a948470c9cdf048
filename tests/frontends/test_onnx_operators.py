"""Every standard operator with a reader computes what ONNX says it computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_equations import conv_transpose, local_response
from onnx_helpers import NEWEST, agrees, close, random, single

from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.onnx import READERS, read
from spikewright.graph import evaluate


def ints(*values: int) -> np.ndarray:
    """An int64 vector."""
    return np.array(values, np.int64)


def floats(*values: float) -> np.ndarray:
    """A float32 vector."""
    return np.array(values, np.float32)


def number(value: float) -> np.ndarray:
    """A float32 scalar."""
    return np.array(value, np.float32)


KERNEL, BIAS = random(4, 3, 3, 3), random(4)
STATISTICS = [random(3), random(3, seed=1), random(3, seed=2), np.abs(random(3, seed=3)) + 0.1]
X1, X2, X3 = (3, 9), (3, 7, 6), (2, 5, 4, 6)

DEPARTS = {"independent": False}
"""Where ONNX's evaluator departs from the standard; onnxruntime computes these alone.

With `"runs": False` onnxruntime 1.32 does; with an equation of the `"standard"`, both do.
"""

Case = tuple[str, dict[str, Any]]

AFFINE: list[Case] = [
    ("Conv", {"operands": [KERNEL]}),
    ("Conv", {"operands": [KERNEL, BIAS], "kernel_shape": [3, 3]}),
    ("Conv", {"operands": [KERNEL, BIAS], "pads": [1, 0, 2, 1], "strides": [2, 1]}),
    ("Conv", {"operands": [KERNEL], "pads": [2, 2, 2, 2], "dilations": [2, 1]}),
    ("Conv", {"operands": [KERNEL], "auto_pad": "VALID", "strides": [2, 2]}),
    *(
        ("Conv", {"shape": X2, "operands": [random(4, 3, 2, 4)], "auto_pad": a, "strides": [2, 3]})
        for a in ("SAME_UPPER", "SAME_LOWER")
    ),
    ("Conv", {"operands": [random(4, 3, 1, 1)], "auto_pad": "SAME_UPPER", "strides": [3, 3]}),
    ("Conv", {"operands": [KERNEL], "auto_pad": "SAME_LOWER", "dilations": [2, 2]}),
    ("Conv", {"shape": (4, 6, 6), "operands": [random(6, 2, 3, 3)], "group": 2}),
    ("Conv", {"operands": [random(6, 1, 3, 3), random(6)], "group": 3}),
    ("Conv", {"shape": X1, "operands": [random(4, 3, 3)], "pads": [0, 2], "strides": [2]}),
    ("Conv", {"shape": X3, "operands": [random(4, 2, 3, 2, 3)], "pads": [1, 0, 1, 0, 1, 1]}),
    *(
        ("Conv", {"operands": [KERNEL, BIAS], "pads": [1, 1, 1, 1], "opset": o})
        for o in (9, 11, 13, NEWEST)
    ),
    ("Gemm", {"shape": (5,), "operands": [random(5, 4), random(4)]}),
    ("Gemm", {"shape": (5,), "operands": [random(5, 4)], "opset": 11}),
    ("Gemm", {"shape": (5,), "operands": [random(5, 4), random(4)], "opset": 9}),
    ("Gemm", {"shape": (5,), "operands": [random(4, 5), random(1, 4)], "transB": 1}),
    (
        "Gemm",
        {"shape": (5,), "operands": [random(5, 4), random(4)], "alpha": 0.5, "beta": 2.0},
    ),
    ("Gemm", {"shape": (5,), "operands": [random(5, 4), random(4)], "beta": 0.0}),
    ("Gemm", {"shape": (5,), "operands": [random(5, 4), number(0.7)], "opset": NEWEST}),
    ("MatMul", {"shape": (5,), "operands": [random(5, 4)]}),
    ("MatMul", {"shape": (2, 3, 5), "operands": [random(5, 4)], "opset": 9}),
    ("MatMul", {"shape": (3, 5), "operands": [random(1, 5, 4)], "opset": NEWEST}),
    ("MatMul", {"shape": (3, 5), "operands": [random(5)]}),
    ("MatMul", {"shape": (5,), "operands": [random(5)]}),
    ("MatMul", {"shape": (5, 3), "before": [random(4, 5)]}),
    ("BatchNormalization", {"operands": STATISTICS}),
    ("BatchNormalization", {"operands": STATISTICS, "opset": 9, "epsilon": 0.01, **DEPARTS}),
    ("BatchNormalization", {"operands": STATISTICS, "opset": 14, "momentum": 0.5}),
    ("BatchNormalization", {"operands": STATISTICS, "shape": (3,), "opset": NEWEST}),
]

ACTIVATION: list[Case] = [
    *((op, {"opset": o}) for op in ("Relu", "Sigmoid", "Tanh", "Softplus") for o in (9, NEWEST)),
    ("LeakyRelu", {}),
    ("LeakyRelu", {"alpha": 0.3, "opset": 9}),
    ("LeakyRelu", {"alpha": -0.2, "opset": NEWEST}),
    ("Clip", {"operands": [number(0.0), number(6.0)]}),
    ("Clip", {"operands": [number(0.0)]}),
    ("Clip", {"operands": [None, number(0.5)]}),
    ("Clip", {"operands": [number(-0.5)], "opset": NEWEST}),
    ("Clip", {"operands": [number(-0.5), number(0.7)]}),
    ("Clip", {"operands": [number(-3.0), number(3.0)], "opset": 11}),
    ("Clip", {"operands": [number(0.0), number(1.0)]}),
    ("Clip", {}),
    ("Clip", {"opset": 9, "min": 0.0, "max": 6.0}),
    ("Clip", {"opset": 9, "min": 0.0}),
    ("Clip", {"opset": 9, "min": -0.2, "max": 0.9}),
    ("Clip", {"opset": 9}),
    ("Max", {"operands": [number(0.0)]}),
    ("Max", {"before": [floats(-0.3)], "opset": 9}),
    ("Max", {}),
    ("Min", {"operands": [number(0.4)], "opset": NEWEST}),
    ("Min", {"operands": [number(0.4), floats(0.4)]}),
    ("Softmax", {"shape": (5,)}),
    ("Softmax", {"shape": (5,), "opset": 9}),
    ("Softmax", {"shape": (5,), "opset": NEWEST, "axis": 1}),
    ("Softmax", {"axis": 1}),
    ("Softmax", {"axis": -2, "opset": 13}),
    ("Softmax", {"axis": 3, "opset": 11}),
    ("Softmax", {"axis": -1, "opset": 12}),
]

POOLING: list[Case] = [
    *(
        (op, {"shape": X2, "kernel_shape": [3, 2], "opset": o, **options})
        for op in ("MaxPool", "AveragePool")
        for o, options in (
            (9, {}),
            (10, {"strides": [2, 2]}),
            (11, {"strides": [2, 3], "pads": [1, 0, 2, 1]}),
            (12, {"strides": [2, 2], "ceil_mode": 1}),
            (13, {"auto_pad": "SAME_UPPER"}),
            (13, {"auto_pad": "VALID", "strides": [2, 2]}),
            (NEWEST, {"strides": [3, 1], "pads": [0, 1, 0, 1]}),
        )
    ),
    *(
        (op, {"shape": shape, "kernel_shape": [2] * rank, "strides": [2] * rank})
        for op in ("MaxPool", "AveragePool")
        for shape, rank in ((X1, 1), (X3, 3))
    ),
    ("MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 3]}),
    ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2], "storage_order": 1, "outputs": 1}),
    (
        "AveragePool",
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2], "count_include_pad": 1},
    ),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 0}),
    (
        "AveragePool",
        {"kernel_shape": [3, 3], "auto_pad": "SAME_LOWER", "count_include_pad": 1, "opset": 19},
    ),
    ("AveragePool", {"kernel_shape": [2, 3], "dilations": [2, 2], "opset": 19}),
    (
        "AveragePool",
        {
            "kernel_shape": [2, 2], "dilations": [2, 2], "opset": NEWEST,
            "pads": [1, 1, 1, 1], "count_include_pad": 1,
        },
    ),
    *(
        (op, {"shape": shape, "opset": o, **extra})
        for op, extra in (("GlobalAveragePool", {}), ("GlobalMaxPool", DEPARTS))
        for shape, o in ((X1, 9), (X2, 18), (X3, NEWEST))
    ),
    *((op, {"axes": [2, 3], "opset": 11}) for op in ("ReduceMean", "ReduceMax")),
    *((op, {"axes": [-1], "keepdims": 0, "opset": 9}) for op in ("ReduceMean", "ReduceMax")),
    *((op, {"operands": [ints(1, -1)], "opset": NEWEST}) for op in ("ReduceMean", "ReduceMax")),
    *((op, {"operands": [ints(3)], "keepdims": 0}) for op in ("ReduceMean", "ReduceMax")),
    ("ReduceMean", {"noop_with_empty_axes": 1}),
]  # fmt: skip

ARITHMETIC: list[Case] = [
    *(
        (op, {"operands": [constant], "opset": o})
        for op in ("Add", "Sub", "Mul", "Div")
        for constant, o in (
            (number(0.7), 9),
            (random(6), 13),
            (random(3, 1, 1), 14),
            (random(1, 3, 6, 6), NEWEST),
        )
    ),
    *((op, {"before": [random(3, 1, 1)]}) for op in ("Add", "Sub", "Mul")),
    *((op, {"shape": (3, 1, 6), "operands": [random(1, 5, 6)]}) for op in ("Add", "Sub", "Mul")),
    ("Sum", {"opset": 9}),
    ("Expand", {"shape": (3, 1, 5), "operands": [ints(1, 1, 4, 1)]}),
    ("Expand", {"shape": (3, 1, 5), "operands": [ints(4, 5)], "opset": 9}),
    ("Expand", {"shape": (1, 2, 1), "operands": [ints(3, 3, 2, 6)], "batch": 3}),
    ("Sum", {"operands": [random(3, 6, 6), random(6)]}),
    ("Sum", {"operands": [random(6)], "before": [random(3, 1, 6)], "opset": NEWEST}),
]

SHAPE: list[Case] = [
    ("Reshape", {"operands": [ints(0, -1)]}),
    ("Reshape", {"operands": [ints(-1, 108)], "opset": 9}),
    ("Reshape", {"operands": [ints(-1, 9, 3, 4)], "opset": 13}),
    ("Reshape", {"operands": [ints(0, 0, 36)]}),
    ("Reshape", {"operands": [ints(-1, 108)], "allowzero": 1, "opset": NEWEST}),
    ("Flatten", {}),
    ("Flatten", {"axis": 1, "opset": 9}),
    ("Flatten", {"axis": -3, "opset": 13}),
    ("Flatten", {"axis": 2, "shape": (1, 4, 5), "opset": NEWEST}),
    ("Squeeze", {"shape": (1, 4, 1), "axes": [1, 3], "opset": 9}),
    ("Squeeze", {"shape": (1, 4, 1), "axes": [-1], "opset": 11}),
    ("Squeeze", {"shape": (1, 4, 1), "operands": [ints(1, -1)], "opset": 13}),
    ("Squeeze", {"shape": (1, 4, 1), "operands": [ints(3)], "opset": NEWEST}),
    ("Squeeze", {"shape": (1, 4, 1), "batch": 3}),
    ("Unsqueeze", {"shape": (4,), "axes": [1, 3], "opset": 9}),
    ("Unsqueeze", {"shape": (4,), "axes": [-1], "opset": 11}),
    ("Unsqueeze", {"shape": (4,), "operands": [ints(-1, 1)], "opset": 13}),
    ("Unsqueeze", {"shape": (4,), "operands": [ints(2)], "opset": NEWEST}),
    ("Transpose", {"perm": [0, 2, 3, 1]}),
    ("Transpose", {"perm": [0, 3, 1, 2], "opset": 9}),
    ("Transpose", {"perm": [0, 1, 3, 2], "opset": NEWEST}),
    ("Concat", {"axis": 2, "opset": 9}),
    ("Concat", {"axis": -1}),
    *(("Identity", {"opset": o}) for o in (9, 14, NEWEST)),
    ("Dropout", {"opset": 9, "ratio": 0.4}),
    ("Dropout", {"operands": [number(0.4)], "opset": 12}),
    ("Dropout", {"operands": [number(0.4), np.array(False)], "opset": NEWEST}),
    *(("Cast", {"to": to, "opset": o}) for to in (1, 11) for o in (9, 13, NEWEST)),
]

SELECT: list[Case] = [
    ("Slice", {"starts": [1, 2], "ends": [3, 5], "axes": [1, 3], "opset": 9}),
    ("Slice", {"starts": [0, 0, -3], "ends": [2**31 - 1, 2, 2**31 - 1], "opset": 9}),
    ("Slice", {"operands": [ints(1), ints(-1), ints(2)], "opset": 10}),
    ("Slice", {"operands": [ints(-4), ints(2**63 - 1), ints(-1), ints(1)], "opset": 13}),
    ("Slice", {"operands": [ints(0), ints(9), ints(1)], "opset": NEWEST}),
    ("Split", {"axis": 1, "outputs": 3, "opset": 9}),
    ("Split", {"axis": 2, "outputs": 2, "opset": 9, "split": [1, 5]}),
    ("Split", {"axis": -1, "outputs": 3, "opset": 13, "operands": [ints(1, 2, 3)]}),
    ("Split", {"axis": -1, "outputs": 4, "num_outputs": 4, "shape": (3, 7)}),
    ("Split", {"axis": 2, "outputs": 2, "num_outputs": 2, "opset": NEWEST}),
    ("Pad", {"pads": [0, 0, 1, 2, 0, 0, 3, 4], "opset": 9}),
    ("Pad", {"pads": [0, 1, 0, 0, 0, 0, 0, 1], "opset": 10, "mode": "constant", "value": 0.0}),
    ("Pad", {"operands": [ints(0, 0, 1, 2, 0, 0, 3, 4)], "opset": 11}),
    ("Pad", {"operands": [ints(0, 0, 1, 2, 0, 0, 3, 4), number(0.0)], "opset": 13}),
    ("Pad", {"operands": [ints(1, 2, 3, 4), None, ints(-1, 1)]}),
    ("Pad", {"operands": [ints(0, 0, -1, 2, 0, 0, 1, -3)], "opset": NEWEST, **DEPARTS}),
    ("Pad", {"operands": [ints(0, 0, 0, 0, 0, 0, 0, 0)]}),
]

HALF = {"coordinate_transformation_mode": "half_pixel"}
FLOOR = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
RESIZE: list[Case] = [
    ("Upsample", {"operands": [floats(1, 1, 2, 3)], "opset": 9}),
    ("Upsample", {"operands": [floats(1, 1, 1, 1)], "opset": 9, "mode": "linear", **DEPARTS}),
    ("Resize", {"operands": [floats(1, 1, 2, 3)], "opset": 10, **DEPARTS}),
    ("Resize", {"operands": [floats(), floats(1, 1, 2, 3)], "opset": 11, **FLOOR}),
    ("Resize", {"operands": [None, floats(1, 2, 2, 3)], "opset": 13, **FLOOR}),
    ("Resize", {"operands": [None, floats(1, 1, 2, 5)], **HALF}),
    ("Resize", {"operands": [None, floats(1, 1, 4, 3)], "nearest_mode": "round_prefer_ceil"}),
    ("Resize", {"operands": [None, floats(2, 3)], "axes": [2, 3], "opset": NEWEST, **FLOOR}),
    ("Resize", {"operands": [None, None, ints(12, 18)], "axes": [2, 3], **FLOOR}),
    (
        "Resize",
        {"operands": [floats(), floats(), ints(3, 3, 12, 6)], "batch": 3, "opset": 11, **FLOOR},
    ),
]

PLAIN = (
    "Abs", "Erf", "Exp", "Sin", "Cos", "Atan", "Sinh", "Cosh", "Softsign", "Neg", "Elu", "Celu",
    "Selu",    "HardSigmoid", "ThresholdedRelu", "HardSwish", "Gelu", "Mish", "Swish", "Shrink",
)  # fmt: skip
SINCE = {
    "Celu": 12,
    "Sinh": 9,
    "Cosh": 9,
    "HardSwish": 14,
    "Gelu": 20,
    "Mish": 18,
    "Swish": 24,
    "Shrink": 9,
    "Erf": 9,
    "ThresholdedRelu": 10,
}
NONLINEAR: list[Case] = [
    *((op, {"opset": max(SINCE.get(op, 7), o)}) for op in PLAIN for o in (7, NEWEST)),
    *((op, {"opset": o, "positive": True}) for op in ("Log", "Sqrt") for o in (7, NEWEST)),
    ("Reciprocal", {"positive": True, "opset": 7}),
    ("Elu", {"alpha": 0.3}),
    ("Celu", {"alpha": 2.0}),
    ("Selu", {"alpha": 1.2, "gamma": 0.7}),
    ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    ("ThresholdedRelu", {"alpha": 0.3}),
    ("Swish", {"alpha": 1.702, "opset": 24}),
    ("Gelu", {"approximate": "tanh", "opset": 20}),
    ("Shrink", {"lambd": 0.3, "bias": 0.0}),
    ("Shrink", {"lambd": 0.3, "bias": 0.3}),
    ("PRelu", {"operands": [number(0.2)]}),
    ("PRelu", {"operands": [random(3, 1, 1)], "opset": 7}),
    ("PRelu", {"operands": [random(3, 6, 6)], "opset": 16}),
    *(("Pow", {"operands": [number(e)], "opset": 7}) for e in (1.0, 2.0, 3.0)),
    *(("Pow", {"operands": [number(e)], "positive": True}) for e in (0.5, -1.0, -0.5, 0.3)),
    ("Pow", {"operands": [np.array(2, np.int64)], "opset": 15}),
    ("Pow", {"before": [number(0.7)]}),
]

PRODUCTS: list[Case] = [
    *(
        ("ConvTranspose", {"shape": X2, "operands": [random(3, 4, 3, 2), random(4)], **options})
        for options in (
            {},
            {"opset": 7, "strides": [2, 3]},
            {"pads": [1, 0, 2, 1], "strides": [2, 2]},
            {"strides": [3, 2], "output_padding": [2, 1], "pads": [1, 1, 1, 1]},
            {"dilations": [2, 1], "strides": [1, 2]},
            {"auto_pad": "SAME_UPPER", "strides": [2, 3], "standard": conv_transpose},
            {"auto_pad": "SAME_LOWER", "strides": [2, 1]},
            {"auto_pad": "VALID"},
            {"output_shape": [14, 12], "strides": [2, 2], **DEPARTS},
            {
                "output_shape": [17, 12],
                "strides": [2, 2],
                "opset": NEWEST,
                "standard": conv_transpose,
            },
        )
    ),
    (
        "ConvTranspose",
        {"shape": (4, 5), "operands": [random(4, 3, 3), random(6)], "group": 2, **DEPARTS},
    ),
    ("ConvTranspose", {"shape": X3, "operands": [random(2, 3, 2, 1, 3)], "strides": [2, 1, 2]}),
    ("MatMul", {"shape": (2, 3, 5), "operands": [random(2, 5, 4)]}),
    ("MatMul", {"shape": (2, 5, 3), "before": [random(4, 5)]}),
    ("MatMul", {"shape": (2, 5, 3), "before": [random(2, 4, 5)]}),
    ("MatMul", {"shape": (2, 5, 3), "before": [random(5)]}),
    ("Einsum", {"shape": (4, 5), "equation": "nij->nji"}),
    ("Einsum", {"shape": (4, 5), "equation": "nij->nj"}),
    ("Einsum", {"shape": (4, 4), "equation": "nii->ni"}),
    (
        "Einsum",
        {
            "shape": (4, 5),
            "operands": [random(5, 3), random(4, seed=1), random(3, 2, seed=2)],
            "equation": "nij,jk,i,kl->nl",
        },
    ),
    ("Einsum", {"shape": (4, 5), "equation": "nij->jni"}),
    ("Einsum", {"shape": (4, 5), "operands": [random(5, 3)], "equation": "nij,jk->nik"}),
    ("Einsum", {"shape": (4, 5), "operands": [random(3, 4, 5)], "equation": "nij,kij->nk"}),
    ("Einsum", {"shape": (4, 5), "operands": [random(4, 3, 5)], "equation": "nij,ikj->nik"}),
    ("Einsum", {"shape": (4, 5), "operands": [random(5, 3)], "equation": "...j,jk"}),
    ("Einsum", {"shape": (4, 5), "before": [random(3, 4)], "equation": "ki,nij->nkj"}),
]

NORMALISATION: list[Case] = [
    ("InstanceNormalization", {"operands": [random(3), random(3, seed=1)], "opset": 7}),
    ("InstanceNormalization", {"operands": [random(3), random(3, seed=1)], "epsilon": 0.1}),
    (
        "GroupNormalization",
        {
            "shape": (4, 5, 3),
            "operands": [random(4), random(4, seed=1)],
            "num_groups": 2,
            "opset": 21,
        },
    ),
    ("LayerNormalization", {"operands": [random(6)]}),
    ("LayerNormalization", {"operands": [random(6, 6), random(6)], "axis": 2, "epsilon": 0.1}),
    ("LayerNormalization", {"operands": [random(3, 1, 6), random(6)], "axis": 1}),
    ("RMSNormalization", {"operands": [random(6)], "opset": 23}),
    ("RMSNormalization", {"operands": [random(3, 6, 6)], "axis": -3, "opset": NEWEST}),
    ("LpNormalization", {"opset": 7}),
    ("LpNormalization", {"axis": 1, "p": 1, **DEPARTS}),
    ("MeanVarianceNormalization", {"axes": [2, 3]}),
    ("LRN", {"shape": (5, 3, 2), "size": 3, "alpha": 0.4, "opset": 7, **DEPARTS}),
    ("LRN", {"shape": (5, 3, 2), "size": 4, "bias": 0.5, "beta": 0.9, "standard": local_response}),
    ("Softmax", {"opset": 11, **DEPARTS}),
    ("Softmax", {"opset": 7, "axis": 2, **DEPARTS}),
    ("LogSoftmax", {"axis": 1}),
    ("LogSoftmax", {"opset": 9, **DEPARTS}),
    ("LogSoftmax", {"opset": 9, "axis": 3, **DEPARTS}),
]

REDUCTION: list[Case] = [
    *(
        (
            op,
            {
                "operands": [ints(1, -1)] if o >= (13 if op == "ReduceSum" else 18) else (),
                "opset": o,
                "positive": op == "ReduceLogSum",
                **({} if o >= (13 if op == "ReduceSum" else 18) else {"axes": [2], "keepdims": 0}),
            },
        )
        for op in (
            "ReduceSum",
            "ReduceMin",
            "ReduceL1",
            "ReduceL2",
            "ReduceSumSquare",
            "ReduceLogSum",
            "ReduceLogSumExp",
        )
        for o in (7, 12, NEWEST)
    ),
    (
        "AveragePool",
        {"kernel_shape": [2, 2], "dilations": [2, 2], "pads": [1, 1, 1, 1], "opset": 19},
    ),
    (
        "AveragePool",
        {
            "kernel_shape": [2, 2],
            "dilations": [2, 2],
            "strides": [2, 2],
            "ceil_mode": 1,
            "opset": 19,
        },
    ),
    ("CumSum", {"operands": [np.array(2)]}),
    ("ReduceProd", {"operands": [ints(1)], "shape": (5, 3)}),
    ("ReduceProd", {"operands": [ints(-1, 1)], "shape": (3, 4), "keepdims": 0}),
    ("ReduceProd", {"axes": [1], "shape": (1, 3), "opset": 11}),
    ("Col2Im", {"shape": (8, 12), "operands": [ints(4, 5), ints(2, 2)]}),
    (
        "Col2Im",
        {
            "shape": (12, 9),
            "operands": [ints(6, 5), ints(2, 3)],
            "strides": [2, 2],
            "pads": [0, 1, 1, 1],
            "dilations": [2, 1],
        },
    ),
    ("CumSum", {"operands": [np.array(-1)], "exclusive": 1, "reverse": 1, "opset": 11}),
]

BROADCAST: list[Case] = [
    ("Mean", {"operands": [random(3, 6, 6), random(6)], "opset": 8}),
    ("Mean", {"opset": 7}),
    ("Max", {"operands": [random(6)]}),
    ("Max", {"operands": [random(6), number(0.0)], "opset": 8}),
    ("Min", {"operands": [random(3, 1, 1)]}),
    ("Min", {"operands": [number(1e12)]}),
    ("Clip", {"operands": [number(-1e9), number(0.3)]}),
    ("Div", {"before": [random(3, 1, 1)], "positive": True}),
    ("Add", {"operands": [random(2, 1, 3, 6, 6)]}),
    ("Expand", {"operands": [ints(2, 1, 1, 1, 1)]}),
    ("Tile", {"operands": [ints(1, 2, 1, 3)]}),
    ("Tile", {"operands": [ints(1, 1, 2, 1)], "opset": 7}),
    ("CastLike", {"operands": [number(0.0)], "opset": 15}),
    ("CastLike", {"operands": [np.array(0.0)], "opset": NEWEST}),
    ("Where", {"before": [random(3, 6, 6) > 0], "operands": [random(6)]}),
    ("Where", {"before": [random(6, 6) > 0, number(-2.0)], "opset": 9}),
]

MOVED: list[Case] = [
    ("Transpose", {"shape": (5, 4)}),
    ("Transpose", {"shape": (5, 4), "perm": [1, 0, 2]}),
    ("Reshape", {"shape": (3, 4), "operands": [ints(-1, 4)]}),
    ("Reshape", {"shape": (3, 4), "operands": [ints(1, -1, 12)]}),
    ("Flatten", {"axis": 2}),
    ("Flatten", {"axis": 0}),
    ("Unsqueeze", {"operands": [ints(0)]}),
    ("Squeeze", {"shape": (1, 3), "batch": 1}),
    ("DepthToSpace", {"shape": (8, 2, 3), "blocksize": 2, "opset": 7}),
    ("DepthToSpace", {"shape": (8, 2, 3), "blocksize": 2, "mode": "CRD"}),
    ("SpaceToDepth", {"shape": (2, 4, 6), "blocksize": 2}),
    ("Concat", {"axis": 1, "operands": [random(1, 2, 6, 6)], "batch": 1, **DEPARTS}),
    ("Slice", {"operands": [ints(0), ints(6), ints(2), ints(2)]}),
    ("Slice", {"operands": [ints(-1, 4), ints(-7, 0), ints(2, 3), ints(-1, -2)]}),
    ("Gather", {"operands": [np.array(1)], "axis": 1, "opset": 7}),
    ("Gather", {"operands": [ints(2, 0, -1)], "axis": -1}),
    ("Gather", {"operands": [np.array([[0, 1], [2, 2]])], "axis": 1, "opset": NEWEST}),
    ("Compress", {"operands": [np.array([True, False, True])], "axis": 1}),
    ("Trilu", {}),
    ("Trilu", {"operands": [np.array(-1)], "upper": 0}),
    *(
        ("Pad", {"operands": [ints(0, 0, 1, 2, 0, 1, 0, 2)], "mode": m, "opset": o})
        for m, o in (("reflect", 11), ("edge", 13), ("wrap", 19))
    ),
    ("Pad", {"pads": [0, 0, 1, 2, 0, 0, 3, 4], "opset": 7, "value": 0.5, **DEPARTS}),
    ("Pad", {"operands": [ints(0, 0, 1, 2, 0, 0, -1, 4), number(-0.5)], **DEPARTS}),
]

RESAMPLING: list[Case] = [
    *(
        ("Resize", {"operands": [None, floats(1, 1, *scales)], "mode": mode, "opset": 19,
                    "coordinate_transformation_mode": transform, **options})
        for scales in ((1.5, 0.6), (2.0, 3.0))
        for mode, transform, options in (
            ("nearest", "half_pixel", {"nearest_mode": "ceil"}),
            ("nearest", "align_corners", {"runs": scales == (2.0, 3.0)}),
            ("nearest", "asymmetric", {"nearest_mode": "round_prefer_ceil"}),
            ("linear", "half_pixel", {}),
            ("linear", "half_pixel_symmetric", {}),
            ("linear", "pytorch_half_pixel", {}),
            ("linear", "align_corners", {"runs": scales == (2.0, 3.0)}),
            ("linear", "asymmetric", {"exclude_outside": 1}),
            ("cubic", "half_pixel", {}),
            ("cubic", "align_corners", {"cubic_coeff_a": -0.5, "runs": scales == (2.0, 3.0)}),
            ("cubic", "asymmetric", {"exclude_outside": 1}),
            ("linear", "half_pixel", {"antialias": 1}),
            ("cubic", "half_pixel", {"antialias": 1}),
        )
    ),
    *(
        ("Resize", {"operands": [floats(*start, *end), None, ints(4, 5)], "axes": [2, 3],
                    "coordinate_transformation_mode": "tf_crop_and_resize", "mode": mode,
                    "extrapolation_value": value})
        for mode in ("nearest", "linear", "cubic")
        for start, end, value in (((0.15, 0.2), (0.8, 0.75), 0.0), ((0.2, -0.5), (1.4, 0.5), 10.0))
    ),
    *(
        ("Resize", {"operands": [None, None, ints(9, 9)], "axes": [2, 3], "mode": "linear",
                    "keep_aspect_ratio_policy": policy, "shape": (2, 6, 4)})
        for policy in ("not_larger", "not_smaller")
    ),
    ("Upsample", {"scales": [1.0, 1.0, 2.0, 1.5], "opset": 7, **DEPARTS}),
    ("Upsample", {"operands": [floats(1, 1, 2, 3)], "opset": 9, "mode": "linear", **DEPARTS}),
    ("Resize", {"operands": [floats(1, 1, 0.5, 2)], "opset": 10, "mode": "linear", **DEPARTS}),
]  # fmt: skip

CASES: list[Case] = [
    *AFFINE, *ACTIVATION, *POOLING, *ARITHMETIC, *SHAPE, *SELECT, *RESIZE, *NONLINEAR, *PRODUCTS,
    *NORMALISATION, *REDUCTION, *BROADCAST, *MOVED, *RESAMPLING,
]  # fmt: skip


@pytest.mark.parametrize(
    ("operator", "options"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)]
)
def test_operator_computes_what_onnx_says(operator: str, options: dict[str, Any]) -> None:
    """The graph equals the reference evaluator, onnxruntime, or else the standard's equation,
    within 1e-5 of the largest value.
    """
    options = dict(options)
    equation = options.pop("standard", None)
    independent = options.pop("independent", equation is None)
    runs = options.pop("runs", equation is None)
    transform = np.abs if options.pop("positive", False) else None
    source = agrees(single(operator, **options), None, 3, independent, transform, runs)
    if equation is not None:
        x = random(3, *source.graph.shapes["x"])
        expected = equation(x, *options.pop("operands", ()), **options)
        close(evaluate(source.graph, {"x": x})["y0"], expected)
    assert source.framework == "onnx"
    node = source.graph["it"]
    assert (node.source, node.source_kind) == ("it", operator)


def test_every_registered_operator_has_a_case() -> None:
    """A reader without a test would be a claim without evidence."""
    elsewhere = {
        "Attention",
        *("Equal", "OneHot"),
        *("Floor", "Ceil", "Round"),
        "Greater",
        "Less",
        "GreaterOrEqual",
        "LessOrEqual",
        "And",
        "Or",
        "Not",
        *("Xor", "SimplifiedLayerNormalization"),
        "RNN",
        "LSTM",
        "GRU",
        *("IsNaN", "IsInf", "GatherND", "GatherElements"),
        *("Scatter", "ScatterElements", "ScatterND"),
    }
    tested = {case[0] for case in CASES} | elsewhere
    assert {operator for domain, operator in READERS if not domain} == tested


@settings(max_examples=20, deadline=None)
@given(
    start=st.integers(-8, 8), end=st.integers(-8, 8), axis=st.sampled_from([1, 2, -1, -2]),
    early=st.booleans(),
)  # fmt: skip
def test_any_range_is_sliced_as_onnx_does(start: int, end: int, axis: int, early: bool) -> None:
    """A range with any ends is read as the standard means it, or refused where it is empty."""
    if early:
        proto = single("Slice", (5, 4), opset=9, starts=[start], ends=[end], axes=[axis])
    else:
        proto = single("Slice", (5, 4), [ints(start), ints(end), ints(axis)])
    if range(*slice(start, end).indices((3, 5, 4)[axis])):
        agrees(proto)
    else:
        with pytest.raises(UnsupportedLayerError, match="does not leave something"):
            read(proto)


@settings(max_examples=20, deadline=None)
@given(order=st.permutations([1, 2, 3]), data=st.data())
def test_any_permutation_and_reshape(order: list[int], data: st.DataObject) -> None:
    """Axes in any order, then any other shape of as many values."""
    shape = data.draw(st.permutations([2, 3, 4]))
    target = data.draw(st.sampled_from([[24], [2, 12], [3, 2, 4], [1, 8, 3], [4, 1, 6, 1]]))
    agrees(single("Transpose", tuple(shape), perm=[0, *order]))
    free = data.draw(st.integers(0, len(target)))
    full = [0, *target]
    full[free] = -1
    agrees(single("Reshape", tuple(shape), [ints(*full)]))


def test_same_padding_of_dilated_max_pool() -> None:
    """SAME counts the reach of a dilated window: 2 dilated by 3 reaches 4, so 3 are added.

    onnxruntime 1.32 adds as if it were not dilated.
    """
    options = {"kernel_shape": [2], "dilations": [3], "auto_pad": "SAME_UPPER", "opset": 11}
    source = agrees(single("MaxPool", (2, 7), **options), independent=False, runs=False)
    x = random(3, 2, 7, seed=5)
    padded = np.pad(x, [(0, 0), (0, 0), (1, 2)], constant_values=-np.inf)
    close(evaluate(source.graph, {"x": x})["y0"], np.maximum(padded[..., :-3], padded[..., 3:]))
