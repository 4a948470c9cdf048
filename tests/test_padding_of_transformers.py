"""Text models of `transformers` know their attention mask, whatever they do with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers

import spikewright as sw
from spikewright.graph.masks import masks_of

VOCABULARY = {"vocab_size": 50, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
HEADS = {"num_hidden_layers": 1, "num_attention_heads": 4, "hidden_size": 32}
TEXT = {**HEADS, **VOCABULARY, "intermediate_size": 48, "max_position_embeddings": 16}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "BertForSequenceClassification": ("sdpa", TEXT),
    "GPT2Model": (
        "eager",
        {**VOCABULARY, "n_embd": 32, "n_layer": 1, "n_head": 4, "n_positions": 16,
         "use_cache": False},
    ),
    "LlamaModel": (
        "sdpa", {**TEXT, "num_key_value_heads": 2, "head_dim": 8, "use_cache": False}
    ),
    "T5EncoderModel": (
        "eager",
        {**VOCABULARY, "d_model": 32, "d_kv": 8, "num_layers": 1, "num_heads": 4, "d_ff": 48},
    ),
}  # fmt: skip
"""A model for each kind of mask and positions, its attention and settings."""
SAMPLES, LENGTH, STEPS = 8, 7, 8


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_tokens_under_the_mask_change_nothing(name: str) -> None:
    """A padded batch is verified; other tokens under the mask give equal thresholds and spikes."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, LENGTH + 1, SAMPLES)
    lengths[0] = LENGTH
    mask = (np.arange(LENGTH) < lengths[:, None]).astype(np.int64)
    tokens, others = (rng.integers(3, 50, mask.shape) for _ in range(2))
    first, second = (
        {"input_ids": np.where(mask, tokens, hidden), "attention_mask": mask}
        for hidden in (np.zeros_like(others), others)
    )
    torch.manual_seed(0)
    kind, (attention, sizes) = getattr(transformers, name), MODELS[name]
    settings = kind.config_class(**sizes)
    settings._attn_implementation = attention
    example = {key: torch.tensor(value) for key, value in first.items()}
    rule = sw.MinimumError(STEPS, spikes_per_step=1)
    conversion = sw.convert(
        kind(settings).eval(), example_input=example, spiking=True, scale_firing_rates=rule,
        calibration=first,
    )  # fmt: skip

    (found,) = masks_of(conversion.canonical).found
    assert (found.node, found.hides, found.reached) == ("attention_mask", 0.0, ())
    conversion.verify(second)
    again = conversion.replace(calibration=second)
    for layer, ensemble in conversion.populations().items():
        np.testing.assert_array_equal(again.populations()[layer].rate_scale, ensemble.rate_scale)
    spikes = [conversion.run(x, STEPS, progress=False).spike_counts() for x in (first, second)]
    for layer, counts in spikes[0].items():
        assert counts.tolist() == spikes[1][layer].tolist(), layer
