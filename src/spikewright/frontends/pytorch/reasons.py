"""Reasons why some operators have no reading, and the alternatives."""

from __future__ import annotations

_PACKED = (
    "a packed sequence has as many steps as the data says, and a graph has a fixed number",
    "Give it sequences of one length, without pack_padded_sequence.",
)
LIVE_NORM = (
    "it normalises with statistics of the current batch, so that samples depend on each other",
    "Use BatchNorm with track_running_stats=True, GroupNorm or LayerNorm.",
)
STATE = (
    "the forward pass changes it, so outputs depend on earlier inputs",
    "Give the state to forward as an argument, batch axis first, and return the new state.",
)
_ROUNDING = (
    "its value jumps where the input changes ever so little, so that no mean over time tends to it",
    "Move it out of the model, or use a continuous function such as clamp or sigmoid.",
)
_CHOICE = (
    "which value it gives depends on a comparison of inputs, which jumps",
    "Write it with functions such as relu, clamp, maximum or minimum.",
)
WHOLE = (
    "it makes whole numbers or truth values of the input, which jump where the input changes",
    "Where the input is a mask, leave it out, or make it a constant of a module around this one. "
    "Numbers of rows are to be whole in the example too.",
)
_FUSED = (
    "it is an operator that PyTorch fuses for speed",
    "Call torch.backends.mha.set_fastpath_enabled(False) before the export.",
)

_WHY_NOT: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("_pack_padded_sequence", "_pad_packed_sequence", "lstm", "gru", "rnn_tanh", "rnn_relu"),
        _PACKED,
    ),
    **dict.fromkeys(("_native_multi_head_attention", "_transformer_encoder_layer_fwd"), _FUSED),
    **dict.fromkeys(("_native_batch_norm_legit",), LIVE_NORM),
    **dict.fromkeys(("sign", "floor", "ceil", "round", "trunc", "fmod", "remainder"), _ROUNDING),
    **dict.fromkeys(
        ("eq", "ne", "argmax", "argmin", "topk", "sort", "argsort",
         "heaviside", "nonzero", "masked_select", "__and__", "__or__", "__xor__", "logical_and",
         "logical_or", "logical_xor", "logical_not", "bitwise_and", "bitwise_or", "bitwise_not",
         "isin", "any", "all"),
        _CHOICE,
    ),
    **dict.fromkeys(
        ("item", "_local_scalar_dense"),
        ("it turns a value into a Python number, which is the same for all samples",
         "Keep values in tensors with a batch axis."),
    ),
    **dict.fromkeys(
        ("index_put", "scatter", "grid_sampler", "grid_sampler_2d"),
        ("it looks values up by index, which is not a function of firing rates",
         "Give the model the looked-up values as its input."),
    ),
    **dict.fromkeys(
        ("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only"),
        ("it lays the bags of all samples in one row",
         "Use nn.Embedding, and .sum(1), .mean(1) or .amax(1) of its output."),
    ),
}  # fmt: skip


def why_not(target: str) -> tuple[str, str]:
    """Reason and options for an operator without a reading, by its full name."""
    namespace, _, rest = target.partition(".")
    known = _WHY_NOT.get(rest.split(".")[0]) if namespace == "aten" else None
    return known or (
        "no reading of this operator is registered",
        f"Replace the layer, or register one with "
        f"@spikewright.frontends.pytorch.reads({target!r}).",
    )


_TAILS = frozenset(("argmax", "argmin", "topk", "sort", "argsort", "nonzero", "nms"))


def is_tail(target: str) -> bool:
    """Whether models end in an operator to answer with positions: `outputs` cuts it."""
    return target.partition(".")[2].split(".")[0] in _TAILS
