"""transformers: small configurations of language, image and speech networks."""

from __future__ import annotations

from typing import Any

from benchmarks.families.exporting import torch_file
from benchmarks.families.inputs import values
from benchmarks.families.member import Member, Origin
from benchmarks.families.warming import warm_module

TOKENS, WIDTH = 7, 32
HEADS = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": WIDTH}
VOCABULARY = {"vocab_size": 50, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
SMALL = {**HEADS, "intermediate_size": 48}
TEXT = {**SMALL, **VOCABULARY, "max_position_embeddings": 16}
GROUPED = {**TEXT, "num_key_value_heads": 2, "head_dim": 8, "use_cache": False}
PIXELS = {**SMALL, "image_size": 16, "patch_size": 4}
EAGER = {"attn_implementation": "eager"}  # PyTorch's exporter fails on the fused one of these
STAGES = {"depths": [1, 1], "num_heads": [2, 4], "embed_dim": 16}
SPEECH = {
    **SMALL, "conv_dim": [16, 16], "conv_stride": [4, 2], "conv_kernel": [8, 3],
    "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 4,
}  # fmt: skip


def _text(family: str, options: dict[str, Any], width: int = WIDTH) -> Member:
    """A network that is given embedded tokens."""
    return Member(family, {"inputs_embeds": values(TOKENS, width)}, options)


def _pixels(family: str, options: dict[str, Any], side: int = 16) -> Member:
    return Member(family, {"pixel_values": values(3, side, side)}, options)


def _speech(family: str, options: dict[str, Any], samples: int = 320) -> Member:
    """A network that is given a waveform."""
    return Member(family, {"input_values": values(samples)}, options)


MEMBERS = {
    "AlbertModel": _text("ALBERT", {**TEXT, "embedding_size": 16}, 16),
    "BertModel": _text("BERT", TEXT),
    "BloomModel": _text(
        "BLOOM", {**VOCABULARY, "hidden_size": 32, "n_layer": 2, "n_head": 4, "use_cache": False}
    ),
    "DebertaV2Model": _text(
        "DeBERTa V2", {**TEXT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
    ),
    "DistilBertModel": _text(
        "DistilBERT", {**VOCABULARY, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
    ),
    "FNetModel": _text("FNet", TEXT),
    "GemmaModel": _text("Gemma", GROUPED),
    "GPT2Model": _text(
        "GPT-2",
        {**VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 16,
         "use_cache": False},
    ),
    "GPTNeoXModel": _text("GPT-NeoX", {**TEXT, "use_cache": False}),
    "LlamaModel": _text("Llama", GROUPED),
    "MambaModel": _text(
        "Mamba", {**VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4,
                  "use_cache": False},
    ),
    "MixtralModel": _text("Mixtral", {**GROUPED, "num_local_experts": 2}),
    "ModernBertModel": _text("ModernBERT", TEXT),
    "OPTModel": _text(
        "OPT", {**HEADS, **VOCABULARY, "ffn_dim": 48, "max_position_embeddings": 16,
                "word_embed_proj_dim": 32, "use_cache": False},
    ),
    "Qwen3Model": _text("Qwen3", GROUPED),
    "T5EncoderModel": _text(
        "T5", {**VOCABULARY, "d_model": 32, "d_kv": 8, "num_layers": 2, "num_heads": 4, "d_ff": 48,
              **EAGER},
    ),
    "CLIPVisionModel": _pixels("CLIP", PIXELS),
    "Dinov2Model": _pixels("DINOv2", PIXELS),
    "SegformerModel": _pixels(
        "SegFormer",
        {"depths": [1, 1], "hidden_sizes": [16, 24], "num_attention_heads": [1, 2],
         "num_encoder_blocks": 2, "patch_sizes": [7, 3], "sr_ratios": [2, 1], "strides": [4, 2],
         "mlp_ratios": [2, 2]},
    ),
    "SwinModel": _pixels(
        "Swin", {**STAGES, "image_size": 16, "patch_size": 2, "window_size": 4, **EAGER}
    ),
    "ViTModel": _pixels("ViT", PIXELS),
    "ASTModel": Member(
        "AST", {"input_values": values(24, 16)},
        {**SMALL, "patch_size": 8, "num_mel_bins": 16, "max_length": 24, "frequency_stride": 4,
         "time_stride": 4},
    ),
    "Wav2Vec2Model": _speech("Wav2Vec2", SPEECH),
    "WhisperEncoder": Member(
        "Whisper", {"input_features": values(8, 20)},
        {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 48,
         "num_mel_bins": 8, "max_source_positions": 10},
    ),
}  # fmt: skip
"""Members by their classes; their configurations have the same names."""


def network(name: str, member: Member) -> Any:
    """A network of `transformers` with initial weights."""
    import torch
    import transformers

    torch.manual_seed(0)
    if name == "WhisperEncoder":  # it has no name of its own there
        from transformers.models.whisper.modeling_whisper import WhisperEncoder as kind
    else:
        kind = getattr(transformers, name)
    return kind(kind.config_class(**member.options))


ORIGIN = Origin("transformers", MEMBERS, network, warm_module, torch_file)
