"""Matrix products of values, attention, and PyTorch's transformer layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_helpers import Of, check
from torch import nn

import spikewright as sw
from spikewright.errors import UnsupportedLayerError, VerificationError
from spikewright.frontends.pytorch import read

CAUSAL = nn.Transformer.generate_square_subsequent_mask(5)
EARLIER = torch.ones(5, 5).triu(1).bool()
DISTANCE = (torch.arange(5)[:, None] - torch.arange(5)).abs() * -0.3


def _encoder(layers: int = 1, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 12, **options)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


@pytest.mark.parametrize(
    ("batch_first", "norm_first", "activation"),
    [(True, False, "relu"), (True, True, "gelu"), (False, True, "relu")],
)
def test_transformer_encoders(batch_first: bool, norm_first: bool, activation: str) -> None:
    """Encoders of every order are read, without PyTorch's fused operator."""
    encoder = _encoder(2, batch_first=batch_first, norm_first=norm_first, activation=activation)

    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        return m.e(x) if batch_first else m.e(x.transpose(0, 1)).transpose(0, 1)

    before = torch.backends.mha.get_fastpath_enabled()
    graph = check(Of(forward, e=encoder), (5, 8))
    assert torch.backends.mha.get_fastpath_enabled() is before
    assert {"e.layers.0.linear1", "e.layers.1.norm2"} <= {node.name for node in graph}


def test_sequence_first_without_a_transpose_is_refused() -> None:
    """An encoder that takes time for its first axis would attend from sample to sample."""
    with pytest.raises(UnsupportedLayerError, match=r"samples cannot be mixed.*batch_first=True"):
        read(_encoder(), np.zeros((2, 5, 8)))


@pytest.fixture
def plain_attention() -> Iterator[None]:
    """PyTorch's fused attention left out, which takes masks of numbers for truth values."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(before)


def _masked(mask: torch.Tensor, told: bool | None = None) -> nn.Module:
    model = Of(lambda m, x: m.e(x, mask=m.mask, is_causal=told), e=_encoder(batch_first=True))
    model.register_buffer("mask", mask)
    return model.eval()


@pytest.mark.usefixtures("plain_attention")
@pytest.mark.parametrize(
    ("mask", "told"),
    [(CAUSAL, None), (EARLIER, False), (DISTANCE, None)],
    ids=["causal", "bool", "float"],
)
def test_masks_of_transformers(mask: torch.Tensor, told: bool | None) -> None:
    """A constant mask is part of the network, whether it is said to be causal or not."""
    check(_masked(mask, told), (5, 8))


def test_a_mask_that_fused_attention_takes_for_another_is_found_out() -> None:
    """What PyTorch's own call gives is not what its layers do, and the error says where to look."""
    x = np.random.default_rng(0).normal(size=(3, 5, 8)).astype(np.float32)
    conversion = sw.convert(_masked(DISTANCE), example_input=x)
    with pytest.raises(VerificationError, match=r"'output'.*torch\.backends\.mha.*every layer"):
        conversion.verify(x)


def test_padding_that_is_the_same_for_all_samples() -> None:
    """Keys that are padding in every sample are left out of the softmax."""
    padding = torch.tensor([False, False, False, True, True])
    check(
        Of(
            lambda m, x: m.e(x, src_key_padding_mask=padding.expand(x.size(0), 5)),
            e=_encoder(batch_first=True),
        ),
        (5, 8),
    )


def test_decoders_and_whole_transformers() -> None:
    """Attention to another sequence, of another length."""
    torch.manual_seed(0)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 12, batch_first=True), 1)
    check(Of(lambda m, x, y: m.d(x, y, tgt_mask=CAUSAL), d=decoder), (5, 8), (3, 8))
    whole = nn.Transformer(8, 2, 1, 1, 12, batch_first=True)
    check(Of(lambda m, x, y: m.t(x, y), t=whole), (5, 8), (3, 8))


_HEADS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "weights": ({}, {}),
    "weights of each head": ({}, {"average_attn_weights": False}),
    "no weights": ({}, {"need_weights": False}),
    "mask and weights": ({}, {"attn_mask": CAUSAL}),
    "mask for each head": ({}, {"attn_mask": DISTANCE * torch.tensor([1.0, 2.0])[:, None, None]}),
    "constant key": ({"add_bias_kv": True}, {}),
    "zero key": ({"add_zero_attn": True}, {}),
    "no bias": ({"bias": False}, {"need_weights": False}),
}


@pytest.mark.parametrize(
    ("name", "batch_first"), [*((name, True) for name in _HEADS), ("weights", False)]
)
def test_multi_head_attention(name: str, batch_first: bool) -> None:
    """Every option of the module, with the batch axis first or second."""
    options, call = _HEADS[name]
    torch.manual_seed(0)
    heads = nn.MultiheadAttention(8, 2, batch_first=batch_first, **options)

    def forward(m: Any, x: torch.Tensor) -> Any:
        more = dict(call)
        if name == "mask for each head":
            more["attn_mask"] = call["attn_mask"].repeat(x.size(0), 1, 1)
        y = x if batch_first else x.transpose(0, 1)
        out, weights = m.heads(y, y, y, **more)
        out = out if batch_first else out.transpose(0, 1)
        return out if weights is None else (out, weights)

    check(Of(forward, heads=heads), (5, 8))


def test_attention_to_another_width() -> None:
    """Keys and values of widths of their own."""
    torch.manual_seed(0)
    heads = nn.MultiheadAttention(8, 2, kdim=6, vdim=4, batch_first=True)
    check(Of(lambda m, x, y, z: m.heads(x, y, z)[0], heads=heads), (5, 8), (3, 6), (3, 4))
