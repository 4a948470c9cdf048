"""ONNX models changed in ways that protobuf allows: read, or refused, within limits."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_helpers import model, node
from onnx_helpers import random as values

import spikewright as sw
from hostile import verdicts
from spikewright import demo

USES = """
import warnings, numpy as np, onnx.reference, onnxruntime, spikewright as sw
import spikewright.frontends.onnx
for name in sw.__all__:
    getattr(sw, name)
warnings.simplefilter("ignore")
def use(path):
    conversion = sw.convert(path)
    str(conversion.trace)
    conversion.verify()
    x = {n: np.zeros((1, *node.shape_out)) for n, node in conversion.inputs.items()}
    conversion.run(x, 2, progress=False)
"""
NUMBERS = [*range(12), -1, 16, 23, 99, 10**6, 10**9, 2**31 - 1]


def _half() -> Any:
    """Weights in half precision, as bytes and as numbers, and a constant in a node."""
    bias = helper.make_tensor("b", TensorProto.FLOAT16, [4], values(4).astype(np.float16))
    brain = helper.make_tensor("s", TensorProto.BFLOAT16, [4], np.ones(4))
    shift = numpy_helper.from_array(values(4).astype(np.float16), "shift")
    nodes = [
        node("MatMul", "x w", "a"), node("Add", "a b", "c"), node("Relu", "c", "d"),
        node("Constant", "", "k", value=shift), node("Add", "d k", "e"),
        node("Cast", "s", "t", to=TensorProto.FLOAT16), node("Mul", "e t", "y"),
    ]  # fmt: skip
    made = model(nodes, {"x": ("n", 3)}, ["y"], {"w": values(3, 4).astype(np.float16)})
    for value in (*made.graph.input, *made.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    made.graph.initializer.extend([bias, brain])
    return made


def _shapes() -> Any:
    """Shape arithmetic, a slice, a pad and a resize."""
    ints = {"zero": [0], "minus": [-1], "starts": [0, 1], "ends": [9, 3], "axes": [2, 3]}
    weights = {name: np.array(v, np.int64) for name, v in ints.items()}
    weights["pads"] = np.array([0, 0, 1, 0, 0, 0, 0, 1], np.int64)
    weights["w"] = values(2, 2, 3, 3)
    weights["scales"] = np.array([1, 1, 2, 2], np.float32)
    nodes = [
        node("Slice", "x starts ends axes", "a"), node("Pad", "a pads", "b"),
        node("Conv", "b w", "c", pads=[1, 1, 1, 1]), node("Resize", "c - scales", "d"),
        node("MaxPool", "d", "e", kernel_shape=[2, 2], strides=[2, 2]),
        node("Shape", "e", "s"), node("Gather", "s zero", "n"),
        node("Concat", "n minus", "t", axis=0), node("Reshape", "e t", "f"),
        node("Softmax", "f", "y", axis=-1),
    ]  # fmt: skip
    return model(nodes, {"x": ("n", 2, 4, 4)}, ["y"], weights)


def _recurrent() -> Any:
    weights = {"w": values(1, 16, 3), "r": values(1, 16, 4), "b": values(1, 32)}
    nodes = [
        node("Transpose", "x", "a", perm=[1, 0, 2]),
        node("LSTM", "a w r b", "seq last", hidden_size=4, direction="forward"),
        node("Squeeze", "last axis", "y"),
    ]
    return model(nodes, {"x": ("n", 5, 3)}, ["y"], {**weights, "axis": np.array([0], np.int64)})


def _quantised() -> Any:
    weights = {
        "w": np.arange(12, dtype=np.int8).reshape(3, 4), "ws": np.float32(0.05),
        "wz": np.int8(0), "xs": np.float32(0.02), "xz": np.uint8(128),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", "x xs xz", "q"), node("DequantizeLinear", "q xs xz", "a"),
        node("DequantizeLinear", "w ws wz", "v"), node("MatMul", "a v", "b"),
        node("LayerNormalization", "b scale", "c"), node("Gelu", "c", "y"),
    ]  # fmt: skip
    weights["scale"] = np.ones(4, np.float32)
    return model(nodes, {"x": ("n", 3)}, ["y"], weights, opset=20)


@cache
def examples() -> list[bytes]:
    """Models of many operators, as bytes."""
    made = [_half(), _shapes(), _recurrent(), _quantised()]
    return [*(m.SerializeToString() for m in made), demo.MODEL.read_bytes()]


def fields(message: Any) -> Iterator[tuple[Any, Any]]:
    """Every field that is set, of a message and of all inside it."""
    for descriptor, value in message.ListFields():
        yield message, descriptor
        inner = value if hasattr(value, "extend") else [value]
        if descriptor.type == descriptor.TYPE_MESSAGE:
            for item in inner:
                yield from fields(item)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Like this model, one field or two changed, doubled or gone."""
    proto = onnx.load_model_from_string(content)
    for _ in range(rng.choice((1, 1, 2))):
        message, field = rng.choice(list(fields(proto)))
        if rng.random() < 0.15:
            message.ClearField(field.name)
        elif hasattr(getattr(message, field.name), "extend"):
            _change_list(getattr(message, field.name), field, rng)
        elif field.type != field.TYPE_MESSAGE:
            setattr(message, field.name, _other(getattr(message, field.name), rng))
    return proto.SerializeToString()


def _change_list(items: Any, field: Any, rng: random.Random) -> None:
    """Drop an item, double it, put it last, or change it."""
    place, kind = rng.randrange(len(items)), rng.random()
    item = items[place]
    if kind < 0.3:
        del items[place]
    elif kind < 0.5:
        items.extend([item])
    elif kind < 0.6:
        del items[place]
        items.extend([item])
    elif field.type != field.TYPE_MESSAGE:
        items[place] = _other(item, rng)


def _other(value: Any, rng: random.Random) -> Any:
    """Another value of a type."""
    if isinstance(value, bytes):
        cut = rng.randrange(len(value) + 1)
        return rng.choice((value[:cut], value[cut:], value + b"\x01", b"", value * 2))
    if isinstance(value, str):
        return rng.choice(("", "x", "y", "w", "Relu", "Conv", "Loop", "n", "ai.onnx", value * 2))
    if isinstance(value, float):
        return rng.choice((0.0, -1.0, 1e30, float("nan"), float("inf"), 0.5))
    return rng.choice((*NUMBERS, value + 1, value - 1))


def faults(folder: Path, count: int, seed: int) -> list[str]:
    """What of changed models was neither used nor refused as it should be."""
    paths = []
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        path = folder / f"model-{number}.onnx"
        try:
            path.write_bytes(mutated(examples()[number % len(examples())], rng))
        except (ValueError, TypeError, IndexError):  # protobuf allows no such value there
            path.write_bytes(examples()[0])
        paths.append(path)
    found = dict(zip(paths, verdicts(USES, "use(path)", paths), strict=True))
    return [f"{p.name}: {v.kind}: {v.message}" for p, v in found.items() if not v.good]


def test_whole_models_are_used(tmp_path: Path) -> None:
    """So that what is used of changed ones is what can be."""
    for number, content in enumerate(examples()):
        (tmp_path / f"{number}.onnx").write_bytes(content)
        sw.convert(tmp_path / f"{number}.onnx").verify()


@pytest.mark.slow
def test_many_changed_models(tmp_path: Path) -> None:
    """Anything anywhere."""
    assert faults(tmp_path, 60, seed=1) == []
