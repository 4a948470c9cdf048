"""Models that Keras, PyTorch and ONNX have alike, each declared once."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from keras_helpers import keras, randomise
from numpy.typing import NDArray
from pytorch_helpers import Of
from same_weights import copy_weights
from torch import nn

from spikewright.frontends import read
from spikewright.graph import Graph
from spikewright.testing.states import left_as_it_was

L, K, A = keras.layers, keras.ops, keras.activations
IMAGE, SERIES, WORDS = (8, 8, 3), (6, 4), (5,)
BATCH = 3
READERS = ("keras", "pytorch", "onnx")


@dataclass(frozen=True)
class Same:
    """One model in three spellings.

    `keras` maps symbolic inputs to an output, `torch` makes the module, whose layers with weights
    are in the order of Keras's, and `onnx` the nodes, given that module; without it `torch.onnx`
    writes them. `shapes` are those of Keras; with `first`, PyTorch and ONNX have channels first
    where Keras has them last, in inputs and in an output of as many axes. Values are positive, or
    whole numbers below `tokens`, where the model takes no others.
    """

    keras: Callable[..., Any]
    torch: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...] = (WORDS,)
    onnx: Callable[[nn.Module], onnx.ModelProto] | None = None
    first: bool = False
    positive: bool = False
    tokens: int = 0

    def inputs(self, seed: int = 1) -> list[NDArray]:
        """Random inputs in Keras's layout."""
        rng = np.random.default_rng(seed)
        if self.tokens:
            return [rng.integers(0, self.tokens, (BATCH, *s)).astype(float) for s in self.shapes]
        values = [rng.normal(size=(BATCH, *shape)) for shape in self.shapes]
        return [np.abs(v) + 0.3 for v in values] if self.positive else values

    def moved(self, value: NDArray, inwards: bool = True) -> NDArray:
        """A value in the layout of PyTorch and ONNX; or, of theirs, in that of Keras."""
        if not self.first or value.ndim != len(self.shapes[0]) + 1:
            return value
        return np.moveaxis(value, -1, 1) if inwards else np.moveaxis(value, 1, -1)

    def of_keras(self) -> Any:
        """The Keras model, with random weights."""
        kind = "int32" if self.tokens else "float32"
        inputs = [keras.Input(s, dtype=kind, name=f"x{i}") for i, s in enumerate(self.shapes)]
        return randomise(keras.Model(inputs, self.keras(*inputs)))

    def of_torch(self, of_keras: Any = None) -> nn.Module:
        """The PyTorch module, with the weights of the Keras model."""
        module = self.torch().eval()
        copy_weights(of_keras or self.of_keras(), module)
        return module

    def example(self) -> tuple[torch.Tensor, ...]:
        """Inputs as the module takes them, two samples of each."""
        kind = torch.int64 if self.tokens else torch.float32
        values = (self.moved(value)[:2] for value in self.inputs())
        return tuple(torch.as_tensor(value.copy()).to(kind) for value in values)

    def of_onnx(self, of_torch: nn.Module | None = None) -> onnx.ModelProto:
        """The ONNX model, of the same weights."""
        module = of_torch or self.of_torch()
        return self.onnx(module) if self.onnx else exported(module, self.example())

    def graph(self, kind: str) -> Graph:
        """The graph that a reader makes of the model in its spelling."""
        model = {"keras": self.of_keras, "pytorch": self.of_torch, "onnx": self.of_onnx}[kind]()
        return self._read(model, kind)

    def graphs(self) -> dict[str, Graph]:
        """The graphs of all readers, from models that are made once."""
        module = self.of_torch(of_keras := self.of_keras())
        made = {"keras": of_keras, "pytorch": module, "onnx": self.of_onnx(module)}
        return {kind: self._read(model, kind) for kind, model in made.items()}

    def _read(self, model: Any, kind: str) -> Graph:
        """A reader's graph of its spelling, which it leaves as it was."""
        with left_as_it_was(model):
            return read(model, self.example() if kind == "pytorch" else None).graph


def exported(module: nn.Module, example: tuple[torch.Tensor, ...]) -> onnx.ModelProto:
    """What `torch.onnx` writes, with a free batch."""
    names = [f"x{i}" for i in range(len(example))]
    file, axes = io.BytesIO(), {name: {0: "batch"} for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters deprecate each other
        torch.onnx.export(module, example, file, dynamo=False, input_names=names, dynamic_axes=axes)
    return onnx.load_model_from_string(file.getvalue())


def of(function: Callable[..., Any], **parts: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """Makes a module of a function of its parts and its inputs."""
    return lambda: Of(function, **{name: make() for name, make in parts.items()})


def chain(*makers: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """Makes a module of modules one after the other."""
    return lambda: nn.Sequential(*(make() for make in makers))


def alone(function: Callable[..., Any]) -> Callable[[], nn.Module]:
    """Makes a module of a function without weights."""
    return lambda: Of(lambda self, *x: function(*x))
