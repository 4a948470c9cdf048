"""One operator of an exported program as its reading sees it, and the registry of readings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright._base.arguments import frozen
from spikewright.advice import advise
from spikewright.errors import Refusal
from spikewright.frontends.reading import call as reading
from spikewright.frontends.reading.call import (
    BATCH_FIRST,
    COMPARES,
    JUMPS,
    NO_READER,
    ORDERS,
    PLACES,
    UNBATCHED,
    Reason,
    UnsupportedOp,
    Value,
    by_kind,
    finite,
    layout_of,
    sample_shape,
)
from spikewright.graph.layers import Permute, Reshape


@dataclass(frozen=True)
class ArgumentPlace:
    """The origin of an operator.

    `name` is the name of its node, `source` the layer that it belongs to, `kind` that
    layer's class or the operator, `location` the user's `file:line`.
    """

    name: str
    source: str
    kind: str
    location: str

    def refusal(
        self, target: str, reason: str, options: str = "", callable: bool = False
    ) -> Refusal:
        """The refusal of an operator that stands here."""
        kind = f"{self.kind}: {target}"
        return Refusal(self.name, kind, reason, options, self.location, callable=callable)


def to_array(value: Any) -> NDArray:
    """A tensor or number as its own float32 or float64 array."""
    if not isinstance(value, torch.Tensor):
        return np.asarray(value, np.float64)
    dense = value.detach().to("cpu")
    if dense.dtype != torch.float64:
        dense = dense.to(torch.float32)
    return dense.numpy().copy()


class AlongFirstAxis(Exception):
    """Raised where an operator works along a first axis of extent one."""


@dataclass(frozen=True)
class TorchCall(reading.Call):
    """One operator: its arguments by the names of its schema, and ways to add its layers.

    The program is that of one sample. Arguments that depend on the input are `Value`s; parameters,
    buffers and values computed from them alone are tensors. `dtype` is that of the first tensor,
    `precision` that of the program's inputs and parameters. `notes` holds the messages between
    readings of one program. The module itself is at hand where it is `live`.
    """

    target: str
    arguments: Mapping[str, Any]
    results: Any
    place: ArgumentPlace
    dtype: Any = None
    precision: Any = None
    notes: dict[Any, Any] = field(default_factory=dict)
    live: bool = False

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The argument, or `default` where the operator has none of that name."""
        return self.arguments.get(name, default)

    def value(self, name: str) -> Value:
        """The argument as a value that depends on the input."""
        argument = self.arguments[name]
        if not isinstance(argument, Value):
            raise UnsupportedOp(f"its operand {name!r} is a constant, it must depend on the input")
        return finite(argument)

    def sample(self, name: str) -> Value:
        """The argument without its batch axis of extent one, as layers over windows need it."""
        value = self.value(name)
        if value.layout == BATCH_FIRST:
            return value
        raise UnsupportedOp(
            f"its operand {name!r} of shape {value.shape} has no batch axis, or is several of one "
            "sample",
            "Give it one sample in front of the other axes: x.unsqueeze(0).",
        )

    def windows(self, name: str, spatial: int) -> Value:
        """The argument as one image `(channels, *spatial)`, or as several of them."""
        value = self.value(name)
        return self.opened(value, "channel") if len(value.shape) == spatial else value

    def array(self, name: str) -> NDArray:
        """The argument as a constant array of float32 or float64."""
        argument = self.arguments[name]
        if isinstance(argument, torch.Tensor):
            return frozen(to_array(argument))
        raise UnsupportedOp(
            f"its {name!r} depends on the input",
            "Only products with constant weights can be read.",
        )

    def optional_array(self, name: str) -> NDArray | None:
        """Like `array`; None where the argument is None."""
        return None if self.arguments[name] is None else self.array(name)

    def numbers(self, name: str, count: int) -> tuple[int, ...]:
        """The argument as `count` whole numbers; one number stands for all of them."""
        argument = self.arguments[name]
        numbers = [argument] if isinstance(argument, int) else list(argument)
        return tuple(numbers * count if len(numbers) == 1 else numbers)

    def axis(self, value: Value, dim: int) -> int:
        """The axis of the graph's value that the program's axis `dim` is.

        Raises `AlongFirstAxis` for the first axis of extent one, which the graph's value lacks: the
        operator is read again then, of values that have it.
        """
        axis = dim % max(value.rank, 1)
        if axis == value.layout.axis:
            raise AlongFirstAxis
        return value.layout.sample_axis(axis)

    def along(self) -> tuple[Value, int]:
        """The argument `self` as a value, and the axis of it that `dim` is."""
        value = self.value("self")
        return value, self.axis(value, self["dim"])

    def opened(self, value: Value, part: str) -> Value:
        """The value with the first axis of extent one that the program's has, if it lacks it."""
        if value.layout != BATCH_FIRST:
            return value
        made = self.add(Reshape((1, *value.shape)), value, part=part)
        return replace(value, name=made.name, shape=made.shape, layout=UNBATCHED)

    def settled(self, value: Value, sizes: Sequence[int]) -> Value:
        """The value as the tensor of these sizes that it is: axes of extent one are moved."""
        shape, layout = sample_shape(sizes), layout_of(sizes)
        if value.shape == shape:
            return replace(value, layout=layout)
        if _wide(value.shape) != _wide(shape):
            raise UnsupportedOp(
                f"PyTorch makes {pretty(sizes)} of it, which does not match its reading "
                f"{pretty(value.shape)}"
            )
        made = self.add(Reshape(shape), value, part="sample")
        masked = value.masked
        if masked is not None:
            masked = np.broadcast_to(masked, value.shape).reshape(shape)
        return replace(value, name=made.name, shape=shape, layout=layout, masked=masked)

    def origin_of(self, part: str) -> tuple[str, str, str]:
        place = self.place
        return f"{place.name}/{part}" if part else place.name, place.source, place.kind

    def view(self, value: Value, sizes: Sequence[int], part: str = "") -> Value:
        """The value under the program's `sizes`, in row-major order."""
        made = self.add(Reshape(sample_shape(sizes)), value, part=part)
        return replace(made, layout=layout_of(sizes))

    def reorder(self, value: Value, order: Sequence[int], part: str = "") -> Value:
        """The value with the program's axes in another order."""
        first = value.layout == BATCH_FIRST
        sizes = (1, *value.shape) if first else value.shape
        order = [axis % max(len(sizes), 1) for axis in order]
        made = [sizes[axis] for axis in order]
        own = tuple(axis - first for axis in order if not first or axis)
        if first and order[0] == 0:
            return self.add(Permute(own), value, part=part)
        wide = [axis for axis in own if value.shape[axis] > 1]
        turned = None if wide == sorted(wide) else Permute(own)
        before = value.shape if turned is None else tuple(value.shape[axis] for axis in own)
        shape = sample_shape(made)
        reshaped = None if shape == before else Reshape(shape)
        moved = self.chain(value, ("order", turned), ("", reshaped), part=part)
        return replace(moved, layout=layout_of(made))

    def refusal(self, reason: str, options: str) -> Refusal:
        return self.place.refusal(self.target, reason, options, self.live)

    def array_of(self, constant: Any) -> NDArray:
        return frozen(to_array(constant))


def _wide(shape: Sequence[int]) -> list[int]:
    """The extents that are not one."""
    return [n for n in shape if n != 1]


def pretty(shape: Sequence[Any]) -> str:
    """A shape as text."""
    return f"({', '.join(map(str, shape))})"


_PACKED = Reason(
    "a packed sequence has as many steps as the data says, and a graph has a fixed number",
    "Give the module itself, whose pack_padded_sequence is read for inputs that are padded, or "
    "sequences of one length.",
)
LIVE_NORM = Reason(
    "it normalises with statistics of the current batch, so that samples depend on each other",
    "Use BatchNorm with track_running_stats=True, GroupNorm or LayerNorm.",
)
STATE = Reason(
    "the forward pass changes it, so outputs depend on earlier inputs",
    "Give the state to forward as an argument, batch axis first, and return the new state.",
)
WHOLE = Reason(
    "it makes whole numbers or truth values of the input, which jump where the input changes",
    "Where the input is a mask, leave it out, or make it a constant of a module around this one. "
    "Numbers of rows are to be whole in the example too.",
)
_FUSED = Reason(
    "it is an operator that PyTorch fuses for speed",
    "Call torch.backends.mha.set_fastpath_enabled(False) before the export.",
)

_ONE_NUMBER = Reason(
    "it turns a value into a Python number, which is the same for all samples",
    "Keep values in tensors with a batch axis.",
)
_BAGS = Reason(
    "it lays the bags of all samples in one row",
    "Use nn.Embedding, and .sum(1), .mean(1) or .amax(1) of its output.",
)
_REASONS = by_kind(
    (_PACKED, "_pack_padded_sequence _pad_packed_sequence lstm gru rnn_tanh rnn_relu"),
    (_FUSED, "_native_multi_head_attention _transformer_encoder_layer_fwd"),
    (LIVE_NORM, "_native_batch_norm_legit"),
    (JUMPS, "sign fmod remainder heaviside"),
    (
        COMPARES,
        "eq ne __and__ __or__ __xor__ logical_and logical_or logical_xor logical_not bitwise_and "
        "bitwise_or bitwise_not isin any all",
    ),
    (ORDERS, "kthvalue median mode msort nonzero masked_select unique"),
    (_ONE_NUMBER, "item _local_scalar_dense"),
    (PLACES, "index_put scatter grid_sampler grid_sampler_2d"),
    (_BAGS, "embedding_bag _embedding_bag _embedding_bag_forward_only"),
)


def unsupported_reason(target: str) -> Reason:
    """Reason and options for an operator without a reading, by its full name."""
    namespace, _, rest = target.partition(".")
    unknown = Reason(
        NO_READER,
        advise("reader of a PyTorch operator", target=target),
    )
    return _REASONS.get(rest.split(".")[0], unknown) if namespace == "aten" else unknown


_TAILS = frozenset(("argmax", "argmin", "topk", "sort", "argsort", "nonzero", "nms"))


def is_tail(target: str) -> bool:
    """Whether models end in an operator to answer with positions: `outputs` cuts it."""
    return target.partition(".")[2].split(".")[0] in _TAILS


Reader = Callable[[TorchCall], Any]
R = TypeVar("R", bound=Reader)

_registry: dict[str, Reader] = {}
READERS = MappingProxyType(_registry)
"""The reading of every operator, by its full name such as `aten.relu.default` (read only)."""


def reads(*targets: str, replace: bool = False) -> Callable[[R], R]:
    """Decorator: use this function to read the operators of these full names.

    It takes a `TorchCall` and returns the `Value` that the operator makes, or a tuple of them for
    operators with several results (None where one has no reading, those behind the last alike); it
    raises `UnsupportedOp` to refuse. With `replace` it takes the place of existing readings;
    without it a name that is taken raises `ValueError`.
    """

    def register(function: R) -> R:
        taken = [target for target in targets if target in _registry]
        if taken and not replace:
            raise ValueError(
                f"there is a reading of {', '.join(taken)} already. Give replace=True to put "
                "another in its place"
            )
        _registry.update(dict.fromkeys(targets, function))
        return function

    return register
