"""Layers applied to every step of a sequence: the same graph layers, with an axis of time in front.

A layer acts along its own axes alike at every step, so most kinds have a form on the whole sequence
at once: windows of one step, an axis more. The others are written out step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from spikewright.errors import GraphError
from spikewright.frontends.source import GraphBuilder
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    AveragePool,
    BatchNormalization,
    Broadcast,
    Concatenate,
    Constant,
    Convolution,
    ConvolutionTranspose,
    Crop,
    Divide,
    GlobalAveragePool,
    GlobalMaxPool,
    Identity,
    Interpolate,
    Layer,
    LayerNormalization,
    Lookup,
    MatMul,
    Maximum,
    MaxPool,
    Minimum,
    Multiply,
    Pad,
    ParametricReLU,
    Permute,
    Reshape,
    RMSNormalization,
    ScaleShift,
    Shape,
    Slice,
    Sum,
    Take,
    Tile,
    UnitNormalization,
    UpsampleNearest,
    ZeroPad,
)

Rule = Callable[[Any, int, int], "Layer | None"]
"""From a layer, the number of steps and the unbatched rank of its input at one step to the layer
that does it at every step, or None where there is none."""


def _same(layer: Any, steps: int, rank: int) -> Layer:
    result: Layer = layer
    return result


def _on_axis(layer: Any, steps: int, rank: int) -> Layer:
    result: Layer = replace(layer, axis=layer.axis % rank + 1)
    return result


def _on_axes(layer: Any, steps: int, rank: int) -> Layer:
    result: Layer = replace(layer, axes=tuple(axis % rank + 1 for axis in layer.axes))
    return result


def _in_front(name: str, of_step: Callable[[int], Any]) -> Rule:
    def rule(layer: Any, steps: int, rank: int) -> Layer:
        result: Layer = replace(layer, **{name: (of_step(steps), *getattr(layer, name))})
        return result

    return rule


def _activation(layer: Activation, steps: int, rank: int) -> Layer:
    if layer.elementwise:
        return layer
    return replace(layer, parameters={"axis": layer.axis(rank)})


def _permute(layer: Permute, steps: int, rank: int) -> Layer:
    return Permute((0, *(axis + 1 for axis in layer.axes)))


def _windowed(layer: Any, steps: int, rank: int) -> Layer | None:
    """Windows of one step; there is no fourth spatial axis, and channels must be last."""
    if rank > 3 or not layer.channels_last:
        return None
    changes: dict[str, Any] = {"padding": ((0, 0), *layer.padding)}
    for name, one in (("size", 1), ("stride", 1), ("dilation", 1), ("output_padding", 0)):
        if hasattr(layer, name):
            changes[name] = (one, *getattr(layer, name))
    if hasattr(layer, "weight"):
        changes["weight"] = layer.weight[:, :, None]
    result: Layer = replace(layer, **changes)
    return result


def _broadcast(layer: Broadcast, steps: int, rank: int) -> Layer | None:
    return Broadcast((steps, *layer.shape)) if len(layer.shape) == rank else None


_NONE = (0, 0)
_RULES: Mapping[type[Layer], Rule] = {
    **dict.fromkeys((Affine, Identity, Lookup, ParametricReLU, ScaleShift), _same),
    **dict.fromkeys((Add, Divide, MatMul, Maximum, Minimum, Multiply), _same),
    **dict.fromkeys((BatchNormalization, Concatenate, Take), _on_axis),
    **dict.fromkeys((GlobalAveragePool, GlobalMaxPool, Sum, Interpolate), _on_axes),
    **dict.fromkeys((LayerNormalization, RMSNormalization, UnitNormalization), _on_axes),
    **dict.fromkeys((Convolution, ConvolutionTranspose, AveragePool, MaxPool), _windowed),
    Activation: _activation,
    Broadcast: _broadcast,
    Permute: _permute,
    Crop: _in_front("crops", lambda steps: _NONE),
    Pad: _in_front("pads", lambda steps: _NONE),
    ZeroPad: _in_front("pads", lambda steps: _NONE),
    Reshape: _in_front("shape", lambda steps: steps),
    Slice: _in_front("ranges", lambda steps: (0, steps, 1)),
    Tile: _in_front("repeats", lambda steps: 1),
    UpsampleNearest: _in_front("factors", lambda steps: 1),
}


def lifted(layer: Layer, steps: int, shapes: Sequence[Shape]) -> Layer | None:
    """The layer on a sequence that equals `layer` on inputs of `shapes` at every step.

    None if no such layer exists; raises `GraphError` where the shapes do not fit.
    """
    layer.output_shape(*shapes)
    if isinstance(layer, Constant):
        return Constant(np.broadcast_to(layer.value, (steps, *layer.value.shape)).copy())
    rule = _RULES.get(type(layer))
    ranks = {len(shape) for shape in shapes}
    return None if rule is None or len(ranks) != 1 else rule(layer, steps, ranks.pop())


@dataclass
class LiftedBuilder(GraphBuilder):
    """Builds the layers of one step, and adds to another builder their form on all steps.

    `shapes` are those of one step.
    """

    outer: GraphBuilder = field(default_factory=GraphBuilder)
    steps: int = 1

    def begin(self, name: str, shape: Shape) -> None:
        """Make a value of the outer builder known, of which a step has this shape."""
        self.shapes[name] = shape

    def add(
        self,
        wanted: str,
        layer: Layer,
        *inputs: str | None,
        source: str = "",
        kind: str = "",
        location: str = "",
    ) -> str | None:
        """Add a layer at every step; as `GraphBuilder.add`."""
        names = [name for name in inputs if name is not None]
        if len(names) < len(inputs):
            return None
        shapes = [self.shapes[name] for name in names]
        try:
            whole = lifted(layer, self.steps, shapes)
        except GraphError as error:
            self.outer.refuse(source or wanted, kind or layer.kind, str(error), location=location)
            return None

        def add(wanted: str, layer: Layer, *inputs: str | None) -> str | None:
            return self.outer.add(
                wanted, layer, *inputs, source=source, kind=kind, location=location
            )

        if whole is None:
            name = _step_by_step(add, wanted, layer, names, shapes, self.steps)
        else:
            name = add(wanted, whole, *names)
        if name is not None:
            self.shapes[name] = layer.output_shape(*shapes)
        return name

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


def _step_by_step(
    add: Callable[..., str | None],
    wanted: str,
    layer: Layer,
    names: Sequence[str],
    shapes: Sequence[Shape],
    steps: int,
) -> str | None:
    """Cut the sequences up, apply the layer to every step, and put the results together."""
    made = []
    shape = layer.output_shape(*shapes)
    for step in range(steps):
        parts = []
        for name, own in zip(names, shapes, strict=True):
            cut = Slice.along((steps, *own), {0: slice(step, step + 1)})
            part = add(f"{wanted}/step_{step}/cut", cut, name)
            parts.append(add(f"{wanted}/step_{step}/input", Reshape(own), part))
        value = add(f"{wanted}/step_{step}/value", layer, *parts)
        made.append(add(f"{wanted}/step_{step}", Reshape((1, *shape)), value))
    return add(wanted, Concatenate(0), *made)
