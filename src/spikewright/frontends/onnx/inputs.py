"""What the model's inputs are: names, unbatched shapes, and whether the batch size is free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikewright._optional import require
from spikewright._structure import Structure
from spikewright.errors import ReadError
from spikewright.frontends.examples import named_examples
from spikewright.frontends.onnx.files import type_name
from spikewright.graph.layers import Shape

FREE = (2, 61)
"""The batch sizes that stand for every batch size, where the model leaves it free."""


@dataclass(frozen=True)
class ModelInputs:
    """Unbatched shape by input name, and the batch size that the file fixes, or None."""

    shapes: Mapping[str, Shape]
    fixed_batch: int | None

    @property
    def batches(self) -> tuple[int, ...]:
        """The batch sizes under which constants are computed."""
        return FREE if self.fixed_batch is None else (self.fixed_batch,)


def input_names(proto: Any) -> list[str]:
    """The inputs that are no initialisers."""
    weights = {tensor.name for tensor in proto.graph.initializer}
    return [value.name for value in proto.graph.input if value.name not in weights]


def inputs_of(proto: Any, examples: Mapping[str, Shape], place: str) -> ModelInputs:
    """Read the inputs that are no initialisers; raises `ReadError` where a shape stays unknown."""
    names = set(input_names(proto))
    values = [value for value in proto.graph.input if value.name in names]
    if not values:
        raise ReadError(f"{place}: has no input that is not a weight, so it computes a constant.")
    shapes: dict[str, Shape] = {}
    fixed: dict[str, int] = {}
    for value in values:
        full = _full_shape(value, examples.get(value.name), place)
        where = f"{place}: input {value.name!r}"
        if not full:
            raise ReadError(f"{where} is a scalar; it needs a batch axis. Export it with one.")
        unknown = [axis for axis, extent in enumerate(full) if axis and extent is None]
        if unknown:
            raise ReadError(
                f"{where}: the extent of axes {unknown} is not fixed in the model. "
                "Give example_input, whose shape then holds."
            )
        shapes[value.name] = tuple(int(extent) for extent in full[1:] if extent is not None)
        if full[0] is not None:
            fixed[value.name] = full[0]
    if len(set(fixed.values())) > 1:
        raise ReadError(
            f"{place}: its inputs have different first axes, {fixed}; the first axis of every "
            "input must be the batch. Export it so, with one batch size or a dynamic one."
        )
    return ModelInputs(shapes, next(iter(fixed.values()), None))


def example_shapes(example: Any, names: list[str], place: str) -> dict[str, Shape]:
    """Full shape of each example of these inputs; raises `ReadError` where they do not fit."""
    structure = Structure({name: (name,) for name in names})
    given = named_examples(example, structure, f"{place}: ")
    shapes = {name: tuple(np.shape(value)) for name, value in given.items()}
    for name, shape in shapes.items():
        if not shape or min(shape) < 1:
            raise ReadError(
                f"{place}: example_input {name!r} has shape {shape}; it must have a batch axis and "
                "hold something."
            )
    return shapes


def _full_shape(value: Any, example: Shape | None, place: str) -> list[int | None]:
    """Extents with the batch axis first, None where free; the model's word before the example's."""
    where = f"{place}: input {value.name!r}"
    _check_type(value.type, where)
    if not value.type.tensor_type.HasField("shape"):
        if example is None:
            raise ReadError(f"{where} has no shape in the model. Give example_input.")
        return [None, *example[1:]]
    declared = [
        d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None
        for d in value.type.tensor_type.shape.dim
    ]
    if example is None:
        return declared
    fits = len(example) == len(declared) and all(
        extent in (None, given) for extent, given in zip(declared[1:], example[1:], strict=True)
    )
    if not fits:
        raise ReadError(f"{where} is {declared} in the model, example_input has shape {example}.")
    return [*declared[:1], *example[1:]]


def _check_type(declared: Any, where: str) -> None:
    types = require("onnx").TensorProto
    kind = declared.WhichOneof("value")
    if kind != "tensor_type":
        raise ReadError(f"{where} is a {kind}; only tensors can be read.")
    element = declared.tensor_type.elem_type
    if element not in (types.FLOAT, types.DOUBLE):
        raise ReadError(
            f"{where} holds {type_name(element)} values; only floating-point inputs can "
            "be read. Cut the model after its Cast, or export it with a floating-point input."
        )
