"""Arrays of an ONNX graph under construction: every operation on one is a node of the graph.

A symbol stands for float64 values `(batch, *shape)`, or for a mask of them. The batch is open: its
axis counts as one here, as an axis of one does that broadcasts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

Shape = tuple[int, ...]
_EMPTY = 0  # in a Reshape: the axis keeps its length


@dataclass(eq=False)
class Writer:
    """Collects nodes and constants, equal constants once."""

    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)
    _known: dict[tuple[str, Shape, bytes], str] = field(default_factory=dict)

    def constant(self, value: Any, dtype: Any = np.float64) -> str:
        """The name of a constant."""
        array = np.array(value, dtype, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = name = f"constant_{len(self._known)}"
            self.constants.append(numpy_helper.from_array(array, name))
        return self._known[key]

    def node(self, operation: str, inputs: Sequence[str], **attributes: Any) -> str:
        """The name of the output of a new node."""
        name = f"{operation}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, list(inputs), [name], name, **attributes))
        return name

    def named(self, name: str, output: str) -> None:
        """Give an output a name of its own."""
        self.nodes.append(helper.make_node("Identity", [name], [output], f"output {output}"))


class Symbol:
    """An array of the graph: `name` in it, and the shape of one sample behind a first axis of 1."""

    __array_ufunc__ = None  # NumPy's arrays leave mixed arithmetic to this class

    def __init__(self, writer: Writer, name: str, shape: Shape) -> None:
        self.writer, self.name, self.shape = writer, name, shape

    @property
    def ndim(self) -> int:
        """Number of axes, the batch among them."""
        return len(self.shape)

    def make(self, operation: str, *others: Any, shape: Shape | None = None, **given: Any) -> Any:
        """A node of this array and others, elementwise unless a shape is given."""
        names = [self.name, *(name_of(self.writer, other) for other in others)]
        shapes = [self.shape, *(np.shape(other) for other in others)]
        made = np.broadcast_shapes(*shapes) if shape is None else shape
        return Symbol(self.writer, self.writer.node(operation, names, **given), made)

    def _turned(self, operation: str, first: Any) -> Any:
        """The operation with another number or array in the first place."""
        name = self.writer.node(operation, [name_of(self.writer, first), self.name])
        return Symbol(self.writer, name, np.broadcast_shapes(np.shape(first), self.shape))

    def __add__(self, other: Any) -> Any:
        return self.make("Add", other)

    def __sub__(self, other: Any) -> Any:
        return self.make("Sub", other)

    def __mul__(self, other: Any) -> Any:
        return self.make("Mul", other)

    def __truediv__(self, other: Any) -> Any:
        return self.make("Div", other)

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, first: Any) -> Any:
        return self._turned("Sub", first)

    def __rtruediv__(self, first: Any) -> Any:
        return self._turned("Div", first)

    def __rpow__(self, first: Any) -> Any:
        return self._turned("Pow", first)

    def __neg__(self) -> Any:
        return self.make("Neg")

    def __gt__(self, other: Any) -> Any:
        return self.make("Greater", other)

    def __ge__(self, other: Any) -> Any:
        return self.make("GreaterOrEqual", other)

    def __lt__(self, other: Any) -> Any:
        return self.make("Less", other)

    def __le__(self, other: Any) -> Any:
        return self.make("LessOrEqual", other)

    def __eq__(self, other: Any) -> Any:
        return self.make("Equal", other)

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        """Raise `TypeError`: whether it is true is known where the graph is run."""
        raise TypeError("a symbol has no truth: what depends on it takes `xp.where`")

    def __and__(self, other: Any) -> Any:
        return self.make("And", other)

    def __or__(self, other: Any) -> Any:
        return self.make("Or", other)

    def __invert__(self) -> Any:
        return self.make("Not")

    def reshape(self, *shape: Any) -> Any:
        """Another shape; the first axis stays the batch."""
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        rest = np.empty(self.shape, np.bool_).reshape(wanted).shape[1:]
        place = self.writer.constant([_EMPTY, *rest], np.int64)
        return Symbol(self.writer, self.writer.node("Reshape", [self.name, place]), (1, *rest))

    def transpose(self, axes: Sequence[int]) -> Any:
        """Axes in another order."""
        return self.make("Transpose", shape=tuple(self.shape[a] for a in axes), perm=list(axes))

    def gather(self, places: NDArray[np.int64]) -> Any:
        """Values of each sample by their place in row-major order, `(batch, *places.shape)`."""
        flat = self.reshape(1, -1)
        index = self.writer.constant(places, np.int64)
        name = self.writer.node("Gather", [flat.name, index], axis=1)
        return Symbol(self.writer, name, (1, *places.shape))

    def gather_padded(self, places: NDArray[np.int64], padding: float) -> Any:
        """`gather` of places from 1, `padding` at place 0."""
        if places.min(initial=1) > 0:
            return self.gather(places - 1)
        flat = self.reshape(1, -1)
        pads = self.writer.constant([0, 1, 0, 0], np.int64)
        value = self.writer.constant(padding)
        name = self.writer.node("Pad", [flat.name, pads, value])
        wider = Symbol(self.writer, name, (1, flat.shape[1] + 1))
        return wider.gather(places)

    def __getitem__(self, index: Any) -> Any:
        """A part of every sample: the index leaves the batch alone."""
        size = math.prod(self.shape[1:])
        places = np.arange(size).reshape(self.shape)[index]
        return self.gather(places[0])

    def cast(self, kind: int) -> Any:
        """The values in another type of ONNX."""
        return self.make("Cast", to=kind)


def name_of(writer: Writer, value: Any) -> str:
    """The name of a symbol, or of a constant that is made of a number or array."""
    if isinstance(value, Symbol):
        return value.name
    dtype = np.bool_ if np.asarray(value).dtype == np.bool_ else np.float64
    return writer.constant(value, dtype)
