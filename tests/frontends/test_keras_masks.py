"""Masks of Keras: steps of a sequence that layers skip."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from keras_helpers import assert_close, keras, layers, randomise

import spikewright as sw
from spikewright.choosing.silent_steps import DigitComparison
from spikewright.errors import UnsupportedLayerError
from spikewright.frontends import read as read_in_form
from spikewright.frontends.keras import read
from spikewright.graph import evaluate, evaluate_all

L, ops = layers, keras.ops

TOKENS = np.array([[3, 1, 4, 0, 0], [2, 5, 6, 1, 3], [0, 0, 5, 0, 1], [0, 0, 0, 0, 0]], np.int32)
"""Padded at the end, whole, with gaps, and nothing but padding."""
NUMBERS = (
    np.random.default_rng(5).normal(size=(4, 5, 3)).astype(np.float32) * (TOKENS != 0)[..., None]
)


def of_tokens(*behind: Callable[[Any], Any]) -> Any:
    """A model of token numbers whose zeros are padding."""
    x = y = keras.Input((5,), dtype="int32", name="x")
    for layer in (L.Embedding(7, 3, mask_zero=True), *behind):
        y = layer(y)
    return randomise(keras.Model(x, y))


def of_numbers(*behind: Callable[[Any], Any], value: float = 0.0) -> Any:
    """A model of steps of which those of one value alone are padding."""
    x = y = keras.Input((5, 3), name="x")
    for layer in (L.Masking(value), *behind):
        y = layer(y)
    return randomise(keras.Model(x, y))


def assert_masks(model: Any, x: Any, **form: Any) -> Any:
    """The graph computes what Keras does on padded rows, at every layer that can be seen."""
    source = read_in_form(model, **form)
    name = source.graph.inputs[0]
    with np.errstate(invalid="ignore"):
        values = evaluate_all(source.graph, {name: x})
    for node, wanted in source.activations({name: x}).items():
        if node in values:
            np.testing.assert_allclose(values[node], wanted, rtol=0, atol=1e-5, err_msg=node)
    wanted = np.asarray(ops.convert_to_numpy(model(x, training=False)))
    (found,) = (values[node] for node in source.graph.outputs.values())
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    return source


LAYERS: dict[str, Callable[[], Any]] = {
    "LSTM, zeros": lambda: L.LSTM(2, return_sequences=True, zero_output_for_mask=True),
    "GRU, unrolled": lambda: L.GRU(2, unroll=True),
    "GRU, reset before": lambda: L.GRU(2, reset_after=False, return_sequences=True),
    "GRU, backwards, sequences": lambda: L.GRU(2, go_backwards=True, return_sequences=True),
    "cells, sequences": lambda: L.RNN([L.GRUCell(2), L.SimpleRNNCell(3)], return_sequences=True),
    "Bidirectional, sequences": lambda: L.Bidirectional(L.GRU(2, return_sequences=True)),
    "pooling": lambda: L.GlobalAveragePooling1D(),
    "TimeDistributed": lambda: L.TimeDistributed(L.Dense(2)),
    "BatchNormalization": lambda: L.BatchNormalization(),
}


@pytest.mark.parametrize("name", LAYERS)
def test_padded_steps_are_skipped(name: str) -> None:
    """Behind an embedding and behind Masking, rows that are all padding included."""
    assert_masks(of_tokens(LAYERS[name]()), TOKENS)
    assert_masks(of_numbers(LAYERS[name]()), NUMBERS)


def test_padding_changes_nothing() -> None:
    """Of a recurrent layer: more steps of padding give the same output."""
    model = of_tokens(L.LSTM(2))
    graph = read(model).graph
    (out,) = evaluate(graph, {"x": np.array([[3, 1, 0, 0, 0], [0, 3, 0, 1, 0]])}).values()
    assert_close(out[1], out[0])


def test_a_mask_goes_through_several_layers() -> None:
    """Layers that hand it on, to recurrent ones, pooling and a mask by another value."""
    behind = (
        L.Dense(4, activation="tanh"), L.Dropout(0.5), L.GRU(3, return_sequences=True),
        L.LayerNormalization(), L.GlobalAveragePooling1D(), L.Dense(2),
    )  # fmt: skip
    assert_masks(of_tokens(*behind), TOKENS)
    shifted = np.where(NUMBERS == 0, -2.0, NUMBERS).astype(np.float32)
    assert_masks(of_numbers(L.GRU(2), value=-2.0), shifted)


def test_states_are_carried_over_padding() -> None:
    """Given ones too: until the first step that counts the output is zero, as in Keras."""
    x = keras.Input((5,), dtype="int32", name="x")
    start = L.Lambda(lambda t: ops.cast(t[:, :2], "float32") + 1.0)(x)
    y = (embedding := L.Embedding(7, 3, mask_zero=True))(x)
    layer, mask = L.LSTM(2, return_sequences=True, return_state=True), embedding.compute_mask(x)
    outputs = layer(y, initial_state=[start, -start], mask=mask)
    source = read(model := randomise(keras.Model(x, list(outputs))))
    wanted = model(TOKENS)
    for found, one in zip(evaluate(source.graph, {"x": TOKENS}).values(), wanted, strict=True):
        assert_close(found, ops.convert_to_numpy(one))


def test_kept_recurrence_skips_padding() -> None:
    """A cell that is one Recurrence reads the mask with its input."""
    source = assert_masks(of_tokens(L.GRU(2)), TOKENS, keep_recurrence=True)
    assert "Recurrence" in {node.layer.kind for node in source.graph}


def attending(kind: str, **settings: Any) -> Callable[..., Any]:
    """Self-attention by a layer of this kind."""
    layer = getattr(L, kind)(**settings)
    two = kind in ("Attention", "AdditiveAttention")
    return lambda x, **given: layer([x, x], **given) if two else layer(x, x, **given)


ATTENTION: dict[str, tuple[str, dict[str, Any]]] = {
    "several heads": ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}),
    "dropout": ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "dropout": 0.1}),
    "grouped": (
        "GroupQueryAttention",
        {"head_dim": 2, "num_query_heads": 4, "num_key_value_heads": 2},
    ),
    "plain": ("Attention", {}),
    "scaled": ("Attention", {"use_scale": True}),
    "concat": ("Attention", {"score_mode": "concat"}),
    "additive": ("AdditiveAttention", {}),
}


@pytest.mark.parametrize(
    ("name", "causal"), list(zip(ATTENTION, cycle([False, True]), strict=False))
)
def test_attention_sees_no_padding(name: str, causal: bool) -> None:
    """Keys are hidden, queries too, and a query that sees nothing weighs all alike."""
    kind, settings = ATTENTION[name]
    given = {"use_causal_mask": True} if causal else {}
    assert_masks(of_tokens(lambda x: attending(kind, **settings)(x, **given)), TOKENS)


def test_padding_is_not_late() -> None:
    """Where layers wait for all digits nothing is late, though no spike of padding counts."""
    attention = attending("MultiHeadAttention", num_heads=2, key_dim=3)
    model = of_tokens(attention, L.Dense(3, activation="relu"))
    conversion = sw.convert(model, spiking=True, coding=sw.SignedDigits(4, 4), calibration=TOKENS)
    compared = DigitComparison(conversion, conversion.as_inputs(TOKENS))
    sent = compared.distance()[1]

    assert any(np.isnan(value).any() for value in sent.values())
    assert set(compared.late(sent).values()) == {0.0}


def test_masks_of_scores_may_depend_on_the_data() -> None:
    """Truth values, whole numbers and real ones of an input, where they are not zero."""
    for dtype in ("bool", "int32", "float32"):
        x, mask = keras.Input((5, 4), name="x"), keras.Input((5,), dtype=dtype, name="m")
        y = L.MultiHeadAttention(2, 3)(x, x, attention_mask=mask[:, None, :])
        model = randomise(keras.Model([x, mask], y))
        values = np.random.default_rng(2).normal(size=(4, 5, 4)).astype(np.float32)
        given = {"x": values, "m": (TOKENS != 0).astype(dtype)}
        (found,) = evaluate(read(model).graph, given).values()
        wanted = ops.convert_to_numpy(model([given["x"], given["m"]]))
        assert_close(found, wanted, dtype)
        sw.convert(model).verify(given)


def test_softmax_takes_masks() -> None:
    """Of an input, and constant ones."""
    x = keras.Input((5,), name="x")
    for mask in (lambda x: x > 0, lambda x: np.array([[True, False, True, True, False]])):
        model = keras.Model(x, L.Softmax()(x, mask=mask(x)))
        values = np.random.default_rng(2).normal(size=(4, 5)).astype(np.float32)
        values[0] = -1.0
        assert_masks(model, values)


def test_scores_that_data_hides_go_into_a_softmax_alone() -> None:
    """`where(mask, scores, -inf)` before a softmax is read; elsewhere it has no number."""
    x, mask = keras.Input((5, 3), name="x"), keras.Input((5,), dtype="int32", name="m")
    scores = ops.matmul(x, ops.transpose(x, (0, 2, 1)))
    hidden = ops.where(mask[:, None, :] > 0, scores, -np.inf)
    model = keras.Model([x, mask], ops.matmul(ops.softmax(hidden), x))
    seen = (TOKENS[:3] != 0).astype(np.int32)
    sw.convert(model).verify({"x": NUMBERS[:3] + 0.1, "m": seen})
    for behind in (lambda h: h, lambda h: ops.reshape(h, (-1, 25)), lambda h: ops.tanh(h)):
        with pytest.raises(UnsupportedLayerError, match="minus infinity"):
            read(keras.Model([x, mask], behind(hidden)))


def test_a_mask_is_computed_once() -> None:
    """Attention and the pooling behind it read the same comparison."""
    model = of_tokens(
        lambda x: L.MultiHeadAttention(2, 3)(x, x), L.Dense(4), L.GlobalAveragePooling1D()
    )
    names = [
        n.name for n in assert_masks(model, TOKENS[:3]).graph if n.source_kind == "ops.NotEqual"
    ]
    assert len([name for name in names if "/" not in name]) == 1


class Block(L.Layer):
    """A transformer's block as people write it; the layers inside find the masks."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.att = L.MultiHeadAttention(2, 3)
        self.dense = L.Dense(3)
        self.norm, self.other = L.LayerNormalization(), L.LayerNormalization()
        self.supports_masking = True

    def call(self, x: Any) -> Any:
        """Attention and a dense layer, each added and normalised."""
        x = self.norm(x + self.att(x, x))
        return self.other(x + self.dense(x))


@pytest.mark.parametrize("count", [1, 2])
def test_code_finds_the_masks_of_its_inputs(count: int) -> None:
    """A block of one's own, once and twice, then the mean over the steps that count."""
    blocks = [Block() for _ in range(count)]
    assert_masks(of_tokens(*blocks, L.GlobalAveragePooling1D()), TOKENS)


def test_nested_models_find_the_masks_of_their_inputs() -> None:
    """Layers inside a model that is a layer of another skip its padding."""
    y = keras.Input((5, 3))
    inner = keras.Model(y, L.GRU(2)(L.Dense(3)(y)), name="inner")
    source = assert_masks(of_tokens(inner), TOKENS)
    assert any(name.startswith("inner/gru") for name in source.graph.shapes)


def test_two_attention_layers_on_one_tensor() -> None:
    """Keras takes the mask off a tensor that attention reads: the second finds none there."""

    def both(x: Any) -> Any:
        first = L.MultiHeadAttention(2, 3)(x, x)
        second = L.MultiHeadAttention(2, 3)(x, x)
        return L.Add()([first, second])

    assert_masks(of_tokens(both), TOKENS)


class _Around(L.Layer):
    """An embedding inside a layer that does not say that it hands on masks."""

    def __init__(self) -> None:
        super().__init__(name="around")
        self.words = L.Embedding(9, 3, mask_zero=True)

    def build(self, shape: Any) -> None:
        self.words.build(shape)

    def call(self, ids: Any) -> Any:
        return self.words(ids)


def test_a_mask_that_only_a_run_has_is_refused() -> None:
    """Keras's graph does not show it, so pooling would be read as a mean over padding too."""
    ids = keras.Input((5,), dtype="int32")
    model = keras.Model(ids, L.GlobalAveragePooling1D(name="pool")(_Around()(ids)))
    with pytest.raises(UnsupportedLayerError, match=r"'pool'.*its input has a mask when the model"):
        read(model)
