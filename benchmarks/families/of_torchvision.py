"""torchvision: every family that classifies images; segmentation, video and parts of detectors."""

from __future__ import annotations

from typing import Any

from benchmarks.families.exporting import torch_file
from benchmarks.families.inputs import values
from benchmarks.families.member import ONLY, Member, Origin, image
from benchmarks.families.warming import warm_module

MAXVIT = {
    "input_size": (64, 64), "stem_channels": 64, "partition_size": 2, "head_dim": 32,
    "block_channels": [64, 128, 256, 512], "block_layers": [2, 2, 5, 2],
    "stochastic_depth_prob": 0.2,
}  # fmt: skip
"""The layers of `maxvit_t` with windows of 2: those of 7 need 224 pixels and many GiB."""

CLASSIFIERS = {
    "alexnet": image("AlexNet", 63),
    "convnext_tiny": image("ConvNeXt", 32),
    "densenet121": image("DenseNet", 32),
    "efficientnet_b0": image("EfficientNet", 32),
    "efficientnet_v2_s": image("EfficientNetV2", 32),
    "googlenet": image("GoogLeNet", 32, init_weights=True, aux_logits=False),
    "inception_v3": image("Inception V3", 75, init_weights=True, aux_logits=False),
    "MaxVit": image("MaxVit", 64, **MAXVIT),
    "mnasnet0_5": image("MNASNet", 32),
    "mobilenet_v2": image("MobileNet V2", 32),
    "mobilenet_v3_small": image("MobileNet V3", 32),
    "regnet_y_400mf": image("RegNet", 32),
    "resnet18": image("ResNet", 32),
    "resnext50_32x4d": image("ResNeXt", 32),
    "shufflenet_v2_x0_5": image("ShuffleNet V2", 32),
    "squeezenet1_1": image("SqueezeNet", 32),
    "swin_t": image("Swin", 32),
    "swin_v2_t": image("Swin V2", 32),
    "vgg11_bn": image("VGG", 32),
    "vit_b_16": image("ViT", 32, image_size=32),
    "wide_resnet50_2": image("Wide ResNet", 32),
}
"""One member of each family of classifiers, by the name of its builder."""


def video(family: str, frames: int, side: int) -> Member:
    """A network that is given some frames of a video, channels first."""
    return Member(family, {ONLY: values(3, frames, side, side)})


OTHERS = {
    "segmentation.deeplabv3_mobilenet_v3_large": image("DeepLabV3", 64, weights_backbone=None),
    "segmentation.lraspp_mobilenet_v3_large": image("LR-ASPP", 64, weights_backbone=None),
    "video.r2plus1d_18": video("ResNet (2+1)D", 8, 32),
    "detection.ssdlite320_mobilenet_v3_large": image("SSDlite", 320, weights_backbone=None),
}
"""Networks for other tasks, by the module and the name of their builders."""


def network(name: str, member: Member) -> Any:
    """A network by the path of its builder or class, with initial weights."""
    import torch
    import torchvision

    torch.manual_seed(0)
    place = torchvision.models
    for part in name.split("."):
        place = getattr(place, part)
    weights = {} if isinstance(place, type) else {"weights": None}
    return place(**weights, **member.options)


ORIGIN = Origin("torchvision", CLASSIFIERS | OTHERS, network, warm_module, torch_file)
