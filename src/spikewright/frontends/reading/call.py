"""A call of a foreign model as its reader sees it, its values, and the ways to give one up."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from spikewright._base.budget import MORE_BYTES, MORE_NODES, current
from spikewright.errors import GraphError, Refusal
from spikewright.frontends.source import GraphBuilder, shape_made
from spikewright.graph import Graph
from spikewright.graph.layers import (
    Activation,
    Broadcast,
    Constant,
    Crop,
    Identity,
    Layer,
    Permute,
    Reshape,
    ScaleShift,
    Shape,
    Slice,
)


class Reason(NamedTuple):
    """The reason against an operation, and the user's options."""

    reason: str
    options: str


NO_READER = "no reading of this operator is registered"

JUMPS = Reason(
    "it jumps, so that small differences of its input make large ones",
    "Move it out of the model, or train with a continuous function such as clip or sigmoid",
)
ROUNDS = Reason(
    JUMPS.reason,
    "Round to `step * clip(floor(x / step + start), 0, levels)`, of numbers, as "
    "sw.torch.RoundedReLU and sw.keras.RoundedReLU do; or train with a continuous function",
)
COMPARES = Reason(
    "it computes truth values from the data; values here are real numbers",
    "Write the choice with functions such as relu, clip, maximum or minimum",
)
ORDERS = Reason(
    "it sorts values, or makes positions out of them, which no layer of a network does",
    "Choose from the outputs",
)
LOOKS_UP = Reason(
    "it looks up texts or whole numbers, or counts matches, and a network takes real numbers",
    "Apply it to the data, before the network",
)
PLACES = Reason(
    "the places where it reads or writes are computed from the data",
    "Use constant places, or give the model the chosen values as its input",
)


def by_kind(*families: tuple[Reason, str]) -> Mapping[str, Reason]:
    """The reason against each kind of operation, from families of kinds apart by spaces."""
    return {kind: reason for reason, kinds in families for kind in kinds.split()}


class UnsupportedOp(Exception):
    """Raised by a reader: the reason why this layer cannot be read, and the user's options."""

    def __init__(self, reason: str, options: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.options = options


class UnsupportedInput(Exception):
    """Raised where a layer reads what was refused already: there is nothing to add to that."""


class Layout(Enum):
    """Whether a foreign value of one sample has a first axis of extent one that the graph's lacks.

    Models are read at a batch of one, at which no axis of extent one can mix anything: an axis of
    samples that is merged with another, `x.view(-1, channels)`, is that other axis.
    """

    BATCH_FIRST = True
    UNBATCHED = False

    @property
    def axis(self) -> int | None:
        """The foreign axis that the graph's value lacks, if there is one."""
        return 0 if self.value else None

    def rank(self, own: int) -> int:
        """Number of foreign axes of a value with `own` axes in the graph."""
        return own + self.value

    def sample_axis(self, axis: int) -> int:
        """The graph's axis that another foreign axis (counted from the front) is."""
        return axis - self.value

    def full(self, shape: Shape) -> Shape:
        """The foreign shape of a value that has this shape in the graph."""
        return (1, *shape) if self.value else tuple(shape)


BATCH_FIRST = Layout.BATCH_FIRST
"""The layout of almost every value."""

UNBATCHED = Layout.UNBATCHED
"""The layout of a value whose first axis is longer, as of several windows of one sample."""


def sample_shape(full: Sequence[int]) -> Shape:
    """The graph's shape of a foreign value of one sample: without a first axis of extent one."""
    return tuple(full[1:]) if layout_of(full) is BATCH_FIRST else tuple(full)


def layout_of(full: Sequence[int]) -> Layout:
    """The layout of a foreign value of this shape."""
    return BATCH_FIRST if full and full[0] == 1 else UNBATCHED


@dataclass(frozen=True)
class Value:
    """A value that depends on the input: the graph's node that holds it, and its unbatched shape.

    `name` is None where an earlier layer could not be read; the shape is then that which the
    foreign model declares. `layout` says whether the foreign value has a batch axis of extent one.
    `whole` is not 0 where the foreign value holds whole numbers, and `truth` says that it holds
    truth values, which are ones and zeros here. `masked` is True where the foreign value is minus
    infinity, which only a softmax can take; the node's value there is finite. It broadcasts against
    the shape. Where that depends on the data, `seen` holds truth values of the same shape: where
    they do not hold, the foreign value is minus infinity, or nearly.
    """

    name: str | None
    shape: Shape
    layout: Layout = BATCH_FIRST
    whole: int = 0
    truth: bool = False
    masked: NDArray | None = field(default=None, compare=False)
    seen: Value | None = field(default=None, compare=False)

    @property
    def rank(self) -> int:
        """Number of axes in the foreign model, its batch axis included."""
        return self.layout.rank(len(self.shape))

    @property
    def is_finite(self) -> bool:
        """Whether the foreign value is nowhere minus infinity."""
        return self.masked is None and self.seen is None

    def becomes(self, name: str | None, shape: Shape) -> Value:
        """What an operation makes of it: real and finite numbers, the batch in the same place."""
        return replace(self, name=name, shape=shape, whole=0, truth=False, masked=None, seen=None)


Operand = Value | NDArray
"""A value, or a constant that broadcasts against a sample."""


def finite(value: Value) -> Value:
    """The value; refuses one that is minus infinity in places."""
    if value.masked is not None:
        raise UnsupportedOp(
            "it reads values that are minus infinity, which only a softmax can take",
            "Apply the mask right before the softmax.",
        )
    return value


def common_shape(*operands: Operand) -> Shape:
    """The shape that all broadcast to; raises `UnsupportedOp` where there is none."""
    shapes = [operand.shape for operand in operands]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        if any(isinstance(operand, Value) and operand.name is None for operand in operands):
            raise UnsupportedInput from None  # the shapes are stand-ins
        raise UnsupportedOp(f"its inputs of shapes {shapes} do not broadcast") from None


def alike(first: NDArray, second: NDArray) -> bool:
    """Whether arrays that broadcast differ by no more than sums in another order do."""
    if first.dtype.kind != "f":
        return bool((first == second).all())
    finite = np.abs(first[np.isfinite(first)])
    rounding = 64 * np.finfo(first.dtype).eps * finite.max(initial=0)
    return np.allclose(first, second, rtol=0, atol=rounding, equal_nan=True)


def afford(values: float, itemsize: int = 8) -> None:
    """Count so many numbers; raises `UnsupportedOp` where the file's budget has no room for them.

    Nothing is counted while a live model is read: its user made it.
    """
    budget = current()
    if budget is None:
        return
    if reason := budget.spend(int(min(values, 2.0**100)) * itemsize):
        raise UnsupportedOp(f"it makes {int(values)} values, which take {reason}", MORE_BYTES)


def afford_nodes(count: int, what: str) -> None:
    """Count so many nodes of `what`; raises `UnsupportedOp` where the budget is spent."""
    budget = current()
    if budget is not None and (reason := budget.spend_nodes(count)):
        raise UnsupportedOp(f"{what}: {reason}", MORE_NODES)


def afford_call(graph: Graph) -> None:
    """Count the largest value that a model of a file has for one sample, before it is called.

    Raises `DamagedFileError` where the file's budget has no room for it.
    """
    budget = current()
    if budget is not None:
        name, shape = max(graph.shapes.items(), key=lambda item: math.prod(item[1]))
        budget.take(4 * math.prod(shape), f"for one sample, the value of {name!r}")


_MOVES = (Broadcast, Crop, Identity, Permute, Reshape, Slice)
_TAKES_HIDDEN = ("softmax", "exp", "sigmoid", "relu")
"""Functions that make zero of minus infinity and of its stand-in."""

MIXES = "Keep the batch axis first and apart: samples cannot be mixed in a spiking network."


@dataclass(frozen=True)
class Call(ABC):
    """One call, by whichever framework: what it needs of a graph, in the words of all readers.

    All shapes and axes leave the batch out; those of the framework are translated before. Parts
    of a call have names of their own, and the layer without one is its result. What is read
    `within` a part is a part of that.
    """

    builder: GraphBuilder = field(kw_only=True)
    within: str = field(default="", kw_only=True)

    @abstractmethod
    def origin_of(self, part: str) -> tuple[str, str, str]:
        """The name wanted for a part's node, and the name and kind of the source's layer."""

    def named(self, part: str) -> tuple[str, str, str]:
        """As `origin_of`, of a part within this one."""
        return self.origin_of("/".join(filter(None, [self.within, part])))

    def inside(self, part: str) -> Self:
        """The call, to add layers that are a part of it; itself for no part."""
        return replace(self, within="/".join(filter(None, [self.within, part])))

    @abstractmethod
    def array_of(self, constant: Any) -> NDArray:
        """A foreign constant as an array with all of its axes."""

    @abstractmethod
    def refusal(self, reason: str, options: str) -> Refusal:
        """A refusal of the source's layer."""

    def rank_of(self, operand: Any) -> int:
        """Number of axes of a value or constant in the foreign model."""
        return operand.rank if isinstance(operand, Value) else np.ndim(operand)

    def add(self, layer: Layer, *values: Value, part: str = "") -> Value:
        """Add a node; without `part` it gets the call's own name and is its result.

        Raises `UnsupportedOp` where shapes do not fit.
        """
        try:
            shape = shape_made(layer, *(value.shape for value in values))
        except GraphError as error:
            if any(value.name is None for value in values):
                raise UnsupportedInput from None  # the shapes are stand-ins
            raise UnsupportedOp(str(error)) from None
        name = self._made(layer, [value.name for value in values], part)
        if not values:
            return Value(name, shape)
        return replace(values[0].becomes(name, shape), seen=self._seen(layer, values, part))

    def _seen(self, layer: Layer, values: Sequence[Value], part: str) -> Value | None:
        """The positions that the data does not hide after a layer; refuses where it reads them."""
        hidden = [value for value in values if value.seen is not None]
        if not hidden or (isinstance(layer, Activation) and layer.function in _TAKES_HIDDEN):
            return None
        if len(values) > 1 or not isinstance(layer, _MOVES):
            raise UnsupportedOp(
                "it reads values that a mask of the data makes minus infinity, or nearly",
                "Apply the mask to the scores right before the softmax.",
            )
        (value,) = hidden
        assert value.seen is not None
        return self.add(layer, value.seen, part=f"{part}/seen".lstrip("/"))

    def node(self, layer: Layer, *inputs: str, part: str = "") -> str:
        """Add a layer behind known nodes; raises `UnsupportedInput` where the shapes do not fit."""
        name = self._made(layer, inputs, part)
        if name is None:
            raise UnsupportedInput  # the builder has noted the reason
        return name

    def _made(self, layer: Layer, inputs: Sequence[str | None], part: str) -> str | None:
        wanted, source, kind = self.named(part)
        return self.builder.add(wanted, layer, *inputs, source=source, kind=kind)

    def placed(self, name: str, layout: Layout = BATCH_FIRST) -> Value:
        """The value of a known node."""
        return Value(name, self.builder.shapes[name], layout)

    def chain(self, value: Value, *steps: tuple[str, Layer | None], part: str = "") -> Value:
        """Add named layers one after another, leaving out None; the last one gets the name."""
        layers = [(step, layer) for step, layer in steps if layer is not None]
        if not layers:
            return self.add(Identity(), value, part=part)
        for step, layer in layers[:-1]:
            value = self.add(layer, value, part=f"{part}/{step}" if part else step)
        return self.add(layers[-1][1], value, part=part)

    def negated(self, value: Value, part: str = "negative") -> Value:
        """`-x`."""
        return self.add(ScaleShift(scale=np.array(-1.0)), value, part=part)

    def operands(self, *given: Any) -> list[Operand]:
        """Values of one rank, and constants that broadcast beside them."""
        found = [x if isinstance(x, Value) else self.against(x) for x in given]
        rank = max(len(x.shape) for x in found)
        return [self.lift(x, rank) if isinstance(x, Value) else x for x in found]

    def against(self, constant: Any) -> NDArray:
        """A foreign constant as it broadcasts against values of the graph."""
        array = self.array_of(constant)
        return array.reshape(sample_shape(array.shape))

    def expand(self, value: Value, shape: Shape, part: str = "broadcast") -> Value:
        """Repeat a value along axes of extent one so that it has `shape`, if it has not yet."""
        if value.shape == shape:
            return value
        made = self.add(Broadcast(shape), value, part=part)
        return replace(value, name=made.name, shape=shape)

    def lift(self, value: Value, rank: int, part: str = "aligned") -> Value:
        """The value with axes of extent one in front, so that it has `rank` axes of its own."""
        missing = rank - len(value.shape)
        if missing <= 0:
            return value
        made = self.add(Reshape((1,) * missing + value.shape), value, part=part)
        return replace(value, name=made.name, shape=made.shape)

    def aligned(self, *values: Value) -> list[Value]:
        """Values with ranks made equal."""
        rank = max(len(value.shape) for value in values)
        return [self.lift(value, rank) for value in values]

    def constant_like(self, array: NDArray, like: Value, part: str = "constant") -> Value:
        """A constant as a value of the layout of another one."""
        made = self.add(Constant(np.asarray(array, np.float64)), part=part)
        return like.becomes(made.name, made.shape)
