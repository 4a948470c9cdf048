"""The layer of our own that a Keras model may hold."""

from __future__ import annotations

from spikewright.frontends.keras.registry import Call, Value, array, reads
from spikewright.graph.layers import Activation


@reads("RoundedReLU")
def rounded_relu(call: Call) -> Value:
    """Its threshold, levels and start."""
    made = call.layer.rounding
    parameters = {
        "threshold": abs(float(array(call.layer.threshold))),
        "levels": float(made.levels),
        "start": float(made.start),
    }
    return call.add(Activation("rounded_relu", parameters))
