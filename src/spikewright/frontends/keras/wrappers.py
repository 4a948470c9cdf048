"""Layers that apply another layer, or a whole model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from spikewright.frontends.keras.masks import knows_masks
from spikewright.frontends.keras.reading import read_layer
from spikewright.frontends.keras.registry import Call, Unreadable, Value, reads
from spikewright.frontends.source import GraphBuilder
from spikewright.graph.layers import Concatenate, Identity, Layer, Reshape, Slice


@reads("TimeDistributed", arguments=("mask",))
def time_distributed(call: Call) -> Value:
    """A layer or model at every step of a sequence, the first axis."""
    value = call.inputs[0]
    if call.arguments.get("mask") is not None and knows_masks(call.layer.layer):
        raise Unreadable("the layer inside it takes account of masks", "Leave the mask out")
    if len(value.shape) < 2:
        raise Unreadable(
            f"its input of shape {value.shape} has no axis beside time",
            "Put a Reshape layer before it",
        )
    steps, *rest = value.shape
    builder = OverSteps(outer=call.builder, steps=steps)
    if value.name is not None:
        builder.shapes[value.name] = tuple(rest)
    inner = read_layer(
        call, call.layer.layer, Value(value.name, tuple(rest), whole=value.whole), builder
    )
    return call.add(Identity(), Value(inner.name, (steps, *inner.shape)))


@reads("SpectralNormalization")
def spectral_normalization(call: Call) -> Value:
    """At inference the layer that it wraps, whose kernel training has normalised."""
    return call.add(Identity(), read_layer(call, call.layer.layer, call.inputs[0]))


@dataclass
class OverSteps(GraphBuilder):
    """Builds the layers of one step, and adds to another builder their form on all steps.

    `shapes` are those of one step. A layer without such a form is written out step by step.
    """

    outer: GraphBuilder = field(default_factory=GraphBuilder)
    steps: int = 1

    def refuse(
        self,
        layer: str,
        kind: str,
        reason: str,
        options: str = "",
        location: str = "",
        cut: Mapping[str, str] | None = None,
        callable: bool = False,
    ) -> None:
        """Remember a refusal in the outer builder; nodes in this one cannot be kept alone."""
        self.outer.refuse(layer, kind, reason, options, location)

    def _made(
        self, wanted: str, layer: Layer, names: Sequence[str], source: str, kind: str
    ) -> str | None:
        def add(wanted: str, layer: Layer, *inputs: str | None) -> str | None:
            return self.outer.add(wanted, layer, *inputs, source=source, kind=kind)

        shapes = [self.shapes[name] for name in names]
        whole = layer.over_steps(self.steps, *shapes)
        if whole is not None:
            return add(wanted, whole, *names)
        made = layer.output_shape(*shapes)
        results = []
        for step in range(self.steps):
            parts = []
            for name, shape in zip(names, shapes, strict=True):
                cut = Slice.along((self.steps, *shape), {0: slice(step, step + 1)})
                part = add(f"{wanted}/step_{step}/cut", cut, name)
                parts.append(add(f"{wanted}/step_{step}/input", Reshape(shape), part))
            value = add(f"{wanted}/step_{step}/value", layer, *parts)
            results.append(add(f"{wanted}/step_{step}", Reshape((1, *made)), value))
        return add(wanted, Concatenate(0), *results)
