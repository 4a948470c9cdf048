"""What cannot be read is refused with its name, its kind and the reason, all of it together."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_helpers import model, random, single

from spikewright.errors import ReadError, UnsupportedLayerError
from spikewright.frontends.onnx import read


def ints(*values: int) -> np.ndarray:
    """An int64 vector."""
    return np.array(values, np.int64)


def floats(*values: float) -> np.ndarray:
    """A float32 vector."""
    return np.array(values, np.float32)


KERNEL = random(4, 3, 3, 3)
STATISTICS = [np.abs(random(3, seed=i)) + 0.1 for i in range(4)]

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("Conv", {"operands": [KERNEL], "pads": [1, 1, 1, -1]}, r"padding .* at least 0"),
    ("Conv", {"operands": [KERNEL], "pads": [1, 1]}, r"pads is \(1, 1\), it must hold 4"),
    ("Conv", {"operands": [KERNEL], "strides": [0, 1]}, "strides .* 2 positive numbers"),
    ("Conv", {"operands": [KERNEL], "kernel_shape": [2, 2]}, r"kernel_shape is \(2, 2\)"),
    ("Conv", {"operands": [KERNEL], "group": 3}, "3 channels, the kernel expects 9"),
    ("Conv", {"operands": [KERNEL], "group": 0}, "group is 0"),
    ("Conv", {"operands": [KERNEL], "auto_pad": "FULL"}, "auto_pad is 'FULL'"),
    ("Conv", {"operands": [random(4, 3, 9, 9)]}, "larger than its padded input"),
    ("Conv", {"operands": [random(4, 3)]}, r"weights have shape \(4, 3\)"),
    (
        "Conv",
        {"shape": (2, 3, 3, 3, 3), "operands": [random(4, 2, 1, 1, 1, 1)]},
        "4 spatial axes; 1 to 3",
    ),
    ("Conv", {"before": [random(2, 3, 6, 6)]}, "its input 1 is computed from the data"),
    ("Gemm", {"shape": (2, 5), "operands": [random(5, 4)]}, "two axes each"),
    ("Gemm", {"shape": (5,), "operands": [random(5)]}, "two axes each"),
    ("Gemm", {"shape": (5,), "operands": [random(5, 4), random(3)]}, r"bias of shape \(3,\)"),
    ("Gemm", {"shape": (5,), "operands": [random(6, 4)]}, "axes of 5 and 6 values"),
    ("MatMul", {"shape": (5,), "before": [random(4, 5)]}, "sample|batch"),
    ("Einsum", {"shape": (3, 3), "equation": "nnn->n"}, "sample|diagonal"),
    ("Einsum", {"shape": (3, 3), "equation": "ni->n"}, "does not fit 3 axes"),
    ("ConvTranspose", {"operands": [random(3, 4)]}, r"weights have shape \(3, 4\)"),
    (
        "ConvTranspose",
        {"operands": [random(3, 4, 3, 3)], "output_shape": [9]},
        r"output_shape is \(9,\)",
    ),
    (
        "ConvTranspose",
        {"operands": [random(3, 4, 3, 3)], "output_padding": [1]},
        r"output_padding is \(1,\)",
    ),
    ("ConvTranspose", {"operands": [random(2, 4, 3, 3)]}, "3 channels, the kernel expects 2"),
    ("BatchNormalization", {"operands": STATISTICS, "training_mode": 1}, "training mode"),
    (
        "BatchNormalization",
        {"operands": STATISTICS, "opset": 9, "outputs": 5},
        "so it is in training mode",
    ),
    ("BatchNormalization", {"operands": STATISTICS, "shape": (4, 2)}, "do not fit axis 0"),
    ("Clip", {"operands": [floats(1, 2)]}, r"its min has shape \(2,\)"),
    ("Clip", {"operands": [np.float32(2), np.float32(1)]}, "bounds are 2.0 and 1.0"),
    ("Clip", {"operands": [np.float32("nan")]}, "bounds are nan"),
    ("Max", {"operands": [np.float32("nan")]}, "bounds are nan"),
    ("Softmax", {"axis": 0}, "sample|batch"),
    ("Softmax", {"axis": 4}, "axis 4"),
    ("MaxPool", {"kernel_shape": [3]}, "over 2 spatial axes"),
    ("MaxPool", {"kernel_shape": [9, 9]}, "larger than its padded input"),
    ("MaxPool", {"kernel_shape": [0, 1]}, "kernel_shape is"),
    ("MaxPool", {"kernel_shape": [1, 1], "pads": [1, 0, 0, 0]}, "nothing to pool"),
    (
        "AveragePool",
        {"kernel_shape": [2, 2], "dilations": [6, 6], "pads": [8, 8, 8, 8], "opset": 19},
        "nothing to pool",
    ),
    ("ReduceMean", {}, "sample|batch"),
    ("ReduceMean", {"axes": [7], "opset": 11}, "axis 7 does not exist"),
    ("LayerNormalization", {"operands": [random(6)], "axis": 5}, "axis 5 does not exist"),
    (
        "GroupNormalization",
        {"operands": [random(3), random(3)], "num_groups": 2, "opset": 21},
        "3 channels do not divide into 2 groups",
    ),
    ("Shrink", {"bias": 0.1}, "its bias 0.1"),
    ("Pow", {"operands": [floats(1, 2, 3, 4, 5, 6)]}, r"exponent has shape \(6,\)"),
    ("Pow", {"before": [np.float32(-2)]}, "base is -2.0"),
    ("PRelu", {"operands": [random(4, 1, 1)]}, "does not broadcast"),
    ("Add", {"operands": [random(2, 3, 6, 6)], "batch": 2}, "differs from sample to sample"),
    ("Conv", {"operands": [KERNEL.astype(np.int32)]}, "holds int32 values, not floating point"),
    ("Add", {"shape": (3,), "operands": [random(4)]}, "do not broadcast"),
    ("Expand", {"operands": [ints(2, 1, 1, 1)]}, "sample"),
    ("Expand", {"operands": [ints(10**7, 1, 1, 1, 1)]}, "more than"),
    ("Tile", {"operands": [ints(1, 10**7, 1, 1)]}, "more than"),
    ("Tile", {"operands": [ints(1, 2)]}, "not one positive number per axis"),
    ("Expand", {"operands": [ints(4, 1, 1)]}, "do not broadcast"),
    ("Mul", {"shape": (2, 3), "operands": [random(4, 3)]}, "do not broadcast"),
    ("Reshape", {"operands": [ints(0, 7)]}, "does not fit the input's shape"),
    ("Reshape", {"operands": [ints(-1, -1)]}, "does not fit the input's shape"),
    ("Reshape", {"operands": [ints(0, 0, 0, 0, 0)]}, r"copies axis 4"),
    ("Reshape", {"operands": [ints(0, -1)], "allowzero": 1}, "does not fit"),
    ("Reshape", {"operands": [floats(0, -1)]}, "holds float32 values, not integers"),
    ("Squeeze", {"operands": [ints(1)]}, "do not all have extent 1"),
    ("Squeeze", {"operands": [ints(0)]}, "sample"),
    ("Squeeze", {"operands": [ints(4)]}, "axis 4 does not exist"),
    ("Unsqueeze", {"operands": [ints(1, 1)]}, "name one axis twice"),
    ("Transpose", {"perm": [0, 1]}, "no permutation of 4 axes"),
    ("Concat", {"axis": 0, "operands": [random(2, 3, 6, 6)]}, "sample|batch"),
    ("Dropout", {"operands": [np.float32(0.5), np.array(True)]}, "training mode"),
    ("Cast", {"to": TensorProto.INT64}, "rounds to INT64"),
    ("Slice", {"operands": [ints(0), ints(5)]}, "sample|batch"),
    ("Slice", {"operands": [ints(4), ints(2), ints(2)]}, "does not leave something"),
    ("Slice", {"operands": [ints(0, 1), ints(2), ints(2)]}, "do not match"),
    ("Slice", {"operands": [ints(0), ints(2), ints(9)]}, "axis 9 does not exist"),
    ("Slice", {"operands": [floats(0), ints(2), ints(2)]}, "float32 values, not integers"),
    ("Split", {"axis": 1, "outputs": 1, "operands": [floats(3)]}, "float32 values, not integers"),
    ("Split", {"axis": 1, "outputs": 2, "operands": [ints(1, 1)]}, r"into \(1, 1\)"),
    ("Pad", {"operands": [ints(0, 0, 1, 1, 0, 0, 1, 1)], "mode": "mirror"}, "'mirror'"),
    ("Pad", {"operands": [ints(0, 0, 1, 1, 0, 0, 1, 1), np.float32("inf")]}, "pads with inf"),
    ("Pad", {"operands": [ints(1, 2, 3)]}, "not one pair"),
    ("Resize", {"operands": [None, floats(2, 1, 1, 1)], "mode": "linear"}, "sample|batch"),
    ("Resize", {"operands": [None, floats(1, 1, 0, 2)]}, "not all positive"),
    ("Resize", {"operands": [None, floats(1, 1, 0.1, 2)]}, "it makes extents"),
    ("Resize", {"operands": [None, floats(1, 1, 1, 1e7)]}, "more than the 1 GiB"),
    ("Resize", {"operands": [None, floats(1, 1, 2, 2)], "mode": "area"}, "mode is 'area'"),
    ("Resize", {"operands": [None, floats(1, 1, 2, 2)], "nearest_mode": "up"}, "is 'up'"),
    (
        "Resize",
        {"operands": [None, floats(1, 1, 2, 2)], "coordinate_transformation_mode": "odd"},
        "coordinates are 'odd'",
    ),
    (
        "Resize",
        {
            "operands": [None, floats(1, 1, 2, 2)],
            "coordinate_transformation_mode": "tf_crop_and_resize",
        },
        "region of interest",
    ),
    ("Gather", {"operands": [ints(0)]}, "sample|batch"),
    ("Gather", {"operands": [floats(0)], "axis": 1}, "not integers"),
    ("Gather", {"operands": [ints(7)], "axis": 1}, "do not lie in an axis of 3"),
    ("DepthToSpace", {"blocksize": 2}, "3 channels do not divide into blocks"),
    ("SpaceToDepth", {"blocksize": 4}, "do not divide an image of 6 x 6"),
    ("GatherElements", {"operands": [ints(0).reshape(1, 1, 1, 1)], "axis": 1}, "mixes the samples"),
    ("Equal", {"operands": [np.float32(1)]}, "truth values"),
    ("TopK", {"operands": [ints(1)], "outputs": 2}, "positions out of"),
    ("LpPool", {"kernel_shape": [2, 2]}, "not among those that are known"),
    ("Resize", {"operands": [None, floats(2, 2)]}, "gives 2 factors for 4 axes"),
    (
        "QuantizeLinear",
        {"operands": [floats(0.1, 0.2, 0.3), np.zeros(3, np.uint8)]},
        "no one scale and zero",
    ),
]


@pytest.mark.parametrize(
    ("operator", "options", "reason"),
    REFUSED,
    ids=[f"{i}-{entry[0]}" for i, entry in enumerate(REFUSED)],
)
def test_refused_with_the_reason(operator: str, options: dict[str, Any], reason: str) -> None:
    """One refusal, of the node by its name and kind, whose reason says what is in the way."""
    with pytest.raises(UnsupportedLayerError, match=reason) as caught:
        read(single(operator, **options))
    (refusal,) = caught.value.refusals
    assert (refusal.layer, refusal.kind) == ("it", operator)


def two_signals(operator: str, *shapes: tuple[Any, ...], **attributes: Any) -> onnx.ModelProto:
    """A model of one node named `it` over two inputs."""
    it = helper.make_node(operator, ["a", "b"], ["y"], name="it", **attributes)
    return model([it], dict(zip("ab", shapes, strict=True)), ["y"])


@pytest.mark.parametrize(
    ("proto", "reason"),
    [
        (two_signals("MatMul", ("n", 3), ("n", 3)), "sample|diagonal"),
        (two_signals("Add", ("n", 3, 2), ("n", 2)), "sample|differ beside"),
        (two_signals("Sub", ("n", 3), ("n", 2)), "do not broadcast"),
        (two_signals("Concat", ("n", 3), ("n", 3, 2), axis=1), "sample|differ beside"),
        (two_signals("Reshape", ("n", 3), ("n", 2)), "its input 1 is computed from the data"),
    ],
)
def test_pairs_of_signals_refused(proto: onnx.ModelProto, reason: str) -> None:
    """Products of signals, and signals whose axes do not meet, have no reading."""
    with pytest.raises(UnsupportedLayerError, match=reason):
        read(proto)


def loop() -> Any:
    """A Loop that doubles its value."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Add", ["v", "v"], ["vv"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("vv", TensorProto.FLOAT, None),
        ],
    )
    for value in (body.input[2], body.output[1]):
        value.type.tensor_type.shape.SetInParent()
    return helper.make_node("Loop", ["x", "", "h"], ["l"], name="again", body=body)


def test_all_refusals_are_listed_together() -> None:
    """Control flow and foreign domains each get their reason, in one error; what only
    depends on them adds nothing.
    """
    nodes = [
        helper.make_node("Relu", ["x"], ["h"], name="hidden"),
        loop(),
        helper.make_node("FancyOp", ["l"], ["f"], name="fancy", domain="com.example"),
        helper.make_node("Relu", ["f"], ["g"], name="innocent"),
        helper.make_node("Pad", ["g", "p"], ["y"], name="mirror", mode="odd"),
    ]
    weights = {
        "p": ints(0, 1, 0, 1),
    }
    proto = model(nodes, {"x": ["n", 2, 3]}, ["y"], weights, domains=["com.example"])
    with pytest.raises(UnsupportedLayerError) as caught:
        read(proto)
    refusals = {refusal.layer: refusal for refusal in caught.value.refusals}
    assert {name: refusal.kind for name, refusal in refusals.items()} == {
        "again": "Loop", "fancy": "FancyOp", "mirror": "Pad",
    }  # fmt: skip
    assert "how often it runs is computed from the data" in refusals["again"].reason
    assert "domain 'com.example'" in refusals["fancy"].reason
    assert "'odd'" in refusals["mirror"].reason
    assert all(refusals[name].options for name in ("again", "fancy"))
    assert "3 layers cannot be read" in str(caught.value)


def test_a_further_output_that_is_used() -> None:
    """The mask of a Dropout or the indices of a MaxPool are not read, and whoever needs them is
    told which.
    """
    nodes = [
        helper.make_node("MaxPool", ["x"], ["p", "where"], name="pool", kernel_shape=[2]),
        helper.make_node("Cast", ["where"], ["y"], name="cast", to=TensorProto.FLOAT),
    ]
    with pytest.raises(UnsupportedLayerError, match=r"'cast'.*output 1 of 'pool'"):
        read(model(nodes, {"x": ["n", 2, 4]}, ["p", "y"]))
    with pytest.raises(
        UnsupportedLayerError, match=r"'where' \(graph output\).*output 1 of 'pool'"
    ):
        read(model(nodes[:1], {"x": ["n", 2, 4]}, ["p", "where"]))


def test_a_constant_output() -> None:
    """An output that no input influences is refused."""
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Identity", ["w"], ["z"])]
    with pytest.raises(UnsupportedLayerError, match=r"'z'.*does not depend on the data"):
        read(model(nodes, {"x": ["n", 2]}, ["y", "z"], {"w": random(3)}))


def test_constants_too_large_to_compute() -> None:
    """A few bytes of model must not fill the memory."""
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["c"], name="huge"),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    with pytest.raises(UnsupportedLayerError, match=r"'huge'.*1000000000000 values"):
        read(model(nodes, {"x": ["n", 2]}, ["y"], {"s": ints(10**6, 10**6)}))


@pytest.mark.parametrize("delta", [0.0, float("nan"), 1e-30])
def test_ranges_without_an_end(delta: float) -> None:
    """A Range that would never end, or that has no length, is refused."""
    nodes = [
        helper.make_node("Range", ["a", "b", "d"], ["c"], name="range"),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    weights = {"a": np.float32(0), "b": np.float32(3), "d": np.float32(delta)}
    with pytest.raises(UnsupportedLayerError, match=r"'range' \(Range\)"):
        read(model(nodes, {"x": ["n", 3]}, ["y"], weights))


def test_constants_that_cannot_be_computed() -> None:
    """An error inside a constant subgraph is a refusal with that error's text."""
    nodes = [
        helper.make_node("Reshape", ["w", "s"], ["c"], name="broken"),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    with pytest.raises(UnsupportedLayerError, match=r"'broken'.*cannot be computed"):
        read(model(nodes, {"x": ["n", 2]}, ["y"], {"w": random(3), "s": ints(2, 2)}))


def test_a_shape_that_depends_on_the_batch_where_it_must_not() -> None:
    """A number of features that grows with the batch is no shape of a sample."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Mul", ["shape", "swap"], ["zeroed"]),
        helper.make_node("Add", ["zeroed", "one"], ["target"]),
        helper.make_node("Reshape", ["x", "target"], ["y"], name="wrong"),
    ]
    weights = {"swap": ints(0, 1), "one": ints(1, 0)}
    with pytest.raises(UnsupportedLayerError, match=r"'wrong'"):
        read(model(nodes, {"x": ["n", 3]}, ["y"], weights))


@pytest.mark.parametrize(
    ("shape", "element", "message"),
    [
        ([], TensorProto.FLOAT, "has no axes, so it is the same for all samples"),
        (["n", 3], TensorProto.STRING, "holds STRING values"),
    ],
)
def test_inputs_that_cannot_be_read(shape: list[Any], element: int, message: str) -> None:
    """Scalars, truth values and texts are no signals."""
    proto = model(
        [helper.make_node("Identity", ["x"], ["y"])], {"x": shape}, ["y"], element=element
    )
    with pytest.raises(ReadError, match=message):
        read(proto)


def test_inputs_of_different_batch_sizes() -> None:
    """Axis 0 of every input must be the batch."""
    with pytest.raises(ReadError, match="'a': 2, 'b': 4"):
        read(two_signals("Add", (2, 3), (4, 3)))


def test_a_model_without_data() -> None:
    """A model that only computes a constant is none that could spike."""
    proto = model([helper.make_node("Relu", ["w"], ["y"])], {}, ["y"], {"w": random(3)})
    with pytest.raises(ReadError, match="no input that is not a weight"):
        read(proto)


@pytest.mark.parametrize("kind", ["sequence", "sparse"])
def test_values_that_are_no_tensors(kind: str) -> None:
    """Sequences are refused as inputs, sparse initialisers as weights."""
    nodes = [helper.make_node("Add", ["x", "w"], ["y"], name="add")]
    proto = model(nodes, {"x": ["n", 3]}, ["y"], {} if kind == "sparse" else {"w": random(3)})
    if kind == "sequence":
        tensor = proto.graph.input[0].type
        proto.graph.input[0].type.CopyFrom(helper.make_sequence_type_proto(tensor))
        with pytest.raises(ReadError, match="'x' is a sequence_type"):
            read(proto)
        return
    sparse = proto.graph.sparse_initializer.add(dims=[3])
    sparse.values.CopyFrom(helper.make_tensor("w", TensorProto.FLOAT, [1], [2.0]))
    sparse.indices.CopyFrom(helper.make_tensor("i", TensorProto.INT64, [1], [1]))
    with pytest.raises(UnsupportedLayerError, match=r"'add'.*sparse initialiser"):
        read(proto)
