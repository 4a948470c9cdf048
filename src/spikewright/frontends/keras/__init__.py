"""Keras 3 models, live or from `.keras` and `.h5` files, on any backend.

A model is walked call by call, into nested models. Each layer's class has a reader, found by name
in `READERS`; `reads` registers one for a class of your own. The graph's node that has a source
layer's name has exactly that layer's output: a layer with an activation becomes two nodes,
`conv1/linear` and `conv1`, and the second call of a shared layer `conv1_1`.
"""

from __future__ import annotations

from spikewright.frontends.keras import (
    activations,  # noqa: F401  (these modules register their readers)
    affine,  # noqa: F401
    attention,  # noqa: F401
    choices,  # noqa: F401
    convolutions,  # noqa: F401
    einsum,  # noqa: F401
    elementwise,  # noqa: F401
    lookups,  # noqa: F401
    merging,  # noqa: F401
    normalization,  # noqa: F401
    operations,  # noqa: F401
    ordering,  # noqa: F401
    pooling,  # noqa: F401
    positions,  # noqa: F401
    preprocessing,  # noqa: F401
    recurrent,  # noqa: F401
    reductions,  # noqa: F401
    resizing,  # noqa: F401
    rounded,  # noqa: F401
    selection,  # noqa: F401
    shapes,  # noqa: F401
    wrappers,  # noqa: F401
)
from spikewright.frontends.keras.model import read
from spikewright.frontends.keras.registry import READERS, Call, Unreadable, Value, array, reads

__all__ = ["READERS", "Call", "Unreadable", "Value", "array", "read", "reads"]
