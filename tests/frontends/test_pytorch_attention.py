"""Matrix products of values, attention, and PyTorch's transformer layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_helpers import Of, check
from torch import nn
from torch.nn import functional as F

import spikewright as sw
from slowly import slow_but
from spikewright.errors import UnsupportedLayerError, VerificationError
from spikewright.frontends.pytorch import read
from spikewright.graph.layers import (
    Affine,
    Convolution,
    MatMul,
    Multiply,
    ScaleShift,
    UnitNormalization,
)

CAUSAL = nn.Transformer.generate_square_subsequent_mask(5)
EARLIER = torch.ones(5, 5).triu(1).bool()
DISTANCE = (torch.arange(5)[:, None] - torch.arange(5)).abs() * -0.3


def _encoder(layers: int = 1, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 12, **options)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("batch_first", slow_but([True], [False, True]))
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
@pytest.mark.parametrize("mask", [CAUSAL, EARLIER, DISTANCE], ids=["causal", "bool", "float"])
@pytest.mark.parametrize("told", [None, False])
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


@pytest.mark.parametrize("name", list(_HEADS))
@pytest.mark.parametrize("batch_first", slow_but([True], [False, True]))
def test_multi_head_attention(name: str, batch_first: bool) -> None:
    """Every option of the module, with the batch axis first or second."""
    if name == "mask for each head" and batch_first is False:
        batch_first = True  # torch wants such a mask for every sample and head; see below
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


def _products() -> dict[str, tuple[Any, list[tuple[int, ...]]]]:
    generator = torch.Generator().manual_seed(1)

    def w(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    left, right, cube, vector, query = w(5, 3), w(4, 5), w(2, 4, 5), w(4), w(1, 2, 3, 4)
    table = w(3, 6, 4)
    sequence, heads = (3, 4), (2, 3, 4)
    return {
        "x xT": (lambda m, x: x @ x.mT, [sequence]),
        "xT x": (lambda m, x: x.transpose(1, 2) @ x, [sequence]),
        "constant left": (lambda m, x: left @ x, [sequence]),
        "constant right": (lambda m, x: x @ right, [heads]),
        "constant for each head": (lambda m, x: x @ cube, [heads]),
        "vector right": (lambda m, x: x @ vector, [heads]),
        "vector left": (lambda m, x: left[0] @ x, [heads]),
        "broadcast heads": (lambda m, x, y: x @ y, [(2, 3, 4), (1, 4, 5)]),
        "broadcast leading": (lambda m, x, y: x[:, 0] @ y[:, None, 0].mT[:, 0], [heads, heads]),
        "row times column": (lambda m, x, y: x[:, None] @ y[:, :, None], [(4,), (4,)]),
        "attention of a constant": (
            lambda m, x: F.scaled_dot_product_attention(query.expand(x.size(0), -1, -1, -1), x, x),
            [heads],
        ),
        "grouped attention": (
            lambda m, x, y: F.scaled_dot_product_attention(x, y, y, enable_gqa=True),
            [(4, 3, 4), heads],
        ),
        "causal": (
            lambda m, x: F.scaled_dot_product_attention(x, x, x, is_causal=True, scale=0.7),
            [heads],
        ),
        "masked scores": (
            lambda m, x: F.softmax((x @ x.mT).masked_fill(EARLIER[:3, :3], -np.inf), -1), [heads],
        ),
        "scores twice masked": (
            lambda m, x: F.softmax(
                (x @ x.mT + CAUSAL[:3, :3]).masked_fill(EARLIER[:3, :3].T[:1], -np.inf), -1
            )[:, :, 1:],
            [heads],
        ),
        "unit vectors": (
            lambda m, x: F.normalize(x, dim=-1) @ F.normalize(x, dim=-1).mT, [heads],
        ),
        "relative positions": (
            lambda m, x: torch.einsum("bhqc,qkc->bhqk", x, table), [heads],
        ),
        "outer product": (lambda m, x, y: torch.einsum("bi,bj->bij", x, y), [(3,), (4,)]),
        "outer with a constant": (lambda m, x: torch.einsum("bi,j->bji", x, vector), [(3,)]),
        "hadamard": (lambda m, x, y: torch.einsum("bij,bj->bji", x, y), [(3, 4), (4,)]),
        "summed": (lambda m, x: torch.einsum("bij->bj", x), [sequence]),
        "turned": (lambda m, x: torch.einsum("b...ij->b...ji", x), [heads]),
        "without an arrow": (lambda m, x: torch.einsum("bji", x), [sequence]),
        "ellipsis on both": (lambda m, x, y: torch.einsum("b...i,b...j->b...", x, y), [heads] * 2),
        "summed apart": (lambda m, x, y: torch.einsum("bij,bk->bi", x, y), [(3, 4), (4,)]),
        "three": (lambda m, x: torch.einsum("bij,bij,bij->bj", x, x, x), [sequence]),
        "three with a constant between": (
            lambda m, x, y: torch.einsum("bij,jk,bkl->bil", x, right, y), [(3, 4), (5, 2)],
        ),
        "diagonal": (lambda m, x: torch.einsum("bii->bi", x), [(4, 4)]),
        "trace of a product": (lambda m, x: torch.einsum("bij,ji->b", x, right[:, :4]), [(4, 4)]),
        "bilinear": (
            lambda m, x, y: F.bilinear(x, y, cube[:, :, :3], cube[:, 0, 0]), [(3, 4), (3, 3)],
        ),
        "bilinear of one": (lambda m, x: F.bilinear(x, x, cube[:, :, :4]), [(3, 4)]),
        "vectors": (lambda m, x, y: torch.linalg.vecdot(x, y, dim=1), [(3, 4), (1, 4)]),
        "inner with a constant": (lambda m, x: torch.inner(x, cube[..., :4]), [(3, 4)]),
        "several matrices": (lambda m, x: torch.linalg.multi_dot([x, right, left]), [(4,)]),
        "chain": (lambda m, x: torch.chain_matmul(x, right, left), [(4,)]),
        "cosine with a constant": (
            lambda m, x: F.cosine_similarity(x[:, None], table[0], dim=-1), [(4,)],
        ),
        "tensordot": (lambda m, x: torch.tensordot(x, cube, ([3], [1])), [heads]),
        "inner": (lambda m, x, y: (x * y).sum(-1), [heads, heads]),
        "cosine": (lambda m, x, y: F.cosine_similarity(x, y), [(4,), (4,)]),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(_products()))
def test_products_of_all_kinds(name: str) -> None:
    """Products with constants on either side, and of values with each other, as PyTorch's."""
    function, shapes = _products()[name]
    check(Of(function), *shapes)


_FORMS: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]], type]] = {
    "matrix": (lambda m, x: torch.einsum("bij,kj->bik", x, torch.ones(5, 4)), [(3, 4)], Affine),
    "matrices": (
        lambda m, x: torch.einsum("bij,ijk->bik", x, torch.ones(3, 4, 5)), [(3, 4)], Convolution,
    ),
    "scale": (lambda m, x: torch.einsum("bij,j->bij", x, torch.ones(4)), [(3, 4)], ScaleShift),
    "product": (lambda m, x, y: torch.einsum("bij,bkj->bik", x, y), [(3, 4), (5, 4)], MatMul),
    "hadamard": (lambda m, x, y: torch.einsum("bi,bi->bi", x, y), [(4,), (4,)], Multiply),
    "unit": (lambda m, x: F.normalize(x, dim=1), [(3, 4)], UnitNormalization),
}  # fmt: skip


@pytest.mark.parametrize("name", list(_FORMS))
def test_a_product_is_one_layer_of_its_kind(name: str) -> None:
    """What is linear in the graph stays linear: constants never stand beside a product layer."""
    function, shapes, kind = _FORMS[name]
    graph = check(Of(function), *shapes)
    inputs = len(graph.inputs)
    kinds = [type(node.layer) for node in graph.nodes[inputs:]]
    assert kinds.count(kind) == 1
    assert sum(one in (Affine, Convolution, ScaleShift, MatMul, Multiply) for one in kinds) <= 1


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_any_contraction(data: st.DataObject) -> None:
    """einsum over any labels is read, whether the second operand is a constant or not."""
    labels = data.draw(st.lists(st.sampled_from("ijkl"), min_size=1, max_size=3, unique=True))
    others = data.draw(st.lists(st.sampled_from("ijkl"), min_size=1, max_size=3, unique=True))
    constant = data.draw(st.booleans())
    named = sorted({*labels, *others})
    result = data.draw(st.permutations(data.draw(st.sets(st.sampled_from(named)).map(sorted))))
    first, second = "b" + "".join(labels), ("" if constant else "b") + "".join(others)
    equation = f"{first},{second}->b{''.join(result)}"
    extents = dict(zip("ijkl", (2, 3, 1, 4), strict=True))
    shapes = [tuple(extents[one] for one in some) for some in (labels, others)]
    fixed = torch.randn(shapes[1], generator=torch.Generator().manual_seed(0))
    if constant:
        check(Of(lambda m, x: torch.einsum(equation, x, fixed)), shapes[0])
    else:
        check(Of(lambda m, x, y: torch.einsum(equation, x, y)), *shapes)


def test_spiking_attention_converges() -> None:
    """An encoder layer under a causal mask, with spikes: the error falls as one by the steps."""
    model = Of(lambda m, x: m.e(x, mask=CAUSAL), e=_encoder(batch_first=True)).eval()
    x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype(np.float32)
    with torch.no_grad():
        wanted = model(torch.from_numpy(x)).numpy()
    conversion = sw.convert(model, example_input=x, spiking=True, scale_firing_rates=500)
    assert conversion.trace.guarantee == "convergent"
    errors = [
        np.abs(conversion.run(x, steps=steps).predict() - wanted).max() / np.abs(wanted).max()
        for steps in (64, 256, 1024)
    ]
    assert errors[2] < 0.005
    assert errors[1] < errors[0] / 2 and errors[2] < errors[1] / 2
