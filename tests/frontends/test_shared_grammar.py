"""The shared grammar: constants on either side, refusals and reasons, in three spellings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from keras_helpers import keras
from numpy.typing import NDArray
from onnx_helpers import model, node
from pytorch_helpers import Of

from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.keras import read as read_keras
from spikewright.frontends.keras.reasons import why_not as of_keras
from spikewright.frontends.onnx import read as read_onnx
from spikewright.frontends.onnx.reasons import reason_for as of_onnx
from spikewright.frontends.pytorch import read as read_pytorch
from spikewright.frontends.pytorch.reasons import why_not as of_pytorch
from spikewright.frontends.reading import reasons
from spikewright.graph import Graph, evaluate

ops = keras.ops
ROW = np.array([0.5, -1.0, 2.0], np.float32)
SHAPE = (4, 3)


class Idea(NamedTuple):
    """One function in NumPy, on `(batch, *shape)`, and in the spelling of each framework.

    ONNX's is an operator, its constant inputs and its attributes.
    """

    numpy: Callable[[NDArray], NDArray]
    keras: Callable[[Any], Any]
    pytorch: Callable[[torch.Tensor], torch.Tensor]
    onnx: tuple[str, list[NDArray], dict[str, Any]]


def _axes(*axes: int) -> NDArray:
    return np.array(axes, np.int64)


IDEAS = {
    "a constant less a value": Idea(
        lambda x: ROW - x, lambda x: ops.subtract(ROW, x), lambda x: torch.tensor(ROW) - x,
        ("Sub", [ROW, "x"], {}),
    ),
    "a constant over a value": Idea(
        lambda x: ROW / x, lambda x: ops.divide(ROW, x), lambda x: torch.tensor(ROW) / x,
        ("Div", [ROW, "x"], {}),
    ),
    "a bound": Idea(
        lambda x: np.minimum(x, 0.75), lambda x: ops.minimum(x, 0.75),
        lambda x: torch.clamp(x, max=0.75), ("Min", ["x", np.float32(0.75)], {}),
    ),
    "an exponential": Idea(
        lambda x: 2.5**x, lambda x: 2.5**x, lambda x: 2.5**x, ("Pow", [np.float32(2.5), "x"], {}),
    ),
    "a border of a number": Idea(
        lambda x: np.pad(x, ((0, 0), (1, 2), (0, 1)), constant_values=1.5),
        lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1)), "constant", 1.5),
        lambda x: torch.nn.functional.pad(x, (0, 1, 1, 2), value=1.5),
        ("Pad", ["x", _axes(0, 1, 0, 0, 2, 1), np.float32(1.5)], {}),
    ),
}  # fmt: skip


def _in_keras(shape: tuple[int, ...], spell: Any) -> Graph:
    x = keras.Input(shape)
    return read_keras(keras.Model(x, spell(x))).graph


def _in_pytorch(shape: tuple[int, ...], spell: Any) -> Graph:
    return read_pytorch(Of(lambda _, x: spell(x)), torch.ones(2, *shape)).graph


def _in_onnx(shape: tuple[int, ...], spell: Any) -> Graph:
    operator, operands, attributes = spell
    names = ["x" if isinstance(x, str) else f"c{i}" for i, x in enumerate(operands)]
    constants = {
        name: np.asarray(x) for name, x in zip(names, operands, strict=True) if name != "x"
    }
    made = node(operator, " ".join(names), "y", "it", **attributes)
    return read_onnx(model([made], {"x": ["n", *shape]}, ["y"], constants)).graph


READERS = {"keras": _in_keras, "pytorch": _in_pytorch, "onnx": _in_onnx}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("idea", IDEAS)
def test_an_idea_is_read_by_every_reader(idea: str, reader: str) -> None:
    """The graph of each spelling computes the function, and on more than one sample."""
    graph = READERS[reader](SHAPE, getattr(IDEAS[idea], reader))
    x = np.random.default_rng(5).normal(size=(3, *SHAPE)) + 0.1
    (name,) = graph.inputs

    (made,) = evaluate(graph, {name: x}).values()

    assert len(graph) > 1
    np.testing.assert_allclose(made, IDEAS[idea].numpy(x), rtol=1e-5, atol=1e-6)


REFUSED: dict[str, tuple[Any, Any, Any, str]] = {
    "a division by zero": (
        lambda x: x / (0 * ROW), lambda x: x / torch.tensor(0 * ROW), ("Div", ["x", 0 * ROW], {}),
        "it divides by zero",
    ),
    "a base below zero": (
        lambda x: (-2.0) ** x, lambda x: (-2.0) ** x, ("Pow", [np.float32(-2), "x"], {}),
        r"its base is -2.0; .* Use a base above 0",
    ),
    "bounds the wrong way round": (
        lambda x: ops.clip(x, 2.0, -1.0), lambda x: torch.clamp(x, 2.0, -1.0),
        ("Clip", ["x", np.float32(2), np.float32(-1)], {}), "nothing lies between them",
    ),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", REFUSED)
def test_every_reader_refuses_in_the_same_words(case: str, reader: str) -> None:
    """Reason and next move are those of the idea, whichever framework spells it."""
    *spelled, words = REFUSED[case]
    spell = dict(zip(READERS, spelled, strict=True))[reader]

    with pytest.raises(UnsupportedLayerError, match=words):
        READERS[reader](SHAPE, spell)


def test_windows_of_images_that_are_merged_with_the_batch_in_onnx() -> None:
    """A convolution and poolings of `(batch * time, channels, ...)` are as each image alone."""
    rng = np.random.default_rng(8)
    weight = rng.normal(size=(3, 2, 3, 3)).astype(np.float32)
    nodes = [
        node("Reshape", "x merged", "images", "merge"),
        node("Conv", "images w", "c", "convolution", pads=[1, 1, 1, 1]),
        node("MaxPool", "c", "m", "largest", kernel_shape=[2, 2], strides=[2, 2]),
        node("AveragePool", "m", "a", "mean", kernel_shape=[2, 2]),
        node("Reshape", "a apart", "y", "split"),
    ]
    constants = {"w": weight, "merged": _axes(-1, 2, 6, 6), "apart": _axes(-1, 5, 3, 2, 2)}
    graph = read_onnx(model(nodes, {"x": ["n", 5, 2, 6, 6]}, ["y"], constants)).graph
    x = rng.normal(size=(2, 5, 2, 6, 6))

    made = evaluate(graph, {"x": x})["y"]

    images = torch.tensor(x.reshape(-1, 2, 6, 6))
    made_by_torch = torch.nn.functional.conv2d(images, torch.tensor(weight).double(), padding=1)
    pooled = torch.nn.functional.max_pool2d(made_by_torch, 2)
    expected = torch.nn.functional.avg_pool2d(pooled, 2, 1).reshape(2, 5, 3, 2, 2)
    np.testing.assert_allclose(made, expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("groups", [1, 2])
def test_groups_of_images_that_are_merged_with_the_batch_in_onnx(groups: int) -> None:
    """Statistics are those of an image alone, of all its channels or of each."""
    rng = np.random.default_rng(9)
    scale, bias = rng.normal(size=(2, 2)).astype(np.float32)
    nodes = [
        node("Reshape", "x merged", "images", "merge"),
        node("GroupNormalization", "images s b", "g", "groups", num_groups=groups),
        node("Reshape", "g apart", "y", "split"),
    ]
    constants = {"s": scale, "b": bias, "merged": _axes(-1, 2, 4), "apart": _axes(-1, 3, 2, 4)}
    graph = read_onnx(model(nodes, {"x": ["n", 3, 2, 4]}, ["y"], constants, opset=21)).graph
    x = rng.normal(size=(2, 3, 2, 4))

    made = evaluate(graph, {"x": x})["y"]

    weights = (torch.tensor(scale).double(), torch.tensor(bias).double())
    images = torch.tensor(x.reshape(-1, 2, 4))
    expected = torch.nn.functional.group_norm(images, groups, *weights).reshape(x.shape)
    np.testing.assert_allclose(made, expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(
    not hasattr(keras.layers, "AdaptiveMaxPooling2D"), reason="Keras has it since 3.12"
)
def test_adaptive_maxima_of_unequal_windows_in_keras() -> None:
    """Windows of different sizes are read as those of PyTorch are."""
    graph = _in_keras((7, 5, 2), keras.layers.AdaptiveMaxPooling2D((3, 2)))
    x = np.random.default_rng(6).normal(size=(2, 7, 5, 2))

    (made,) = evaluate(graph, {graph.inputs[0]: x}).values()

    images = torch.tensor(x).permute(0, 3, 1, 2)
    expected = torch.nn.functional.adaptive_max_pool2d(images, (3, 2)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(made, expected.numpy())


@pytest.mark.parametrize(
    ("reason", "keras", "pytorch", "onnx"),
    [
        (reasons.JUMPS, "ops.Sign", "aten.sign.default", "Sign"),
        (reasons.COMPARES, "ops.Equal", "aten.eq.Tensor", "Equal"),
        (reasons.ORDERS, "ops.Median", "aten.nonzero.default", "TopK"),
    ],
)
def test_a_reason_is_said_once_for_all_readers(
    reason: reasons.Reason, keras: str, pytorch: str, onnx: str
) -> None:
    """An operation that no graph holds is refused in the same words, whoever wrote the model."""
    found = (of_keras(keras), of_pytorch(pytorch), of_onnx("", onnx))
    assert found == (reason,) * 3
