"""timm: image networks of many authors, one of each family."""

from __future__ import annotations

from typing import Any

from benchmarks.families.exporting import torch_file
from benchmarks.families.member import Member, Origin, image
from benchmarks.families.warming import warm_module

MEMBERS = {
    "convnextv2_atto": image("ConvNeXt V2", 32),
    "deit_tiny_distilled_patch16_224": image("DeiT", 32, img_size=32),
    "edgenext_xx_small": image("EdgeNeXt", 64),
    "efficientvit_b0": image("EfficientViT", 32),
    "eva02_tiny_patch14_224": image("EVA-02", 28, img_size=28),
    "ghostnet_050": image("GhostNet", 32),
    "inception_next_atto": image("InceptionNeXt", 32),
    "levit_128s": image("LeViT", 224),
    "mambaout_femto": image("MambaOut", 32),
    "mixer_s32_224": image("MLP-Mixer", 64, img_size=64),
    "mobilenetv4_conv_small_050": image("MobileNet V4", 32),
    "mobilevit_xxs": image("MobileViT", 32),
    "poolformer_s12": image("PoolFormer", 32),
    "pvt_v2_b0": image("PVT v2", 32),
    "repvit_m0_9": image("RepViT", 32),
    "resnest14d": image("ResNeSt", 32),
    "starnet_s050": image("StarNet", 32),
    "test_coatnet": image("CoAtNet", 64, img_size=64),
    "test_nfnet": image("NFNet", 32),
    "xcit_nano_12_p16_224": image("XCiT", 32, img_size=32),
}
"""Members by the name that `timm.create_model` knows."""


def network(name: str, member: Member) -> Any:
    """A network of timm with initial weights."""
    import timm
    import torch

    torch.manual_seed(0)
    return timm.create_model(name, pretrained=False, **member.options)


ORIGIN = Origin("timm", MEMBERS, network, warm_module, torch_file)
