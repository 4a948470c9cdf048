"""Keras 3 models, live or from `.keras` and `.h5` files, on any backend.

A model is walked call by call, into nested models. Each layer's class has a reader, found by name
in `READERS`; `reads` registers one for a class of your own. The graph's node that has a source
layer's name has exactly that layer's output: a layer with an activation becomes two nodes,
`conv1/linear` and `conv1`, and the second call of a shared layer `conv1_1`.
"""

from __future__ import annotations

from spikewright.frontends.keras import (  # these modules register their readers
    attention,
    choices,
    convolutions,
    elementwise,
    preprocessing,
    recurrent,
    reductions,
    shapes,
)
from spikewright.frontends.keras.model import read
from spikewright.frontends.keras.registry import (
    READERS,
    KerasCall,
    UnsupportedOp,
    Value,
    array,
    reads,
)

__all__ = ["READERS", "KerasCall", "UnsupportedOp", "Value", "array", "read", "reads"]
