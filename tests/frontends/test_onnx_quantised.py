"""Quantised models: read as the numbers that integers stand for, and off by what they round."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx_helpers import agrees, model, node, random
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

import spikewright as sw
from spikewright import engines
from spikewright.engines.compensation import weights_of
from spikewright.engines.compile import compile_network
from spikewright.engines.operators import Linear
from spikewright.errors import ConversionWarning, ReadError, UnsupportedLayerError
from spikewright.frontends.onnx import read
from spikewright.frontends.onnx.dequantising import HANDLERS
from spikewright.frontends.onnx.runtime import UNSATURATED, Runtime
from spikewright.graph import evaluate
from spikewright.showing.inspection import inspect

MS = "com.microsoft"
X, Y = (np.float32(0.05), np.uint8(120)), (np.float32(0.0397), np.uint8(90))
"""Scales and zeros of what operators read, and of what they make."""
WEIGHT = np.random.default_rng(0).integers(-128, 128, (4, 3, 3, 3)).astype(np.int8)
MATRIX = np.random.default_rng(1).integers(-128, 128, (6, 5)).astype(np.int8)
BIAS = np.random.default_rng(2).integers(-900, 900, 5).astype(np.int32)
SCALES = np.abs(random(5)) / 300 + np.float32(0.001)


class Case(NamedTuple):
    """Nodes from the integers `q` to the integers `r`, or to the result itself."""

    nodes: list[Any]
    weights: Mapping[str, Any] = {}
    shape: tuple[int, ...] = (6,)
    real: bool = False


def with_(operator: str, inputs: str, output: str = "r", **attributes: Any) -> list[Any]:
    """One node of Microsoft's domain."""
    return [node(operator, inputs, output, "it", domain=MS, **attributes)]


GRID = "q xs xz"
IMAGE = (3, 6, 6)
CONV = {"w": WEIGHT, "ws": np.abs(random(4)) / 200 + np.float32(0.002), "wz": np.zeros(4, np.int8)}
PRODUCT = {"m": MATRIX, "ms": SCALES, "mz": np.zeros(5, np.int8), "b": BIAS}
ONE = {"m": MATRIX, "ms": np.float32(0.004), "mz": np.int8(3), "b": BIAS}
OTHER = {"o": random(6) * 40, "os": np.float32(0.03), "oz": np.int8(-3)}
OTHER["o"] = OTHER["o"].astype(np.uint8)
OTHER["oz"] = np.uint8(100)

CASES: dict[tuple[str, str], list[Case]] = {
    ("", "QuantizeLinear"): [Case([node("Identity", "q", "r")])],
    ("", "DequantizeLinear"): [
        Case([node("DequantizeLinear", "q ys yz", "y", "it")], real=True),
        Case([node("DequantizeLinear", "q xs", "y", "it")], real=True),
    ],
    (MS, "QuantizeLinear"): [
        Case([node("DequantizeLinear", GRID, "h"), *with_("QuantizeLinear", "h ys yz")])
    ],
    (MS, "DequantizeLinear"): [Case(with_("DequantizeLinear", "q ys yz", "y"), real=True)],
    ("", "QLinearConv"): [
        Case(
            [node("QLinearConv", f"{GRID} w ws wz ys yz", "r", "it", pads=[1, 1, 0, 1])],
            CONV, IMAGE,
        ),
        Case(
            [node("QLinearConv", f"{GRID} w ws wz ys yz b", "r", "it", strides=[2, 1])],
            {**CONV, "b": BIAS[:4]}, IMAGE,
        ),
    ],
    ("", "QLinearMatMul"): [
        Case([node("QLinearMatMul", f"{GRID} m ms mz ys yz", "r", "it")], PRODUCT),
        Case([node("QLinearMatMul", f"{GRID} m ms mz ys yz", "r", "it")], ONE),
    ],
    (MS, "QGemm"): [
        Case(with_("QGemm", f"{GRID} m ms mz b ys yz", alpha=0.5), PRODUCT),
        Case(with_("QGemm", f"{GRID} m ms mz - ys yz", transB=1), {**ONE, "m": MATRIX.T}),
        Case(with_("QGemm", f"{GRID} m ms mz b", "y"), ONE, real=True),
    ],
    (MS, "QLinearAdd"): [
        Case(with_("QLinearAdd", f"{GRID} o os oz ys yz"), OTHER),
        Case(with_("QLinearAdd", f"o os oz {GRID} ys yz"), OTHER),
        Case(with_("QLinearAdd", f"{GRID} {GRID} ys yz")),
    ],
    (MS, "QLinearMul"): [Case(with_("QLinearMul", f"{GRID} o os oz ys yz"), OTHER)],
    (MS, "QLinearSigmoid"): [Case(with_("QLinearSigmoid", f"{GRID} ps pz"))],
    (MS, "QLinearLeakyRelu"): [Case(with_("QLinearLeakyRelu", f"{GRID} ys yz", alpha=0.3))],
    (MS, "QLinearSoftmax"): [Case(with_("QLinearSoftmax", f"{GRID} ps pz", axis=-1, opset=18))],
    (MS, "QLinearAveragePool"): [
        Case(
            with_("QLinearAveragePool", f"{GRID} ys yz", kernel_shape=[2, 2], pads=[1, 0, 1, 0]),
            shape=IMAGE,
        )
    ],
    (MS, "QLinearGlobalAveragePool"): [
        Case(with_("QLinearGlobalAveragePool", f"{GRID} ys yz"), shape=IMAGE)
    ],
    (MS, "QLinearConcat"): [
        Case(with_("QLinearConcat", f"ys yz {GRID} {GRID}", axis=1)),
    ],
    (MS, "QLinearWhere"): [
        Case(
            with_("QLinearWhere", f"c {GRID} o os oz ys yz"),
            {**OTHER, "c": np.array([True, False, True, True, False, False])},
        )
    ],
    ("", "Cast"): [Case([node("Cast", "q", "y", "it", to=TensorProto.FLOAT)], real=True)],
    ("", "Pad"): [
        Case([node("Pad", "q p v", "r", "it")], {"p": np.array([0, 1, 0, 2]), "v": np.uint8(7)}),
        Case([node("Pad", "q p", "r", "it")], {"p": np.array([0, 1, 0, 2])}),
    ],
    ("", "Resize"): [
        Case([node("Resize", "q - f", "r", "it")], {"f": np.float32([1, 1, 2, 2])}, IMAGE)
    ],
    ("", "MatMulInteger"): [
        Case([node("MatMulInteger", "q m xz mz", "i", "it"), node("Cast", "i", "y", to=1)], ONE,
             real=True),
    ],
    ("", "ConvInteger"): [
        Case(
            [node("ConvInteger", "q w xz", "i", "it"), node("Cast", "i", "y", to=1)], CONV, IMAGE,
            real=True,
        )
    ],
    (MS, "MatMulIntegerToFloat"): [
        Case(with_("MatMulIntegerToFloat", "q m xs ms xz mz f", "y"),
             {**PRODUCT, "f": random(5)}, real=True),
    ],
    ("", "DynamicQuantizeLinear"): [],
    (MS, "DynamicQuantizeMatMul"): [],
    (MS, "DynamicQuantizeLSTM"): [],
}  # fmt: skip
EVERY = [
    pytest.param(case, id=f"{domain or 'onnx'}.{operator}{i}")
    for (domain, operator), cases in CASES.items()
    for i, case in enumerate(cases)
]


def quantised(case: Case, inside: bool = False) -> onnx.ModelProto:
    """The case between a rounding of its input and the numbers that its result stands for.

    One that is `inside` of the model is followed by an addition of 0.
    """
    nodes = [node("QuantizeLinear", "x xs xz", "q", "rounding"), *case.nodes]
    scale = "ps pz" if "ps" in case.nodes[-1].input else "ys yz"
    if case.nodes[-1].op_type in ("Identity", "Pad", "Resize"):
        scale = "xs xz"
    if not case.real:
        nodes.append(node("DequantizeLinear", f"r {scale}", "y", "out"))
    output = "y"
    if inside:
        nodes.append(node("Add", "y nothing", "z", "after"))
        output = "z"
    given = {"xs": X[0], "xz": X[1], "ys": Y[0], "yz": Y[1], "nothing": np.zeros(1, np.float32)}
    given |= {"ps": np.float32(0.9 / 255), "pz": np.uint8(0), **case.weights}
    read_by = {name for n in nodes for name in n.input}
    weights = {name: value for name, value in given.items() if name in read_by}
    made = model(nodes, {"x": ["n", *case.shape]}, [output], weights, domains=[MS])
    made.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    return made


PRODUCTS = re.compile("QLinear(Conv|MatMul)|QGemm|(MatMul|Conv)Integer|DynamicQuantize")


def run(proto: onnx.ModelProto, feed: Mapping[str, NDArray]) -> NDArray:
    """What onnxruntime makes of the file itself.

    Sums of products of bytes saturate on some processors, unless onnxruntime may rewrite the
    weights of unsigned bytes. Everything else it computes as it stands.
    """
    products = any(PRODUCTS.match(n.op_type) for n in proto.graph.node)
    (value,) = session(proto, rewrites=products).run(None, dict(feed))
    return value


def session(proto: onnx.ModelProto, rewrites: bool) -> onnxruntime.InferenceSession:
    """A session that may rewrite the model, or else computes it as it stands."""
    levels, options = onnxruntime.GraphOptimizationLevel, onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry(*UNSATURATED)
    options.graph_optimization_level = (
        levels.ORT_ENABLE_EXTENDED if rewrites else levels.ORT_DISABLE_ALL
    )
    try:
        return onnxruntime.InferenceSession(proto.SerializeToString(), options)
    except Exception:  # of signed bytes, which it rewrites to what it cannot compute
        if not rewrites:
            raise
    return session(proto, rewrites=False)


def test_sums_of_products_of_bytes_do_not_saturate() -> None:
    """The largest bytes times the largest weights are added up exactly, on every processor."""
    weights = np.random.default_rng(1).choice(np.array([-127, 127], np.int8), (64, 8))
    product = node("MatMulInteger", "x w", "y", "sum")
    made = model([product], {"x": ["n", 64]}, ["y"], {"w": weights})
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    made.graph.output[0].type.tensor_type.elem_type = TensorProto.INT32
    x = np.full((3, 64), 255, np.uint8)
    (found,) = Runtime(made, optimised=True).run(["y"], {"x": x})
    assert np.array_equal(found, x.astype(int) @ weights.astype(int))


def on_the_grid(case: Case, seed: int = 0) -> NDArray:
    """Inputs that are numbers of the grid, so that rounding them does nothing."""
    integers = np.random.default_rng(seed).integers(0, 256, (5, *case.shape))
    return ((integers - float(X[1])) * float(X[0])).astype(np.float32)


def test_every_operator_on_integers_has_a_case() -> None:
    """A handler that is registered is tested."""
    assert set(HANDLERS) == set(CASES)


@pytest.mark.parametrize("case", EVERY)
def test_an_operator_is_off_by_its_own_rounding(case: Case) -> None:
    """On inputs that need no rounding the file is never further off than half a step of the
    result, also where it is cut off at the limits of the integers.
    """
    proto = quantised(case, inside=True)
    source = agrees(proto, independent=False, transform=lambda x: 4 * x)
    x = on_the_grid(case)
    theirs, ours = run(proto, {"x": x}), evaluate(source.graph, {"x": x})["z"]
    chosen = {n.op_type for n in case.nodes} <= {"Identity", "Pad", "Resize"}
    step = 0.0 if case.real or chosen else float(Y[0])
    largest = np.abs(theirs).max()
    assert largest > 0.2
    assert np.abs(theirs - ours).max() <= 0.5 * step + 1e-5 * largest
    assert [note.layer for note in source.notes] == ["it"][: step > 0]


@pytest.mark.parametrize("case", EVERY)
def test_inputs_and_outputs_are_rounded_as_the_file_rounds_them(case: Case) -> None:
    """Nothing is left out, so nothing is noted: whatever the inputs, answers are the file's, but
    for few that lie on the edge between two integers, which are a step off.
    """
    proto = quantised(case)
    source = agrees(proto, independent=False, transform=lambda x: 4 * x)
    x = 4 * random(40, *case.shape, seed=3)
    theirs, ours = run(proto, {"x": x}), evaluate(source.graph, {"x": x})["y"]
    off = np.abs(theirs - ours)
    assert source.notes == ()
    assert (
        off > 1e-5 * np.abs(theirs).max()
    ).mean() < 0.05  # onnxruntime looks softmaxes up in a table
    if not case.real:
        assert off.max() <= 1.001 * max(X[0], Y[0])


def spanning(shape: tuple[int, ...]) -> NDArray:
    """Whole numbers of which the least is -55 and the largest 200: 256 steps of one."""
    values = np.random.default_rng(0).integers(-55, 201, shape).astype(np.float32)
    values.reshape(-1)[:2] = -55, 200
    return values


GATES = np.random.default_rng(3).integers(-128, 128, (2, 1, 4, 12)).astype(np.int8)
DYNAMIC: list[list[Any]] = [
    [
        node("DynamicQuantizeLinear", "x", "q s z", "it"),
        node("MatMulInteger", "q m z mz", "i"),
        node("Cast", "i", "h", to=1),
        node("Mul", "s ms", "sm"),
        node("Mul", "h sm", "y"),
    ],
    [node("DynamicQuantizeMatMul", "x m ms mz f", "y", "it", domain=MS)],
    [node("DynamicQuantizeMatMul", "x m ms", "y", "it", domain=MS)],
]


@pytest.mark.parametrize("nodes", DYNAMIC)
def test_rounding_by_the_batch_is_left_out(nodes: list[Any]) -> None:
    """Where a batch lies on the grid that is made of it, the file is what is read."""
    weights = {**PRODUCT, "f": random(5)}
    read_by = {name for n in nodes for name in n.input}
    weights = {name: value for name, value in weights.items() if name in read_by}
    proto = model(nodes, {"x": ["n", 6]}, ["y"], weights, domains=[MS])
    source, x = agrees(proto, independent=False), spanning((4, 6))
    theirs, ours = run(proto, {"x": x}), evaluate(source.graph, {"x": x})["y"]
    np.testing.assert_allclose(ours, theirs, atol=2e-5 * np.abs(theirs).max())
    assert "each batch" in {note.layer: note.text for note in source.notes}["it"]


def test_a_dynamically_quantised_lstm() -> None:
    """Its weights lie the other way round than an LSTM's, with scales and zeros of their own."""
    inputs = "x w r - - - - - ws wz rs rz"
    nodes = [node("DynamicQuantizeLSTM", inputs, "y", "it", domain=MS, hidden_size=3)]
    weights = {
        "w": GATES[0], "r": GATES[1, :, :3], "ws": np.float32([0.004]), "wz": np.int8([3]),
        "rs": np.float32([0.003]), "rz": np.int8([0]),
    }  # fmt: skip
    proto = model(nodes, {"x": [5, 1, 4]}, ["y"], weights, domains=[MS])
    with pytest.raises(UnsupportedLayerError, match="'it'"):
        read(proto)  # the sequence is on axis 0, which is the batch
    turned = [node("Transpose", "x", "t", perm=[1, 0, 2]), *nodes]
    turned[1].input[0] = "t"
    proto = model(turned, {"x": ["n", 5, 4]}, ["y"], weights, domains=[MS])
    source, x = read(proto), random(3, 5, 4)
    theirs, (ours,) = run(proto, {"x": x}), evaluate(source.graph, {"x": x}).values()
    theirs = np.moveaxis(theirs, 2, 0)
    assert np.abs(theirs - ours).max() < 0.03 * np.abs(theirs).max()
    assert [note.layer for note in source.notes] == ["it"]


# --- whole models, as onnxruntime's quantiser writes them ----------------------------------------


class Batches(CalibrationDataReader):
    """Seeded random batches."""

    def __init__(self) -> None:
        self.left = [{"x": random(4, 3, 8, 8, seed=i)} for i in range(3)]

    def get_next(self) -> dict[str, NDArray] | None:
        """The next batch."""
        return self.left.pop() if self.left else None


def network() -> onnx.ModelProto:
    """What static quantisation has forms of: convolution, ReLU, sums, pools, gates, products."""
    nodes = [
        node("Conv", "x w1 b1", "c1", "conv1", pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1", "relu1"),
        node("Conv", "r1 w2", "c2", "conv2", pads=[1, 1, 1, 1], group=2),
        node("LeakyRelu", "c2", "l2", "leaky", alpha=0.1),
        node("Add", "l2 r1", "a", "add"),
        node("MaxPool", "a", "m", "max", kernel_shape=[2, 2], strides=[2, 2]),
        node("Sigmoid", "m", "s", "gate"),
        node("Mul", "m s", "g", "gated"),
        node("Concat", "g m", "k", "both", axis=1),
        node("GlobalAveragePool", "k", "p", "pool"),
        node("Flatten", "p", "f", "flat"),
        node("Gemm", "f w3 b3", "h", "dense"),
        node("MatMul", "h w4", "o", "last"),
        node("Softmax", "o", "y", "chances", axis=-1),
    ]
    weights = {
        "w1": random(6, 3, 3, 3) / 3, "b1": random(6) / 3, "w2": random(6, 3, 3, 3, seed=1) / 3,
        "w3": random(12, 5), "b3": random(5), "w4": random(5, 4),
    }  # fmt: skip
    return model(nodes, {"x": ["n", 3, 8, 8]}, ["y"], weights, opset=17)


def chain() -> onnx.ModelProto:
    """Three convolutions with ReLU between them."""
    nodes = [
        node("Conv", "x w1 b1", "c1", "conv1", pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1", "relu1"),
        node("Conv", "r1 w2 b1", "c2", "conv2", strides=[2, 2]),
        node("Relu", "c2", "r2", "relu2"),
        node("Conv", "r2 w3", "y", "conv3"),
    ]
    weights = {
        "w1": random(6, 3, 3, 3) / 3, "b1": random(6) / 3, "w2": random(6, 6, 3, 3, seed=1) / 3,
        "w3": random(4, 6, 3, 3, seed=2) / 3,
    }  # fmt: skip
    return model(nodes, {"x": ["n", 3, 8, 8]}, ["y"], weights, opset=17)


def statically(
    path: Path, form: QuantFormat, proto: onnx.ModelProto | None = None, **settings: Any
) -> onnx.ModelProto:
    """A network, quantised by onnxruntime."""
    onnx.save(proto or network(), path / "real.onnx")
    quantize_static(
        path / "real.onnx", path / "q.onnx", Batches(), quant_format=form,
        weight_type=QuantType.QInt8, **settings,
    )  # fmt: skip
    return onnx.load(path / "q.onnx")


FORMS = [
    (QuantFormat.QDQ, {"per_channel": True, "activation_type": QuantType.QInt8}, 0.05),
    (QuantFormat.QDQ, {"activation_type": QuantType.QUInt16}, 2e-4),
    (QuantFormat.QOperator, {"activation_type": QuantType.QUInt8}, 0.05),
]


@pytest.mark.parametrize(("form", "settings", "bound"), FORMS)
def test_what_the_static_quantiser_writes(
    form: QuantFormat, settings: dict[str, Any], bound: float, tmp_path: Path
) -> None:
    """Read and verified; near the file with 8 bits, and nearer by the 2^8 with 16."""
    proto = statically(tmp_path, form, **settings)
    source = agrees(proto, independent=False)
    x = random(16, 3, 8, 8, seed=9)
    theirs, (ours,) = run(proto, {"x": x}), evaluate(source.graph, {"x": x}).values()
    error = np.abs(theirs - ours).max() / np.abs(theirs).max()
    assert 0 < error < bound


@pytest.mark.skipif("native" not in engines.available(), reason="no compiler")
@pytest.mark.parametrize("per_channel", [False, True])
def test_weights_stay_whole_steps_of_the_files_scales(
    per_channel: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Convolutions of spikes hold the file's integers, times steps that are no powers of two, so
    that they are one limb; spikes on every instruction set are the reference engine's.
    """
    from spikewright.engines.native.engine import ISA_VARIABLE, NativeEngine, instruction_sets

    proto = statically(tmp_path, QuantFormat.QDQ, chain(), per_channel=per_channel)
    held = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
    with pytest.warns(ConversionWarning, match="the file rounds"):
        conversion = sw.convert(proto, spiking=True, scale_firing_rates=600)
    program = compile_network(conversion.network, 0.001, 0, "float32")
    reading = [op for op in program.operators if isinstance(op, Linear) and op.steps is not None]
    for op, name in zip(reading, ("w2", "w3"), strict=True):
        weights = weights_of(op.transform)
        assert weights is not None and op.steps is not None
        assert np.all(np.frexp(op.steps)[0] != 0.5)
        whole = np.rint(weights / op.steps.reshape(-1, *[1] * (weights.ndim - 1)))
        np.testing.assert_array_equal(whole, held[f"{name}_quantized"])
    x, how = 3 * random(4, 3, 8, 8), {"steps": 40, "progress": False}
    expected = conversion.run(x, engine="reference", **how)
    assert all(counts.any() for counts in expected.spike_counts().values())
    always = property(lambda engine: 1e-9, lambda engine, given: None)
    monkeypatch.setattr(NativeEngine, "dense", always, raising=False)  # multiply whatever spikes
    for isa in instruction_sets():
        monkeypatch.setenv(ISA_VARIABLE, isa)
        with pytest.warns(ConversionWarning, match="the file rounds"):
            conversion = sw.convert(proto, spiking=True, scale_firing_rates=600)
        found = conversion.run(x, engine="native", **how)
        for name, counts in expected.spike_counts().items():
            np.testing.assert_array_equal(found.spike_counts()[name], counts)
        np.testing.assert_array_equal(found.output, expected.output)


def test_the_trace_says_what_is_not_rounded(tmp_path: Path) -> None:
    """Every layer that rounds is approximated, by the step that its integers have; the conversion
    says so once, `inspect` by layer, and a layer that rounds nothing new is exact.
    """
    proto = statically(tmp_path, QuantFormat.QDQ, activation_type=QuantType.QUInt8)
    steps = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
    with pytest.warns(ConversionWarning, match="the file rounds") as said:
        conversion = sw.convert(proto, spiking=True, scale_firing_rates=20)
    assert len(said) == 1
    assert conversion.trace.guarantee == "approximated"
    found = {e.layer: e.text for e in conversion.trace if e.status == "approximated"}
    first = found["r1_QuantizeLinear"]
    assert "256 values" in first
    assert f"{float(steps['r1_scale']):.3g} apart" in first
    assert "m_QuantizeLinear" not in found  # the maxima of numbers of the same grid
    rows = {row.name: row.status for row in inspect(proto).layers}
    assert {name for name, status in rows.items() if status == "approximated"} == set(found)
    conversion.save(tmp_path / "q.spk")
    assert sw.load(tmp_path / "q.spk").trace.guarantee == "approximated"


def test_inputs_and_logits_are_rounded_without_spikes(tmp_path: Path) -> None:
    """Limits and rounding are functions of values, and the trace says so; what the file makes of
    them is verified, beyond the limits too.
    """
    onnx.save(network(), tmp_path / "real.onnx")
    with pytest.warns(ConversionWarning, match="the file rounds"):
        conversion = sw.convert(
            statically(tmp_path, QuantFormat.QDQ, activation_type=QuantType.QUInt8), spiking=True
        )
    ends = ("x_", "o_", "y_", "last", "chances")
    inside = [name for name in conversion.populations() if name.startswith(ends)]
    assert conversion.populations()
    assert inside == []
    said = [e.layer for e in conversion.trace if e.text.startswith("round")]
    assert [name.rsplit(":")[-1] for name in said] == ["rounded"] * 3  # input, logits, chances
    assert said[0].startswith("x_QuantizeLinear")
    assert next(e for e in conversion.trace if e.layer == said[0]).status == "exact"
    assert not {name.split(":")[0] for name in said} & {
        note.layer for note in conversion.source.notes
    }
    x = 9 * random(4, 3, 8, 8)
    conversion.verify(x)


def test_layers_have_the_names_and_kinds_of_the_file(tmp_path: Path) -> None:
    """What a quantised operator is written as stays one layer, of the file's kind."""
    proto = statically(tmp_path, QuantFormat.QOperator, activation_type=QuantType.QUInt8)
    rows = {row.name: row.kind for row in inspect(proto).layers}
    written = {n.name: n.op_type for n in proto.graph.node}
    assert rows == {"x": "Input", **written}
    assert sw.convert(proto, outputs=["conv2_quant"]).verify()


def test_what_the_dynamic_quantiser_writes(tmp_path: Path) -> None:
    """Integers whose scale comes from each batch are read too."""
    onnx.save(network(), tmp_path / "real.onnx")
    quantize_dynamic(tmp_path / "real.onnx", tmp_path / "q.onnx")
    proto = onnx.load(tmp_path / "q.onnx")
    assert {"ConvInteger", "MatMulInteger"} <= {n.op_type for n in proto.graph.node}
    source, x = agrees(proto, independent=False), random(16, 3, 8, 8, seed=9)
    theirs, (ours,) = run(proto, {"x": x}), evaluate(source.graph, {"x": x}).values()
    assert np.abs(theirs - ours).max() < 0.05 * np.abs(theirs).max()


# --- scales and zeros ----------------------------------------------------------------------------

INTEGERS = np.random.default_rng(4).integers(-128, 128, (4, 6)).astype(np.int8)


BLOCKS = {"axis": 1, "block_size": 2}
SCALE_FORMS: list[tuple[Any, Any, dict[str, Any], int]] = [
    (np.float32(0.1), None, {}, 10),
    (np.float32(0.1), np.int8(4), {}, 10),
    (np.float32([0.1]), np.int8([4]), {}, 10),
    (np.float32([0.1]), np.int8([4]), {"axis": 0}, 13),
    (np.abs(random(4)), None, {"axis": 0}, 13),
    (np.abs(random(6)), np.arange(6).astype(np.int8), {"axis": -1}, 13),
    (np.abs(random(6)), np.arange(6).astype(np.int8), {}, 13),
    (np.abs(random(4, 3)), None, BLOCKS, 21),
    (np.abs(random(4, 2)), np.int8([[1, 2]] * 4), {**BLOCKS, "block_size": 4}, 21),
    (np.abs(random(2, 6)), None, {**BLOCKS, "axis": 0}, 21),
]


@pytest.mark.parametrize(("scale", "zero", "attributes", "opset"), SCALE_FORMS)
def test_every_form_of_a_scale(
    scale: Any, zero: Any, attributes: dict[str, Any], opset: int
) -> None:
    """One number, one for each entry of an axis, one for each block: weights are what onnxruntime
    makes of them.
    """
    inputs = "i s z" if zero is not None else "i s"
    nodes = [node("DequantizeLinear", inputs, "w", "it", **attributes), node("Add", "x w", "y")]
    weights = {"i": INTEGERS, "s": scale, **({} if zero is None else {"z": zero})}
    proto = model(nodes, {"x": ["n", 4, 6]}, ["y"], weights, opset=opset)
    x = random(3, 4, 6)
    theirs, ours = run(proto, {"x": x}), evaluate(read(proto).graph, {"x": x})["y"]
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


REFUSED: list[tuple[list[Any], dict[str, Any], str]] = [
    (
        [node("QuantizeLinear", "x s z", "q", "it"), node("DequantizeLinear", "q s z", "y")],
        {"s": np.abs(random(6)), "z": np.zeros(6, np.int8)},
        "'it'",
    ),
    (
        [node("QuantizeLinear", "x s z", "q"), node("BitShift", "q q", "b", "it", direction="LEFT"),
         node("DequantizeLinear", "b s z", "y")],
        {"s": np.float32(0.1), "z": np.uint8(0)},
        "'it'",
    ),
    (
        [node("DequantizeLinear", "i s", "w", "it"), node("Add", "x w", "y")],
        {"i": INTEGERS, "s": np.abs(random(3))},
        r"'it'.*scales or zeros of shape \(3,\) do not fit values of shape \(4, 6\)",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "weights", "message"), REFUSED)
def test_integers_without_a_form_on_numbers_are_refused(
    nodes: list[Any], weights: dict[str, Any], message: str
) -> None:
    """Activations with scales along an axis, operators that are integers' own, scales that do not
    fit: by name.
    """
    with pytest.raises(UnsupportedLayerError, match=message):
        read(model(nodes, {"x": ["n", 6]}, ["y"], weights, opset=18))


def test_integers_in_the_branch_of_an_if_are_refused() -> None:
    """What an If reads from outside is not rewritten, so it may be no integer."""
    body = helper.make_graph([node("DequantizeLinear", "q xs xz", "out")], "b", [], [
        helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    ])  # fmt: skip
    nodes = [
        node("QuantizeLinear", "x xs xz", "q"),
        helper.make_node("If", ["go"], ["y"], name="it", then_branch=body, else_branch=body),
    ]
    weights = {"xs": X[0], "xz": X[1], "go": np.array(True)}
    with pytest.raises(ReadError, match=r"'it'.*reads integers of a quantised model"):
        read(model(nodes, {"x": ["n", 6]}, ["y"], weights))
