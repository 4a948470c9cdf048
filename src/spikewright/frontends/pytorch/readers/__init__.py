"""The readings of PyTorch's own operators; importing this registers them."""

from spikewright.frontends.pytorch.readers import (
    activation,
    affine,
    arithmetic,
    attention,
    choosing,
    comparison,
    extent,
    lookup,
    normalization,
    pooling,
    products,
    rearrange,
    recurrent,
    resize,
    scatter,
    unchanged,
)

__all__ = [
    "activation",
    "affine",
    "arithmetic",
    "attention",
    "choosing",
    "comparison",
    "extent",
    "lookup",
    "normalization",
    "pooling",
    "products",
    "rearrange",
    "recurrent",
    "resize",
    "scatter",
    "unchanged",
]
