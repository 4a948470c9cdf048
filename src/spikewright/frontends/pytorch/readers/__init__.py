"""The readings of PyTorch's own operators; importing this registers them."""

from spikewright.frontends.pytorch.readers import (
    activation,
    affine,
    arithmetic,
    constants,
    extent,
    pooling,
    rearrange,
    scatter,
    unchanged,
)

__all__ = [
    "activation",
    "affine",
    "arithmetic",
    "constants",
    "extent",
    "pooling",
    "rearrange",
    "scatter",
    "unchanged",
]
