"""Layers of a user's own: one decorator, one function, from outside the package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from keras_helpers import assert_agrees, keras, layers, randomise

from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.keras import (
    READERS,
    KerasCall,
    Value,
    array,
    read,
    reads,
    registry,
)
from spikewright.frontends.keras.registry import CODE
from spikewright.graph.layers import Activation, Multiply, ScaleShift, Slice

L, ops = layers, keras.ops
DOCUMENT = Path(__file__).parents[2] / "docs" / "keras.md"


@pytest.fixture(autouse=True)
def nothing_stays_registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test registers readers for itself."""
    for name in ("_readers", "_of_classes", "_arguments"):
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
    yield


def test_the_documented_layers_have_readers() -> None:
    """A layer that the table names can be read, by a reader or as code."""
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    named = set(re.findall(r"\b[A-Z][A-Za-z]+(?:[123]D)?\b", " ".join(rows)))
    known = {name for name in named if isinstance(getattr(L, name, None), type)} - {"Layer"}
    assert len(known) > 30
    unread = {name for name in known if getattr(L, name).__name__ not in {*READERS, *CODE}}
    assert not unread


class LayerScale(L.Layer):
    """Has the name of a layer of Keras's, and computes something else."""

    def build(self, shape: Any) -> None:
        self.gamma = self.add_weight(shape=shape[-1:])

    def call(self, x: Any) -> Any:
        """The square, scaled."""
        return self.gamma * x * x


def test_a_class_with_the_name_of_another_is_registered_as_itself() -> None:
    """The name is taken by Keras's own layer, the class is not."""
    x = keras.Input((4,), name="x")
    model = randomise(keras.Model(x, LayerScale(name="mine")(x)))
    assert len(assert_agrees(model).graph) > 3  # read as code, operator by operator
    with pytest.raises(ValueError, match=r"LayerScale can be read already.*reads\(MyLayer\)"):
        reads("LayerScale")(lambda call: None)

    @reads(LayerScale)
    def mine(call: KerasCall) -> Value:
        square = call.value(Activation("square"), part="square")
        return call.value(ScaleShift(scale=array(call.layer.gamma)), square)

    assert [node.name for node in assert_agrees(model).graph] == ["x", "mine/square", "mine"]
    with pytest.raises(ValueError, match="LayerScale can be read already"):
        reads(LayerScale)(mine)


class Halves(L.Layer):
    """Two outputs."""

    def call(self, x: Any) -> Any:
        """The first and the second half of the last axis."""
        n = x.shape[-1] // 2
        return x[..., :n], x[..., n:]


def halves(call: KerasCall) -> list[Value]:
    """The reader of `Halves`."""
    n = call.shape[-1] // 2
    return [
        call.value(Slice.along(call.shape, {-1: half})) for half in (slice(0, n), slice(n, None))
    ]


def test_a_layer_with_several_outputs() -> None:
    """Its reader returns a value for each."""
    reads(Halves)(halves)
    x = keras.Input((3, 4), name="x")
    first, second = Halves(name="halves")(x)
    graph = assert_agrees(keras.Model(x, L.Multiply(name="gated")([first, second]))).graph
    assert [node.name for node in graph] == ["x", "halves", "halves_1", "gated"]


@keras.saving.register_keras_serializable(package="spikewright_own_layers")
class Swished(L.Layer):
    """A layer in TimeDistributed and in files."""

    def call(self, x: Any) -> Any:
        """The SiLU."""
        return x * ops.sigmoid(x)

    def compute_output_shape(self, shape: Any) -> Any:
        """That of the input."""
        return shape


@pytest.mark.filterwarnings("ignore")  # Keras's own, about a format it calls legacy
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_registered_class_is_read_in_other_layers_and_from_files(
    suffix: str, tmp_path: Path
) -> None:
    """Registered as a class, with Keras and here."""
    x = keras.Input((2, 4), name="x")
    model = keras.Model(x, L.TimeDistributed(Swished(name="own"), name="steps")(x))
    model.save(path := tmp_path / f"model{suffix}")
    assert_agrees(model)  # as code; that of a file's classes is not run
    with pytest.raises(UnsupportedLayerError, match=r"Swished.*Load the model yourself"):
        read(path)

    @reads(Swished)
    def swished(call: KerasCall) -> Value:
        gate = call.value(Activation("sigmoid"), part="gate")
        return call.value(Multiply(), call.inputs[0], gate)

    names = [node.name for node in assert_agrees(model).graph]
    assert names == ["x", "steps/own/gate", "steps/own", "steps"]
    assert [node.name for node in read(path).graph] == names
