"""Published transformers with random weights, read from embeddings, against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from torch import nn

import spikewright as sw

SIZE = {"vocab_size": 50, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32}
SMALL = {**SIZE, "intermediate_size": 48, "max_position_embeddings": 16}
GROUPED = {**SMALL, "num_key_value_heads": 2}
FAMILIES: dict[str, dict[str, Any]] = {
    "Bert": SMALL,
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50, "n_positions": 16,
             "bos_token_id": 0, "eos_token_id": 0},
    "Llama": GROUPED,
    "Albert": {**SMALL, "embedding_size": 16},
    "DebertaV2": {**SMALL, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "DistilBert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "vocab_size": 50},
    "Electra": {**SMALL, "embedding_size": 32},
    "GPTNeoX": SMALL,
    "Mistral": GROUPED,
    "OPT": {**SIZE, "ffn_dim": 48, "max_position_embeddings": 16, "word_embed_proj_dim": 32},
    "Qwen2": GROUPED,
    "Roberta": SMALL,
    "T5": {"d_model": 32, "d_kv": 8, "num_layers": 2, "num_heads": 4, "d_ff": 48, "vocab_size": 50},
}  # fmt: skip
"""One small configuration of every family."""
_FIRST = ("Bert", "GPT2", "Llama")


def _model(name: str) -> nn.Module:
    torch.manual_seed(0)
    kind = "T5Encoder" if name == "T5" else name
    config = getattr(hf, f"{name}Config")(**FAMILIES[name])
    return getattr(hf, f"{kind}Model")(config).eval()


@pytest.mark.parametrize(
    "name", [n if n in _FIRST else pytest.param(n, marks=pytest.mark.slow) for n in FAMILIES]
)
def test_transformers_are_read_from_embeddings(name: str) -> None:
    """Position embeddings, kinds and masks as wide as the batch are constants; values agree.

    The model itself is called, on more samples than it was traced with. Its cache is no output.
    """
    model, wide = _model(name), 16 if name == "Albert" else 32
    x = torch.randn(5, 7, wide, generator=torch.Generator().manual_seed(1))
    conversion = sw.convert(model, example_input={"inputs_embeds": x[:2]})
    assert max(conversion.verify(rtol=1e-4).values()) < 1e-4
    with torch.no_grad():
        expected = model(inputs_embeds=x).last_hidden_state.numpy()
    found = conversion.run({"inputs_embeds": x}, steps=1, progress=False).predict()
    hidden = found["last_hidden_state"] if isinstance(found, dict) else found
    np.testing.assert_allclose(hidden, expected, atol=1e-4)
    assert conversion.source is not None
    asked = conversion.source.call({"inputs_embeds": x.numpy()})
    np.testing.assert_allclose(asked["last_hidden_state"], expected, atol=1e-6)
