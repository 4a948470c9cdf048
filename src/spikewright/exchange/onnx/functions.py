"""The array functions of equations as nodes of an ONNX graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from spikewright._base.equations.namespace import erf
from spikewright._base.windows import Windows, channels_last
from spikewright.network.neurons.integrator import integrate

Shape = tuple[int, ...]
_EMPTY = 0  # in a Reshape: the axis keeps its length


@dataclass(eq=False)
class OnnxWriter:
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


def _operator(operation: str) -> Callable[..., Any]:
    """An operator of arrays: the operation on one and on others."""
    return lambda self, *others: self.make(operation, *others)


def _turned(operation: str) -> Callable[[Any, Any], Any]:
    """An operator with another number or array in the first place."""

    def operator(self: OnnxArray, first: Any) -> Any:
        name = self.writer.node(operation, [name_of(self.writer, first), self.name])
        return OnnxArray(self.writer, name, np.broadcast_shapes(np.shape(first), self.shape))

    return operator


class OnnxArray:
    """An array of the graph: `name` in it, and the shape of one sample behind a first axis of 1."""

    __array_ufunc__ = None  # NumPy's arrays leave mixed arithmetic to this class

    def __init__(self, writer: OnnxWriter, name: str, shape: Shape) -> None:
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
        return OnnxArray(self.writer, self.writer.node(operation, names, **given), made)

    __add__ = __radd__ = _operator("Add")
    __mul__ = __rmul__ = _operator("Mul")
    __sub__, __rsub__ = _operator("Sub"), _turned("Sub")
    __truediv__, __rtruediv__ = _operator("Div"), _turned("Div")
    __rpow__ = _turned("Pow")
    __gt__, __ge__ = _operator("Greater"), _operator("GreaterOrEqual")
    __lt__, __le__ = _operator("Less"), _operator("LessOrEqual")
    __and__, __or__ = _operator("And"), _operator("Or")
    __neg__, __invert__ = _operator("Neg"), _operator("Not")
    __eq__ = _operator("Equal")
    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        """Raise `TypeError`: whether it is true is known where the graph is run."""
        raise TypeError("a symbol has no truth: what depends on it takes `xp.where`")

    def reshape(self, *shape: Any) -> Any:
        """Another shape; the first axis stays the batch."""
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        rest = np.empty(self.shape, np.bool_).reshape(wanted).shape[1:]
        place = self.writer.constant([_EMPTY, *rest], np.int64)
        return OnnxArray(self.writer, self.writer.node("Reshape", [self.name, place]), (1, *rest))

    def transpose(self, axes: Sequence[int]) -> Any:
        """Axes in another order."""
        return self.make("Transpose", shape=tuple(self.shape[a] for a in axes), perm=list(axes))

    def gather(self, places: NDArray[np.int64]) -> Any:
        """Values of each sample by their place in row-major order, `(batch, *places.shape)`."""
        flat = self.reshape(1, -1)
        index = self.writer.constant(places, np.int64)
        name = self.writer.node("Gather", [flat.name, index], axis=1)
        return OnnxArray(self.writer, name, (1, *places.shape))

    def gather_padded(self, places: NDArray[np.int64], padding: float) -> Any:
        """`gather` of places from 1, `padding` at place 0."""
        if places.min(initial=1) > 0:
            return self.gather(places - 1)
        flat = self.reshape(1, -1)
        pads = self.writer.constant([0, 1, 0, 0], np.int64)
        value = self.writer.constant(padding)
        name = self.writer.node("Pad", [flat.name, pads, value])
        wider = OnnxArray(self.writer, name, (1, flat.shape[1] + 1))
        return wider.gather(places)

    def __getitem__(self, index: Any) -> Any:
        """A part of every sample: the index leaves the batch alone."""
        size = math.prod(self.shape[1:])
        places = np.arange(size).reshape(self.shape)[index]
        return self.gather(places[0])

    def cast(self, kind: int) -> Any:
        """The values in another type of ONNX."""
        return self.make("Cast", to=kind)


def name_of(writer: OnnxWriter, value: Any) -> str:
    """The name of a symbol, or of a constant that is made of a number or array."""
    if isinstance(value, OnnxArray):
        return value.name
    dtype = np.bool_ if np.asarray(value).dtype == np.bool_ else np.float64
    return writer.constant(value, dtype)


def _plain(operation: str) -> Callable[[Any, Any], Any]:
    """A function of one array; of numbers that are no part of the graph, NumPy's own."""

    def function(self: Any, x: Any) -> Any:
        return x.make(operation) if isinstance(x, OnnxArray) else getattr(np, operation.lower())(x)

    return function


def _either(operation: str) -> Callable[[Any, Any, Any], Any]:
    """An elementwise function of two, one of which is an array of the graph."""

    def function(self: Any, first: Any, second: Any) -> Any:
        graph, other = (first, second) if isinstance(first, OnnxArray) else (second, first)
        return graph.make(operation, other)

    return function


def _over_axes(operation: str) -> Callable[..., Any]:
    """A function over axes of an array, which stay as axes of extent one where they are kept."""

    def function(self: Any, x: OnnxArray, axis: Any, keepdims: bool = False) -> Any:
        axes = [a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis)]
        kept: Shape = tuple(
            1 if a in axes else n for a, n in enumerate(x.shape) if keepdims or a not in axes
        )
        names = [x.name, x.writer.constant(axes, np.int64)]
        name = x.writer.node(operation, names, keepdims=int(keepdims))
        return OnnxArray(x.writer, name, kept)

    return function


class OnnxFunctions:
    """A namespace for the equations of neurons, curves and nodes.

    ONNX lacks `log1p`, `expm1` and, in float64, `erf` and `arctan`. They are made of what it has,
    to within a few units of the last place (Kahan's quotients; Cody's polynomials; a Newton step).
    """

    exp, log, tanh, sin, cos = map(_plain, ("Exp", "Log", "Tanh", "Sin", "Cos"))
    sqrt, floor, sign, abs = map(_plain, ("Sqrt", "Floor", "Sign", "Abs"))

    def __init__(self, writer: OnnxWriter) -> None:
        self._writer = writer

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(f"a time step in ONNX has no function {name!r} for equations")

    def erf(self, x: OnnxArray) -> Any:
        """The error function."""
        return erf(x, self)

    def arctan(self, x: Any) -> Any:
        """That of single precision, and one step of Newton's method from there."""
        if not isinstance(x, OnnxArray):
            return math.atan(x)
        x = self.minimum(self.maximum(x, -1e17), 1e17)  # beyond it is the same number
        near = x.cast(TensorProto.FLOAT).make("Atan").cast(TensorProto.DOUBLE)
        sine, cosine = self.sin(near), self.cos(near)
        return near + (x * cosine - sine) / (cosine + x * sine)

    def log1p(self, x: OnnxArray) -> Any:
        """`ln(1 + x)` as `x ln(u) / (u - 1)`, `u = 1 + x` rounded."""
        u = 1.0 + x
        same = u == 1.0
        return self.where(same, x, self.log(u) * (x / self.where(same, 1.0, u - 1.0)))

    def expm1(self, x: Any) -> Any:
        """`exp(x) - 1` as `(u - 1) x / ln(u)`, `u = exp(x)` rounded."""
        if not isinstance(x, OnnxArray):
            return math.expm1(x)
        u = self.exp(x)
        same, gone = u == 1.0, u < 0.5
        found = (u - 1.0) * (x / self.where(same | gone, 1.0, self.log(u)))
        return self.where(same, x, self.where(gone, u - 1.0, found))

    def power(self, x: OnnxArray, exponent: float) -> Any:
        """`x ^ exponent`."""
        return x.make("Pow", exponent)

    def isfinite(self, x: OnnxArray) -> Any:
        """Where values are finite."""
        return ~(x.make("IsNaN") | x.make("IsInf"))

    def greater(self, x: OnnxArray, other: Any) -> Any:
        """Where a neuron fires: above its threshold."""
        return x > other

    def greater_equal(self, x: OnnxArray, other: Any) -> Any:
        """Where a neuron fires: at or above its threshold."""
        return x >= other

    maximum, minimum = map(_either, ("Max", "Min"))

    def where(self, condition: OnnxArray, first: Any, second: Any) -> Any:
        """Elementwise choice."""
        return condition.make("Where", first, second)

    def zeros_like(self, x: OnnxArray) -> Any:
        """Zeros in the shape of an array."""
        return 0.0 * x

    def constant(self, array: NDArray) -> NDArray:
        """An array that does not change is written where it is used."""
        return array

    sum, mean, amax = map(_over_axes, ("ReduceSum", "ReduceMean", "ReduceMax"))

    def swapaxes(self, x: OnnxArray, first: int, second: int) -> Any:
        """Two axes change places."""
        axes = list(range(x.ndim))
        axes[first], axes[second] = axes[second], axes[first]
        return x.transpose(axes)

    def matmul(self, first: OnnxArray, second: OnnxArray) -> Any:
        """Matrix products over the last two axes."""
        shape = (*np.broadcast_shapes(first.shape[:-2], second.shape[:-2]),
                 first.shape[-2], second.shape[-1])  # fmt: skip
        return first.make("MatMul", second, shape=shape)

    def rows(self, table: NDArray, numbers: OnnxArray) -> Any:
        """Rows of a table by the nearest numbers that rows have."""
        nearest = self.minimum(self.maximum(numbers.make("Round"), 0.0), float(len(table) - 1))
        names = [self._writer.constant(table), nearest.cast(TensorProto.INT64).name]
        name = self._writer.node("Gather", names, axis=0)
        return OnnxArray(self._writer, name, (*numbers.shape, *table.shape[1:]))

    def max_pool(self, x: OnnxArray, windows: Windows, last: bool) -> Any:
        """Maximum over sliding windows."""
        return reduce(self.maximum, taps(x, windows, last, -np.inf))

    def integrate(self, *arrays: Any, **bounds: Any) -> tuple[Any, Any]:
        """The soft-reset integrator (see `spikewright.network.neurons.base.Integrate`)."""
        return integrate(*arrays, **bounds, xp=self)


def numbered(shape: Shape) -> NDArray[np.int64]:
    """The places of a sample's values from 1, `(1, *shape)`: 0 is left for what lies outside."""
    return np.arange(1, math.prod(shape) + 1).reshape(1, *shape)


def taps(x: OnnxArray, windows: Windows, last: bool, padding: float) -> list[Any]:
    """The values under every position of a window, one array a position, in order."""
    places = channels_last(numbered(x.shape[1:]), last)
    found = []
    for _, view in windows.taps(places):
        index = view if last else np.moveaxis(view, -1, 1)
        found.append(x.gather_padded(index[0], padding))
    return found
