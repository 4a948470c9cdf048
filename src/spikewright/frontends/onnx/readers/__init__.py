"""The readers of the standard operators; importing this package registers them."""

from spikewright.frontends.onnx.readers import (
    classical,
    contrib,
    elementwise,
    normalization,
    product,
    recurrent,
    resize,
    select,
    shape,
    windows,
)
