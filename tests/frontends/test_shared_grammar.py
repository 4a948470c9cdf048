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
from spikewright.frontends.keras.registry import unsupported_reason as of_keras
from spikewright.frontends.onnx import read as read_onnx
from spikewright.frontends.onnx.registry import reason_for as of_onnx
from spikewright.frontends.pytorch import read as read_pytorch
from spikewright.frontends.pytorch.registry import unsupported_reason as of_pytorch
from spikewright.frontends.reading import call as reasons
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
