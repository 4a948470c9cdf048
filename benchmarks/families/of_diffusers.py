"""diffusers: networks that remove noise, with the timestep of each sample."""

from __future__ import annotations

from typing import Any

from benchmarks.families.exporting import torch_file
from benchmarks.families.inputs import ids, values
from benchmarks.families.member import Member, Origin
from benchmarks.families.warming import warm_module

STEP = {"timestep": ids(below=1000)}
IMAGE = {"sample": values(3, 8, 8), **STEP}
WIDTHS = {"block_out_channels": (8, 16), "norm_num_groups": 4, "layers_per_block": 1}

MEMBERS = {
    "UNet2DModel": Member(
        "DDPM UNet", IMAGE,
        {**WIDTHS, "sample_size": 8, "attention_head_dim": 4,
         "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
         "up_block_types": ("AttnUpBlock2D", "UpBlock2D")},
    ),
    "UNet2DConditionModel": Member(
        "conditioned UNet", {**IMAGE, "encoder_hidden_states": values(5, 12)},
        {**WIDTHS, "sample_size": 8, "in_channels": 3, "out_channels": 3, "attention_head_dim": 4,
         "cross_attention_dim": 12, "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
         "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D")},
    ),
    "UNet1DModel": Member(
        "UNet of sequences", {"sample": values(2, 32), **STEP},
        {"sample_size": 32, "block_out_channels": (32, 32, 32), "extra_in_channels": 64,
         "norm_num_groups": 4},
    ),
    "DiTTransformer2DModel": Member(
        "DiT", {"hidden_states": values(3, 8, 8), **STEP, "class_labels": ids(below=10)},
        {"num_attention_heads": 2, "attention_head_dim": 8, "in_channels": 3, "out_channels": 3,
         "num_layers": 2, "sample_size": 8, "patch_size": 2, "num_embeds_ada_norm": 10,
         "norm_num_groups": 4},
    ),
}  # fmt: skip
"""Members by their classes."""


def network(name: str, member: Member) -> Any:
    """A network of diffusers with initial weights."""
    import diffusers
    import torch

    torch.manual_seed(0)
    return getattr(diffusers, name)(**member.options)


ORIGIN = Origin("diffusers", MEMBERS, network, warm_module, torch_file)
