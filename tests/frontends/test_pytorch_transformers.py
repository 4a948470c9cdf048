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
FAMILIES: dict[str, dict[str, Any]] = {
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50, "n_positions": 16,
             "bos_token_id": 0, "eos_token_id": 0},
    "Llama": {**SMALL, "num_key_value_heads": 2},
    "DebertaV2": {**SMALL, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "T5": {"d_model": 32, "d_kv": 8, "num_layers": 2, "num_heads": 4, "d_ff": 48, "vocab_size": 50},
}  # fmt: skip
"""A small configuration for each kind of positions: added, rotated, relative, and a bias."""


def _model(name: str) -> nn.Module:
    torch.manual_seed(0)
    kind = "T5Encoder" if name == "T5" else name
    config = getattr(hf, f"{name}Config")(**FAMILIES[name])
    return getattr(hf, f"{kind}Model")(config).eval()


@pytest.mark.parametrize(
    "name",
    ["Llama", *(pytest.param(n, marks=pytest.mark.slow) for n in ("GPT2", "DebertaV2", "T5"))],
)
def test_transformers_are_read_from_embeddings(name: str) -> None:
    """Position embeddings, kinds and masks as wide as the batch are constants; values agree.

    The model itself is called, on more samples than it was traced with. Its cache is no output.
    """
    model = _model(name)
    x = torch.randn(5, 7, 32, generator=torch.Generator().manual_seed(1))
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
