"""The readers of the standard operators; importing this package registers them."""

from spikewright.frontends.onnx.readers import (
    domains,
    elementwise,
    recurrent,
    reductions,
    resize,
    select,
    shape,
    windows,
)
