"""Published transformers with random weights, read from embeddings, against PyTorch."""

from __future__ import annotations

from typing import Any

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


class _FromEmbeddings(nn.Module):
    """A transformer that is called with embeddings, and returns its last hidden states."""

    def __init__(self, name: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        kind = "T5Encoder" if name == "T5" else name
        config = getattr(hf, f"{name}Config")(**FAMILIES[name])
        self.transformer = getattr(hf, f"{kind}Model")(config)

    def forward(self, inputs_embeds: torch.Tensor) -> torch.Tensor:
        return self.transformer(inputs_embeds=inputs_embeds).last_hidden_state


@pytest.mark.parametrize(
    "name", [n if n in _FIRST else pytest.param(n, marks=pytest.mark.slow) for n in FAMILIES]
)
def test_transformers_are_read_from_embeddings(name: str) -> None:
    """Position embeddings, kinds and masks as wide as the batch are constants; values agree."""
    wide = 16 if name == "Albert" else 32
    x = torch.randn(2, 5, wide, generator=torch.Generator().manual_seed(1))
    conversion = sw.convert(_FromEmbeddings(name), example_input=x)
    assert max(conversion.verify(rtol=1e-4).values()) < 1e-4
