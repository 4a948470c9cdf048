"""Whether code of a layer mixes the samples of a batch: its own call is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.frontends.keras.registry import Call, Value, plain_array
from spikewright.frontends.keras.running import without_gradients
from spikewright.frontends.keras.tracing import called
from spikewright.frontends.keras.walking import filled, values_in
from spikewright.frontends.mixing import parted
from spikewright.frontends.preserving import preserved


def mixed_by(call: Call) -> str | None:
    """The reason why samples do not stay apart in a layer's call, None where they do.

    Random samples are tried. None too where an input is unknown, or the call fails on them.
    """
    values = values_in(dict(call.arguments))
    if any(value.name is None for value in values):
        return None
    rng = np.random.default_rng(0)
    example = {str(i): _samples(rng, value) for i, value in enumerate(values)}

    def run(inputs: Mapping[str, NDArray]) -> dict[str, NDArray]:
        tensors = map(require("keras").ops.convert_to_tensor, inputs.values())
        with without_gradients():
            made = called(call.layer, filled(dict(call.arguments), tensors))
        leaves = require("keras").tree.flatten(made)
        return {str(i): plain_array(value) for i, value in enumerate(leaves)}

    with preserved(call.layer):
        try:
            found = parted(run, example)
        except Exception:
            return None
    return None if found is None else found.reason


def _samples(rng: Any, value: Value) -> NDArray:
    """Two samples of a value's kind: real numbers, whole ones, or truth values."""
    shape = (2, *value.shape)
    if value.truth:
        return np.asarray(rng.random(shape) < 0.5)
    if value.whole:
        return rng.integers(0, 2, shape).astype(np.int32)
    return rng.normal(size=shape).astype(np.float32)
