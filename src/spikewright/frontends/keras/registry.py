"""Which Keras classes can be read, and what a reader is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._optional import require
from spikewright.frontends.source import GraphBuilder
from spikewright.graph.layers import Layer, Shape

_PACKAGE = __name__.rpartition(".")[0]


class Unreadable(Exception):
    """Raised by a reader: why this layer cannot be read, and what the user can do about it."""

    def __init__(self, reason: str, options: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.options = options


@dataclass(frozen=True)
class Value:
    """A tensor while a model is read: the node that has it, None if unknown, and its shape.

    The shape leaves the batch axis out.
    """

    node: str | None
    shape: Shape


@dataclass(frozen=True)
class Call:
    """One application of a Keras layer or operation, as its reader sees it.

    `layer` is the Keras object; `inputs` are the tensors that it was applied to, in order, and
    `arguments` everything that it was called with, by parameter name, with a `Value` for a tensor.
    `name` is the name of the node that will have the layer's output.
    """

    layer: Any
    name: str
    source: str
    kind: str
    inputs: tuple[Value, ...]
    arguments: Mapping[str, Any]
    builder: GraphBuilder

    @property
    def shape(self) -> Shape:
        """Unbatched shape of the first input."""
        return self.inputs[0].shape

    def add(self, layer: Layer, *inputs: str | None, part: str = "") -> str | None:
        """Add a graph layer and return its node's name, or None where an input is unknown.

        It reads the call's own inputs unless `inputs` names others. Without `part` its value is the
        source layer's output; with it, an intermediate value named `<layer>/<part>`.
        """
        return self.builder.add(
            f"{self.name}/{part}" if part else self.name,
            layer,
            *(inputs or tuple(value.node for value in self.inputs)),
            source=self.source,
            kind=self.kind,
        )


Reader = Callable[[Call], "str | None"]

_readers: dict[str, Reader] = {}
READERS: Mapping[str, Reader] = MappingProxyType(_readers)
"""Every reader by the kind of layer that it reads (read only)."""


def reads(*kinds: str) -> Callable[[Reader], Reader]:
    """Register a reader for Keras classes.

    A kind is a layer's class name, `"Dense"`, or `"ops."` and an operation's, `"ops.Relu"`. The
    reader adds the graph layers of one call and returns the name of the node with the layer's
    output; it raises `Unreadable` where it cannot. A layer of your own::

        @reads("Scaled")
        def scaled(call):
            return call.add(ScaleShift(scale=array(call.layer.factor)))

    Raises `ValueError` when a kind has a reader already.
    """

    def register(reader: Reader) -> Reader:
        taken = sorted(set(kinds) & set(_readers))
        if taken:
            raise ValueError(f"{', '.join(taken)} can be read already")
        _readers.update(dict.fromkeys(kinds, reader))
        return reader

    return register


def built_in(reader: Reader) -> bool:
    """Whether a reader is one of ours, which know the classes of Keras itself and no others."""
    return reader.__module__.startswith(f"{_PACKAGE}.")


def of_keras(operation: Any) -> bool:
    """Whether a layer or operation is of Keras itself, not a class of someone else's."""
    return type(operation).__module__.split(".")[0] == "keras"


def kind_of(operation: Any) -> str:
    """The name under which a Keras layer or operation is registered."""
    name = type(operation).__name__
    return name if isinstance(operation, require("keras").Layer) else f"ops.{name}"


def reader_of(operation: Any) -> Reader:
    """The reader of a Keras layer or operation; raises `Unreadable` if there is none."""
    kind = kind_of(operation)
    reader = _readers.get(kind)
    if reader is None:
        raise Unreadable(*why_not(kind))
    if built_in(reader) and not of_keras(operation):
        raise Unreadable(
            f"it has the name of a Keras class and is one of {type(operation).__module__}",
            "Give it a name of its own and register a reader for it with "
            "spikewright.frontends.keras.reads",
        )
    return reader


def array(value: Any) -> NDArray:
    """A Keras variable, tensor or plain number as a NumPy array, float32 or float64."""
    found = np.asarray(value if _plain(value) else require("keras").ops.convert_to_numpy(value))
    return np.array(found, np.float64 if found.dtype == np.float64 else np.float32)  # a copy


def _plain(value: Any) -> bool:
    return isinstance(value, int | float | list | tuple | np.ndarray | np.generic)


def unbatched_axis(axis: int, rank: int) -> int:
    """A Keras axis, which counts the batch, as an axis of an unbatched shape of this rank."""
    if not -rank - 1 <= axis <= rank:
        raise Unreadable(f"its axis {axis} does not exist in an input of rank {rank + 1}")
    if axis % (rank + 1) == 0:
        raise Unreadable(
            "it works along the batch axis, which the graph leaves out",
            "Use another axis than 0",
        )
    return axis % (rank + 1) - 1


_RECURRENT = (
    "it carries a state from one element of a sequence to the next, and the graph holds no state",
    "Read the feed-forward part of the model",
)
_PRODUCT = (
    "it multiplies computed values with each other, and the graph multiplies by constants only",
    "Replace it by Add or Concatenate",
)
_STATISTICS = (
    "it normalises by statistics of its input, and the graph normalises by constants only",
    "Train with BatchNormalization instead",
)
_CODE = (
    "it runs Python code, which cannot be read",
    "Replace it by layers, or by a Layer subclass with a reader registered with "
    "spikewright.frontends.keras.reads",
)
_TRANSPOSED = (
    "transposed convolutions have no layer in the graph",
    "Replace it by UpSampling and a convolution",
)

_TENSORFLOW = (
    "it applies a TensorFlow function to a tensor, as Keras 2 could",
    "Rebuild the model with a Keras layer in its place",
)

_REASONS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("Lambda", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer"), _CODE),
    **dict.fromkeys(
        ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D"), _RECURRENT
    ),
    **dict.fromkeys(("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"), _TENSORFLOW),
    **dict.fromkeys(("Multiply", "Dot", "Attention", "MultiHeadAttention"), _PRODUCT),
    **dict.fromkeys(("LayerNormalization", "GroupNormalization", "RMSNormalization"), _STATISTICS),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _TRANSPOSED),
}


def why_not(kind: str) -> tuple[str, str]:
    """Reason and options for a kind of layer that has no reader."""
    return _REASONS.get(
        kind,
        (
            f"{kind} has no reader",
            f'Replace it, or register a reader with spikewright.frontends.keras.reads("{kind}")',
        ),
    )
