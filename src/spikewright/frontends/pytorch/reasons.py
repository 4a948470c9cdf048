"""Why some operators have no reading, and what to do instead."""

from __future__ import annotations

CURVED = (
    "this activation has no exact counterpart among Spikewright's",
    "Use ReLU, ReLU6, LeakyReLU, Sigmoid, Tanh or Softplus and train again.",
)
_RECURRENT = (
    "recurrent layers carry a state from step to step, which a feed-forward graph cannot hold",
    "Unroll it into Linear layers, or build that part by hand as a Network.",
)
TRANSPOSED = (
    "transposed convolution is not in the vocabulary",
    "Use Upsample(mode='nearest') followed by a convolution.",
)
_ATTENTION = (
    "attention multiplies values that both depend on the input",
    "Spiking neurons add their inputs; replace attention by convolutions or linear layers.",
)
PRODUCT = (
    "it multiplies two values that both depend on the input",
    "Spiking neurons add their inputs; only products with constants can be read.",
)
LIVE_NORM = (
    "it normalises with statistics of the current input, which no fixed weights can do",
    "Use BatchNorm, whose statistics are fixed after training.",
)
INTERPOLATION = (
    "only nearest-neighbour upsampling by whole factors is in the vocabulary",
    "Use mode='nearest'.",
)
BORDER = ("only padding with zeros is in the vocabulary", "Use zero padding.")
_ELEMENTWISE = (
    "this function has no exact counterpart among Spikewright's layers",
    "Move it out of the model, or write it with the activations that can be read.",
)

_WHY_NOT: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell"), _RECURRENT),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), TRANSPOSED),
    **dict.fromkeys(
        ("scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu",
         "_native_multi_head_attention", "_transformer_encoder_layer_fwd"),
        _ATTENTION,
    ),
    **dict.fromkeys(("bmm", "baddbmm", "einsum", "bilinear", "cosine_similarity"), PRODUCT),
    **dict.fromkeys(
        ("gelu", "silu", "hardswish", "hardsigmoid", "mish", "elu", "selu", "celu", "glu",
         "log_sigmoid", "softsign", "hardshrink", "softshrink", "rrelu_with_noise"),
        CURVED,
    ),
    **dict.fromkeys(
        ("layer_norm", "native_layer_norm", "group_norm", "native_group_norm", "instance_norm",
         "rms_norm", "_fused_rms_norm", "_native_batch_norm_legit"),
        LIVE_NORM,
    ),
    **dict.fromkeys(
        ("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d",
         "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", "grid_sampler"),
        INTERPOLATION,
    ),
    **dict.fromkeys(
        ("reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d",
         "replication_pad2d", "replication_pad3d"),
        BORDER,
    ),
    **dict.fromkeys(
        ("pow", "exp", "log", "sqrt", "rsqrt", "abs", "square", "sin", "cos", "erf", "reciprocal",
         "maximum", "minimum", "where", "sign", "floor", "round"),
        _ELEMENTWISE,
    ),
    **dict.fromkeys(
        ("log_softmax", "_log_softmax"),
        ("the logarithm of a softmax has no counterpart among Spikewright's activations",
         "End the model on its logits or on Softmax: the predicted class is the same."),
    ),
    **dict.fromkeys(
        ("item", "_local_scalar_dense"),
        ("it turns a value into a Python number, which is the same for all samples",
         "Keep values in tensors with a batch axis."),
    ),
    **dict.fromkeys(
        ("embedding", "index", "gather"),
        ("it looks values up by index, which is not a function of firing rates",
         "Give the model the looked-up values as its input."),
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
