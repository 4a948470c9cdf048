"""transformers as users feed them: token ids and masks of padded batches, by name."""

from __future__ import annotations

from typing import Any

from benchmarks.families import of_transformers
from benchmarks.families.exporting import torch_file
from benchmarks.families.inputs import ids, mask, padded_ids, values
from benchmarks.families.member import Member, Origin
from benchmarks.families.of_transformers import (
    GROUPED,
    HEADS,
    PIXELS,
    SPEECH,
    TEXT,
    TOKENS,
    VOCABULARY,
)
from benchmarks.families.warming import warm_module

WORDS = VOCABULARY["vocab_size"]
ENCODER = {**TEXT, "num_labels": 3}
ROBERTA = {**ENCODER, "type_vocab_size": 1}
DECODER = {**GROUPED, "tie_word_embeddings": False}
BOTH = {
    **VOCABULARY,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "decoder_start_token_id": 1,
    "use_cache": False,
}
T5 = {
    **VOCABULARY,
    "d_model": 32,
    "d_kv": 8,
    "num_layers": 2,
    "num_heads": 4,
    "d_ff": 48,
    "decoder_start_token_id": 0,
    "use_cache": False,
}
EXPERTS = {**DECODER, "num_experts_per_tok": 2}
TWO = {
    "text_config": {**TEXT, "projection_dim": 16},
    "vision_config": {**PIXELS, "projection_dim": 16},
}


def _text(family: str, options: dict[str, Any], left: bool = False, **more: Any) -> Member:
    """A network that is given the tokens of a padded batch, and their mask."""
    inputs = {
        "input_ids": padded_ids(TOKENS, WORDS, left=left, free=True),
        "attention_mask": mask(TOKENS, left=left),
    }
    return Member(family, inputs | more, options)


def _translator(family: str, options: dict[str, Any]) -> Member:
    """One that is given the tokens of what it writes, too."""
    return _text(family, options, decoder_input_ids=ids(5, below=WORDS))


LEFT = True
MEMBERS = {
    "BertModel": _text("BERT", TEXT, token_type_ids=ids(TOKENS, below=2)),
    "BertForSequenceClassification": _text("BERT for sequences", ENCODER),
    "BertForTokenClassification": _text("BERT for tokens", ENCODER),
    "RobertaForSequenceClassification": _text("RoBERTa", ROBERTA),
    "CamembertForTokenClassification": _text("CamemBERT", ROBERTA),
    "XLMRobertaModel": _text("XLM-RoBERTa", ROBERTA),
    "DistilBertForSequenceClassification": _text(
        "DistilBERT",
        {**VOCABULARY, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "num_labels": 3},
    ),
    "AlbertModel": _text("ALBERT", {**TEXT, "embedding_size": 16}),
    "ElectraForSequenceClassification": _text("ELECTRA", {**ENCODER, "embedding_size": 16}),
    "RoFormerModel": _text("RoFormer", {**TEXT, "embedding_size": 32}),
    "MPNetModel": _text("MPNet", TEXT),
    "DebertaV2ForSequenceClassification": _text(
        "DeBERTa V2", {**ENCODER, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
    ),
    "ModernBertForMaskedLM": _text("ModernBERT", TEXT),
    "GPT2LMHeadModel": _text(
        "GPT-2",
        {**VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 16,
         "use_cache": False}, LEFT,
    ),
    "GPTNeoForCausalLM": _text(
        "GPT-Neo",
        {**VOCABULARY, "hidden_size": 32, "num_layers": 2, "num_heads": 4, "window_size": 4,
         "attention_types": [[["global", "local"], 1]], "max_position_embeddings": 16,
         "use_cache": False},
    ),
    "GPTNeoXForCausalLM": _text("GPT-NeoX", {**TEXT, "use_cache": False}, LEFT),
    "GPTJForCausalLM": _text(
        "GPT-J",
        {**VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 16, "rotary_dim": 4,
         "use_cache": False},
    ),
    "OPTForCausalLM": _text(
        "OPT", {**HEADS, **VOCABULARY, "ffn_dim": 48, "max_position_embeddings": 16,
                "word_embed_proj_dim": 32, "use_cache": False},
    ),
    "BloomForCausalLM": _text(
        "BLOOM", {**VOCABULARY, "hidden_size": 32, "n_layer": 2, "n_head": 4, "use_cache": False}
    ),
    "FalconForCausalLM": _text("Falcon", {**VOCABULARY, **HEADS, "use_cache": False}),
    "LlamaForCausalLM": _text("Llama", DECODER, LEFT),
    "LlamaForSequenceClassification": Member(
        "Llama for sequences",
        {"input_ids": padded_ids(TOKENS, WORDS), "attention_mask": mask(TOKENS)},
        {**GROUPED, "num_labels": 3},
    ),
    "MistralForCausalLM": _text("Mistral", DECODER),
    "Qwen2ForCausalLM": _text("Qwen2", DECODER, LEFT),
    "Qwen3ForCausalLM": _text("Qwen3", DECODER),
    "GemmaForCausalLM": _text("Gemma", GROUPED),
    "Olmo2ForCausalLM": _text("OLMo 2", DECODER),
    "PhiForCausalLM": _text("Phi", DECODER),
    "Phi3ForCausalLM": _text("Phi-3", DECODER),
    "Qwen3MoeForCausalLM": _text(
        "Qwen3-MoE", {**EXPERTS, "num_experts": 4, "moe_intermediate_size": 24}
    ),
    "MixtralForCausalLM": _text("Mixtral", {**EXPERTS, "num_local_experts": 4}),
    "MambaForCausalLM": _text(
        "Mamba", {**VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4,
                  "use_cache": False},
    ),
    "Mamba2ForCausalLM": _text(
        "Mamba-2", {**VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4,
                    "num_heads": 4, "head_dim": 16, "n_groups": 1, "chunk_size": 4,
                    "use_cache": False},
    ),
    "T5EncoderModel": _text("T5 encoder", T5),
    "T5ForConditionalGeneration": _translator("T5", T5),
    "BartForConditionalGeneration": _translator("BART", {**BOTH, "max_position_embeddings": 16}),
    "WhisperForConditionalGeneration": Member(
        "Whisper", {"input_features": values(8, 20), "decoder_input_ids": ids(5, below=WORDS)},
        {**BOTH, "num_mel_bins": 8, "max_source_positions": 10, "max_target_positions": 8},
    ),
    "CLIPTextModel": _text("CLIP text", {**TEXT, "eos_token_id": 49}),
    "CLIPModel": _text("CLIP", {**TWO, "projection_dim": 16}, pixel_values=values(3, 16, 16)),
    "SiglipModel": Member(
        "SigLIP", {"input_ids": ids(TOKENS, below=WORDS), "pixel_values": values(3, 16, 16)}, TWO
    ),
    "Wav2Vec2ForCTC": Member(
        "Wav2Vec2", {"input_values": values(320, padded=True), "attention_mask": mask(320)},
        {**SPEECH, **VOCABULARY},
    ),
}  # fmt: skip
"""Members by their classes; their configurations have the same names."""

ORIGIN = Origin(
    "transformers, token ids and masks", MEMBERS, of_transformers.network, warm_module, torch_file
)
