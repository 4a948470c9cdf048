"""All networks, by the place that they are from."""

from __future__ import annotations

from benchmarks.families import (
    of_diffusers,
    of_keras,
    of_keras_hub,
    of_keras_models,
    of_pytorch,
    of_text,
    of_timm,
    of_torchvision,
    of_transformers,
)  # fmt: skip
from benchmarks.families.member import Member, Origin

ORIGINS: dict[str, Origin] = {
    "keras": of_keras.ORIGIN,
    "torchvision": of_torchvision.ORIGIN,
    "timm": of_timm.ORIGIN,
    "transformers": of_transformers.ORIGIN,
    "text": of_text.ORIGIN,
    "pytorch": of_pytorch.ORIGIN,
    "diffusers": of_diffusers.ORIGIN,
    "keras_models": of_keras_models.ORIGIN,
    "keras_hub": of_keras_hub.ORIGIN,
}
ONNX = ".onnx"
EXPORTED = ("keras", "torchvision", "timm", "transformers")
"""Places whose networks are read from their ONNX files too: models that are published as such."""


def keys() -> list[str]:
    """All rows by key: `torchvision/resnet18`, and `torchvision/resnet18.onnx` beside it."""
    return [
        f"{place}/{name}{form}"
        for place, origin in ORIGINS.items()
        for name in origin.members
        for form in (("", ONNX) if place in EXPORTED else ("",))
    ]


def found(key: str) -> tuple[Origin, str, Member]:
    """The place, the name and the entry of what a key says."""
    place, name = key.removesuffix(ONNX).split("/", 1)
    return ORIGINS[place], name, ORIGINS[place].members[name]
