"""The readings of PyTorch's own operators; importing this registers them."""

from spikewright.frontends.pytorch.readers import (
    activation,
    arithmetic,
    choosing,
    extent,
    normalization,
    products,
    recurrent,
    spectra,
    windows,
)
