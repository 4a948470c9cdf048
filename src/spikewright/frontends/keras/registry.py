"""The registry of readers by Keras class, the call that a reader is given, and reasons against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import frozen
from spikewright._base.optional import require
from spikewright.advice import ADVICE, advise
from spikewright.errors import Refusal
from spikewright.frontends.reading import call as reading
from spikewright.frontends.reading.call import (
    COMPARES,
    JUMPS,
    LOOKS_UP,
    ORDERS,
    Reason,
    UnsupportedInput,
    UnsupportedOp,
    Value,
    by_kind,
)
from spikewright.graph.layers import Layer, Shape

_RECURRENT = Reason(
    "it carries a state from step to step, and only SimpleRNN, LSTM, GRU and an RNN of their cells "
    "are written out step by step",
    "Use one of those, or read the feed-forward part of the model",
)
_TRACE = (
    f"{ADVICE['Keras code on another backend'].python}; replace it by layers; or register a reader "
    "of its class with spikewright.frontends.keras.reads"
)
_CODE = Reason(
    "it runs Python code, which is read of live models on Keras's torch backend alone",
    _TRACE,
)
_CONVOLVES = Reason(
    "it carries a state through convolutions, which is read of live models on Keras's torch "
    "backend alone",
    _TRACE,
)
_FOREIGN = Reason(
    "it runs code of another framework, or a function for every sample, which cannot be read",
    "Replace it by layers",
)
_TENSORFLOW = Reason(
    "it applies a TensorFlow function to a tensor, as Keras 2 could",
    "Rebuild the model with a Keras layer in its place",
)
_PRODUCT = Reason(
    "it multiplies all values along an axis, and the graph multiplies two at a time",
    "Write the product out, x[..., 0] * x[..., 1]",
)
_RANDOM_CROP = Reason(
    "it crops or resizes by the image's size in code of its own",
    "Apply it to the data, before the network",
)
_SPECTRUM = Reason(
    "it computes a spectrum, with complex numbers",
    "Apply it to the data, before the network",
)

_CONVOLUTIONAL = ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
CODE = frozenset({"Lambda", "TorchModuleWrapper", *_CONVOLUTIONAL})
"""Layers of Keras that are Python code, or modules of PyTorch, or read as such."""

_REASONS = by_kind(
    (_CODE, "Lambda TorchModuleWrapper"),
    (_FOREIGN, "JaxLayer FlaxLayer TFSMLayer ops.Map"),
    (_CONVOLVES, " ".join(_CONVOLUTIONAL)),
    (_RECURRENT, "ops.Scan ops.WhileLoop ops.ForiLoop"),
    (_TENSORFLOW, "TFOpLambda SlicingOpLambda TensorFlowOpLayer"),
    (
        LOOKS_UP,
        "Hashing HashedCrossing IntegerLookup StringLookup TextVectorization ops.MultiHot",
    ),
    (JUMPS, "ops.Sign"),
    (
        COMPARES,
        "ops.Equal ops.NotEqual ops.LogicalAnd ops.LogicalOr ops.LogicalNot",
    ),
    (
        ORDERS,
        "ops.Median ops.Quantile",
    ),
    (_PRODUCT, "ops.Cumprod"),
    (_RANDOM_CROP, "RandomCrop"),
    (_SPECTRUM, "MelSpectrogram STFTSpectrogram ops.STFT ops.RFFT ops.FFT"),
)

TAILS = frozenset(("ops.Median", "ops.Quantile"))
"""Operators that end models which answer with an order of values: `outputs` cuts them."""


def is_code(kind: str) -> bool:
    """True for kinds that are code to trace: Python's, and those without a known reason."""
    return kind in CODE or kind not in _REASONS


def why_not_code(name: str) -> Reason:
    """Reason and options for code of a user's own, on a backend that lets nobody trace it."""
    return Reason(
        f"it runs {name}, Python code, which is read on Keras's torch backend alone", _TRACE
    )


def unsupported_reason(kind: str) -> Reason:
    """Reason and options for a kind of layer that has no reader."""
    unknown = Reason(
        f"{kind} has no reader",
        advise("reader of a Keras layer", kind=kind),
    )
    return _REASONS.get(kind, unknown)


__all__ = [
    "READERS", "KerasCall", "Output", "OwnCode", "Reader", "UnsupportedInput",
    "UnsupportedOp", "Value", "array",
    "built_in", "kind_of", "of_keras", "plain_array", "readable_class", "reader_of", "reads",
    "unbatched_axes", "unbatched_axis", "understood_by",
]  # fmt: skip

_PACKAGE = __name__.rpartition(".")[0]


class OwnCode(UnsupportedOp):
    """Raised for Python code, which has no reader, but which its backend may let us trace.

    `reason` and `options` are for a backend that does not.
    """


@dataclass(frozen=True)
class KerasCall(reading.Call):
    """One application of a Keras layer or operation, as its reader sees it.

    `layer` is the Keras object; `inputs` are the tensors that it was applied to, in order, and
    `arguments` everything that it was called with, by parameter name, with a `Value` for a tensor.
    `name` is the name of the node that will have the layer's output. `batch` is the extent of the
    batch axis where the model, or its code, is read at one. `masks` are those of inputs, by node,
    for layers inside the layer.
    """

    layer: Any
    name: str
    source: str
    kind: str
    inputs: tuple[Value, ...]
    arguments: Mapping[str, Any]
    batch: int | None = None
    masks: Mapping[str, Value] = field(default_factory=dict)

    @property
    def shape(self) -> Shape:
        """Unbatched shape of the first input."""
        return self.inputs[0].shape

    @property
    def axes(self) -> tuple[int, ...]:
        """The layer's axes, as those of the unbatched first input."""
        return unbatched_axes(self.layer.axis, len(self.shape))

    @property
    def axis(self) -> int:
        """The layer's one axis, as that of the unbatched first input."""
        return unbatched_axis(self.layer.axis, len(self.shape))

    def origin_of(self, part: str) -> tuple[str, str, str]:
        return f"{self.name}/{part}" if part else self.name, self.source, self.kind

    def refusal(self, reason: str, options: str) -> Refusal:
        return Refusal(self.source, self.kind, reason, options, callable=True)

    def add(self, layer: Layer, *values: Value, part: str = "") -> Value:
        """Add a graph layer and return its value.

        It reads the call's own inputs unless `values` names others. Without `part` its value is
        the source layer's output; with it, an intermediate value named `<layer>/<part>`. Raises
        `UnsupportedOp` where the shapes do not fit.
        """
        if not values and getattr(layer, "arity", None) != 0:
            values = self.inputs
        return super().add(layer, *values, part=part)

    def array_of(self, constant: Any) -> NDArray:
        return array(constant)

    def value(self, layer: Layer, *values: Value, part: str = "") -> Value:
        """The same as `add`."""
        return self.add(layer, *values, part=part)


Output = str | Value | NDArray | None
"""A node, a value, a constant `(1, *shape)`, or nothing known."""
Reader = Callable[[KerasCall], "Output | Sequence[Output]"]

_readers: dict[str, Reader] = {}
READERS: Mapping[str, Reader] = MappingProxyType(_readers)
"""Every reader by the kind of layer that it reads (read only)."""

_of_classes: dict[type, Reader] = {}
_arguments: dict[Reader, frozenset[str]] = {}


def reads(
    *kinds: str | type, arguments: Sequence[str] = (), replace: bool = False
) -> Callable[[Callable[[KerasCall], Any]], Callable[[KerasCall], Any]]:
    """Register a reader for Keras layers: your own, or those of a library.

    A kind is a class, or the name of one: a layer's, `"Dense"`, or `"ops."` and an operation's,
    `"ops.Relu"`. The reader adds the graph layers of one call and returns the value of the
    layer's output, or one value an output; it raises `UnsupportedOp` where it cannot. Example::

        from spikewright.frontends.keras import array, reads
        from spikewright.graph.layers import ScaleShift

        @reads(Scaled)
        def scaled(call):
            return call.value(ScaleShift(scale=array(call.layer.factor)))

    `arguments` are those arguments of the layer's call, beside its inputs, that a reader of
    Keras's own layers understands. With `replace` the reader takes the place of one that a kind
    has already, and without it that raises `ValueError`.
    """
    names = [kind for kind in kinds if isinstance(kind, str)]
    classes = [kind for kind in kinds if isinstance(kind, type)]

    def register(reader: Callable[[KerasCall], Any]) -> Callable[[KerasCall], Any]:
        taken = sorted(set(names) & set(_readers))
        taken += [kind.__name__ for kind in classes if kind in _of_classes]
        if taken and not replace:
            raise ValueError(
                f"{', '.join(taken)} can be read already. Give replace=True to put a reader in its "
                f"place; register a class of your own that has the name of another as the class "
                f"itself, reads(MyLayer)"
            )
        _readers.update(dict.fromkeys(names, reader))
        _of_classes.update(dict.fromkeys(classes, reader))
        _arguments[reader] = frozenset(arguments)
        return reader

    return register


def understood_by(reader: Reader) -> frozenset[str]:
    """Arguments of a layer's call, beside its inputs, that the reader takes account of."""
    return _arguments.get(reader, frozenset())


def readable_class(cls: Any) -> bool:
    """Whether a class itself, not its name, has a reader."""
    return isinstance(cls, type) and cls in _of_classes


def built_in(reader: Reader) -> bool:
    """Whether a reader is one of ours, which know the classes of Keras itself and no others."""
    return reader.__module__.startswith(f"{_PACKAGE}.")


def of_keras(operation: Any) -> bool:
    """Whether a layer or operation is of Keras itself or ours, not a class of someone else's."""
    return type(operation).__module__.split(".")[0] in ("keras", "spikewright")


def kind_of(operation: Any) -> str:
    """The name under which a Keras layer or operation is registered."""
    name = type(operation).__name__
    return name if isinstance(operation, require("keras").Layer) else f"ops.{name}"


def reader_of(operation: Any) -> Reader:
    """The reader of a Keras layer or operation; raises `UnsupportedOp` if there is none."""
    kind = kind_of(operation)
    reader = _of_classes.get(type(operation)) or _readers.get(kind)
    own = not of_keras(operation)
    if own and (reader is None or built_in(reader)):
        raise OwnCode(*why_not_code(f"{type(operation).__module__}.{type(operation).__name__}"))
    if reader is None:
        raise (OwnCode if is_code(kind) else UnsupportedOp)(*unsupported_reason(kind))
    return reader


def array(value: Any) -> NDArray:
    """A Keras variable, tensor or plain number as a NumPy array, float32 or float64."""
    found = np.asarray(value if _plain(value) else require("keras").ops.convert_to_numpy(value))
    return frozen(np.array(found, np.float64 if found.dtype == np.float64 else np.float32))


def _plain(value: Any) -> bool:
    return isinstance(value, int | float | list | tuple | np.ndarray | np.generic)


def plain_array(value: Any) -> NDArray:
    """An array, tensor or nested list as a NumPy array of its own type: indices, masks."""
    return np.asarray(value if _plain(value) else require("keras").ops.convert_to_numpy(value))


def unbatched_axes(axes: Any, rank: int) -> tuple[int, ...]:
    """One axis or several of Keras as axes of an unbatched shape; None, all of them, is refused."""
    several = axes if isinstance(axes, Sequence) else (axes,)
    return tuple(unbatched_axis(axis, rank) for axis in several)


def unbatched_axis(axis: Any, rank: int) -> int:
    """A Keras axis, which counts the batch, as an axis of an unbatched shape of this rank."""
    if axis is None:
        raise UnsupportedOp(
            "it works over all axes, the batch among them", "Name the axes, without axis 0"
        )
    axis = int(axis)
    if not -rank - 1 <= axis <= rank:
        raise UnsupportedOp(f"its axis {axis} does not exist in an input of rank {rank + 1}")
    if axis % (rank + 1) == 0:
        raise UnsupportedOp(
            "it works along the batch axis, which the graph leaves out",
            "Use another axis than 0",
        )
    return axis % (rank + 1) - 1
