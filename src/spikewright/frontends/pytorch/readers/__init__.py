"""The readings of PyTorch's own operators; importing this registers them."""

from spikewright.frontends.pytorch.readers import (
    activation,
    arithmetic,
    choosing,
    extent,
    recurrent,
    reductions,
    windows,
)
