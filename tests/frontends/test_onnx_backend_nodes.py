"""ONNX's own node tests, for every operator that has a reader.

Most cases have no batch axis. So each is read as one sample: its inputs get an axis of one in
front, which a Squeeze takes away again in a file that fixes the batch to one. Where that is
refused, as the operator needs its batch on axis 0, axis 0 of the inputs is the batch. Weights,
bounds and shapes, which are inputs in a case, become constants.

A case computes what it says, in the graph and in `activations`; or it is listed here with the
reason, and is refused.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections import defaultdict
from collections.abc import Mapping
from fnmatch import fnmatch
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from spikewright.errors import ReadError, UnsupportedLayerError
from spikewright.frontends.onnx import READERS, read
from spikewright.graph import evaluate

CLAIMED = frozenset(operator for domain, operator in READERS if not domain)

SIGNALS = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Max", "Min", "Mean", "Sum"), range(99)),
    **dict.fromkeys(("MatMul", "Gemm", "Einsum", "Concat"), range(99)),
    **dict.fromkeys(("Greater", "GreaterOrEqual", "Less", "LessOrEqual"), range(2)),
    "Attention": range(3),
    "Where": range(1, 3),
}
"""Which inputs are data, the first alone unless it is said here."""

FIRST_OUTPUT = {
    "MaxPool": "the positions of the maxima are whole numbers",
    "Dropout": "the mask is none at inference",
    "LayerNormalization": "mean and deviation are not read out",
    "Attention": "keys and values to keep, and scores, are not read out",
    "CausalConvWithState": "the state to keep is not read out",
    "BatchNormalization": "running statistics belong to training",
}
"""Operators of which only the first output is read, and why."""

NOT_REAL = "no input holds real numbers"

WITHOUT_CASE = {
    **dict.fromkeys(("Equal", "Trilu"), "their cases hold whole numbers"),
    "OneHot": "its cases count rows by real numbers",
    **dict.fromkeys(("And", "Not", "Or", "Xor"), "their cases are given truth values"),
    **dict.fromkeys(("IsInf", "IsNaN"), "their cases are given what is no number"),
    "SimplifiedLayerNormalization": "it is onnxruntime's own, under the standard's domain",
    **dict.fromkeys(("Ceil", "Floor", "Round"), "their cases round without bounds"),
}
"""Operators that none of ONNX's cases shows with real numbers, and why."""

_CONSTANT = """
    ArgMax ArgMin BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Constant ConstantOfShape
    DequantizeLinear EyeLike Hardmax Mod NonZero QuantizeLinear Range ReverseSequence Shape Sign
    Size TopK
"""
CONSTANT = frozenset(_CONSTANT.split())
"""Operators that cases have on the way to constants."""

EXCLUDED = {
    "*training*": "training mode",
    "test_batchnorm_*_training_mode*": "training mode",
    "*_empty_set*": "a value without entries",
    "test_reshape_allowzero_reordered": "a value without entries",
    "test_split_zero_size_splits*": "a value without entries",
    "test_slice_start_out_of_bounds": "a value without entries",
    "test_cast*_to_*FLOAT8*": "rounding to eight bits",
    "test_cast*_to_*INT[24]*": "rounding to whole numbers",
    "test_cast*_to_FLOAT4*": "rounding to four bits",
    "test_pow*": "an exponent for each value",
    "test_clip_min_greater_than_max": "bounds with nothing between them",
    "test_attention*_past*": "a cache of keys and values",
    "test_attention*_nonpad_*": "a cache of keys and values",
    "test_attention*padded_kv*": "a cache of keys and values",
    "test_attention_local_window_ext_cache_*": "a cache of keys and values",
    "test_attention_4d_attn_mask_[34]d*": "a mask for each sample of the batch",
    "test_attention_4d_attn_mask_causal_bf16": "a mask for each sample of the batch",
    "test_dynamicquantizelinear*_expanded": "rounding to whole numbers",
    "test_isinf*": "what no real number is",
    "test_isnan*": "what no real number is",
    "test_scatter_elements_with_[dr]*": "values put onto others",
    "test_scatternd_*": "values put onto others",
    "test_ceil*": "rounding without bounds",
    "test_floor*": "rounding without bounds",
    "test_round*": "rounding without bounds",
    "test_onehot_*": "rows counted by real numbers",
    "test_*_equal*_expanded": "whether two values of the data are equal",
}
"""Cases that may be refused, by the pattern of their names, and why."""


RUNS_OTHERWISE = {
    "test_resize_downsample_scales_*_align_corners": "onnxruntime rounds the extent",
}
"""Cases in which onnxruntime is not what ONNX says, by the pattern of their names, and why."""


@cache
def cases() -> Mapping[str, list[Any]]:
    """ONNX's cases by operator; those written out as functions are cases of their operator."""
    import onnx.backend.test.case.node as package

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases overflow on purpose
        for module in pkgutil.iter_modules(package.__path__):
            if module.name not in ("lppool", "image_decoder"):  # slow to make, and not read
                importlib.import_module(f"{package.__name__}.{module.name}")
    main: dict[str, str] = {}
    found: dict[str, list[Any]] = defaultdict(list)
    for case in package._NodeTestCases:
        own = case.model.graph.node
        nodes = [(node.domain, node.op_type) for node in own]
        base = case.name.removesuffix("_ver18").removesuffix("_expanded")
        operator = main.setdefault(base, nodes[0][1])
        readable = all(not node.domain and node.op_type in CLAIMED | CONSTANT for node in own)
        if readable and any(name in CLAIMED for _, name in nodes):
            found[operator if operator in CLAIMED else "others"].append((operator, case))
    return found


def arrays(values: list[Any]) -> list[NDArray]:
    """Values as arrays; some cases hold tensors of the file format."""
    as_array = numpy_helper.to_array
    return [as_array(v) if isinstance(v, onnx.TensorProto) else np.asarray(v) for v in values]


def prepared(operator: str, case: Any, one_sample: bool) -> tuple[Any, dict[str, NDArray]] | None:
    """The case as a model, and what to feed it; None where no input holds real numbers."""
    proto = onnx.ModelProto()
    proto.CopyFrom(case.model)
    graph, feed, squeezes, inputs = proto.graph, {}, [], []
    signals = SIGNALS.get(operator, range(1))
    for index, (info, value) in enumerate(zip(graph.input, case.data_sets[0][0], strict=True)):
        element = info.type.tensor_type.elem_type
        real = element in (1, 10, 11, 16)  # float, float16, double, bfloat16
        if index not in signals or not real:
            (array,) = arrays([value])
            graph.initializer.append(numpy_helper.from_array(array, info.name))
            continue
        (array,) = arrays([value])
        name, shape = (f"{info.name} one", (1, *array.shape)) if one_sample else (
            info.name, array.shape,
        )  # fmt: skip
        inputs.append(helper.make_tensor_value_info(name, element, shape))
        feed[name] = array.reshape(shape)
        if one_sample:
            squeezes.append(squeeze(graph, name, info.name, proto.opset_import[0].version))
    nodes = [*squeezes, *graph.node]
    for info in graph.output:
        if info.type.tensor_type.elem_type == onnx.TensorProto.BOOL:  # ones and zeros to read out
            made = next(n for n in nodes if info.name in n.output)
            made.output[list(made.output).index(info.name)] = "truth"
            nodes.append(helper.make_node("Cast", ["truth"], [info.name], to=1))
            info.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    for field, entries in ((graph.input, inputs), (graph.node, nodes)):
        copies = [type(entry).FromString(entry.SerializeToString()) for entry in entries]
        del field[:]
        field.extend(copies)
    if operator in FIRST_OUTPUT:
        del graph.output[1:]
    return (proto, feed) if feed else None


def squeeze(graph: Any, given: str, wanted: str, opset: int) -> Any:
    """A node that takes the first axis away."""
    if opset < 13:
        return helper.make_node("Squeeze", [given], [wanted], axes=[0])
    if not any(tensor.name == "axis zero" for tensor in graph.initializer):
        graph.initializer.append(numpy_helper.from_array(np.array([0]), "axis zero"))
    return helper.make_node("Squeeze", [given, "axis zero"], [wanted])


def outcome(operator: str, case: Any) -> str:
    """ "equal", or why the case was not read; raises where a value differs."""
    why = ""
    for one_sample in (True, False):
        made = prepared(operator, case, one_sample)
        if made is None:
            return NOT_REAL
        proto, feed = made
        try:
            source = read(proto)
        except ReadError as error:
            why = why or str(error)
            continue
        compare(case, source, feed, one_sample)
        return "equal"
    return why


def compare(case: Any, source: Any, feed: Mapping[str, NDArray], one_sample: bool) -> None:
    """Every output that was asked for, from the graph and from the source's own evaluator."""
    found, activations = evaluate(source.graph, feed), source.activations(feed)
    wanted = dict(
        zip((o.name for o in case.model.graph.output), arrays(case.data_sets[0][1]), strict=True)
    )
    for name, value in found.items():
        expected = wanted[name].astype(np.float64)
        half = wanted[name].dtype.itemsize == 2
        tolerance = {"rtol": 2e-2, "atol": 2e-2} if half else {"rtol": case.rtol, "atol": 1e-5}
        own = activations.get(source.graph.outputs[name], value)  # a mask's has minus infinity
        if any(fnmatch(case.name, pattern) for pattern in RUNS_OTHERWISE):
            own = value
        for made in (value, own):
            array = np.asarray(made, np.float64)
            shape = (1, *expected.shape) if one_sample else expected.shape
            assert array.size == expected.size and array.shape in (shape, expected.shape)
            np.testing.assert_allclose(
                array.reshape(expected.shape), expected, **tolerance, err_msg=f"{case.name} {name}"
            )


def reason_for(name: str) -> str:
    """Why a case may be refused, or nothing."""
    return next((why for pattern, why in EXCLUDED.items() if fnmatch(name, pattern)), "")


@cache
def outcomes(operator: str) -> Mapping[str, str]:
    """What became of every case of an operator."""
    return {case.name: outcome(main, case) for main, case in cases().get(operator, [])}


@pytest.mark.slow
@pytest.mark.parametrize("operator", [*sorted(CLAIMED), "others"])
def test_onnx_node_cases(operator: str) -> None:
    """Every case of the operator is equal, or listed and refused; one at least is equal."""
    found = outcomes(operator)
    equal = [name for name, what in found.items() if what == "equal"]
    refused = {n: what for n, what in found.items() if what not in ("equal", NOT_REAL)}
    unlisted = {name: what for name, what in refused.items() if not reason_for(name)}
    assert not unlisted
    assert equal or operator in WITHOUT_CASE


def test_exclusions_are_exceptions() -> None:
    """Every pattern is that of a case that is refused, and most cases with real numbers are not."""
    found = [entry for operator in (*CLAIMED, "others") for entry in outcomes(operator).items()]
    refused = [name for name, what in found if what not in ("equal", NOT_REAL)]
    unused = [pattern for pattern in EXCLUDED if not any(fnmatch(n, pattern) for n in refused)]
    assert not unused
    assert sum(what == "equal" for _, what in found) > 3 * len(refused)


def test_cases_without_a_batch_are_refused_where_it_is_needed() -> None:
    """The second way of reading a case is no way around a refusal: a ConvTranspose of one sample
    without a batch axis is refused.
    """
    (main, case), *_ = cases()["ConvTranspose"]
    made = prepared(main, case, one_sample=True)
    assert made is not None
    proto, _ = made
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2
    with pytest.raises(UnsupportedLayerError, match="batch is not axis 0"):
        read(proto)
