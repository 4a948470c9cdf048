"""Layers that apply another layer, or a whole model."""

from __future__ import annotations

from spikewright.frontends.keras.lifting import LiftedBuilder
from spikewright.frontends.keras.reading import read_layer
from spikewright.frontends.keras.registry import Call, Unreadable, Value, reads
from spikewright.graph.layers import Identity


@reads("TimeDistributed")
def time_distributed(call: Call) -> Value:
    """A layer or model at every step of a sequence, the first axis."""
    (value,) = call.inputs
    if len(value.shape) < 2:
        raise Unreadable(
            f"its input of shape {value.shape} has no axis beside time",
            "Put a Reshape layer before it",
        )
    steps, *rest = value.shape
    builder = LiftedBuilder(outer=call.builder, steps=steps)
    if value.node is not None:
        builder.begin(value.node, tuple(rest))
    inner = read_layer(call, call.layer.layer, Value(value.node, tuple(rest), value.whole), builder)
    return call.value(Identity(), Value(inner.node, (steps, *inner.shape)))


@reads("SpectralNormalization")
def spectral_normalization(call: Call) -> Value:
    """At inference the layer that it wraps, whose kernel training has normalised."""
    return call.value(Identity(), read_layer(call, call.layer.layer, call.inputs[0]))
