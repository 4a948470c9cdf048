"""The registry of readers of operators, and reasons why others have none."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from spikewright.advice import advise
from spikewright.frontends.reading.reasons import (
    COMPARES,
    JUMPS,
    NO_READER,
    ORDERS,
    PLACES,
    Reason,
    by_kind,
)

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


def why_not(target: str) -> Reason:
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


if TYPE_CHECKING:
    from spikewright.frontends.pytorch.call import Call

Reader = Callable[["Call"], Any]
R = TypeVar("R", bound=Reader)

_registry: dict[str, Reader] = {}
READERS = MappingProxyType(_registry)
"""The reading of every operator, by its full name such as `aten.relu.default` (read only)."""


def reads(*targets: str, replace: bool = False) -> Callable[[R], R]:
    """Decorator: use this function to read the operators of these full names.

    It takes a `Call` and returns the `Value` that the operator makes, or a tuple of them (None
    where an element has no reading) for operators with several results; it raises `Unreadable` to
    refuse. With `replace` it takes the place of existing readings; without it a name that is
    taken raises `ValueError`.
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
