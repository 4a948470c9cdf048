"""The readers of the standard operators; importing this package registers them."""

from spikewright.frontends.onnx.readers import (
    activation,
    affine,
    arithmetic,
    attention,
    comparison,
    einsum,
    normalization,
    pooling,
    product,
    recurrent,
    reduction,
    repeat,
    resize,
    select,
    shape,
)

__all__ = [
    "activation",
    "affine",
    "arithmetic",
    "attention",
    "comparison",
    "einsum",
    "normalization",
    "pooling",
    "product",
    "recurrent",
    "reduction",
    "repeat",
    "resize",
    "select",
    "shape",
]
