"""Arguments of calls as readers are given them: arrays for constants, and masks of tensors.

Values that depend on no input (position embeddings, class tokens, whatever is made of them) are
arrays while a model is read; one whose first axis is the batch has an extent of one there.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.frontends.keras.registry import (
    KerasCall,
    Unknown,
    Unreadable,
    Value,
    array,
    plain_array,
)
from spikewright.frontends.keras.running import run_operation, without_gradients
from spikewright.frontends.keras.walking import Application, flatten, map_structure, values_in
from spikewright.frontends.reading.call import afford
from spikewright.frontends.source import GraphBuilder
from spikewright.graph.layers import Constant, Shape

_INPUTS = ("inputs", "query", "value", "key")


def folded(call: Application[Any]) -> Sequence[Any]:
    """The outputs of a layer or operation that is applied to constants alone."""
    afford(sum(math.prod(n or 1 for n in tensor.shape) for tensor in call.outputs))
    with without_gradients():
        return [plain_array(x) for x in run_operation(call.operation, call.args, call.kwargs)]


def is_constant(leaf: Any) -> bool:
    """Whether an argument is an array or tensor."""
    return isinstance(leaf, np.ndarray) or require("keras").ops.is_tensor(leaf)


def with_constants(call: KerasCall) -> KerasCall:
    """The call of a layer with values in the place of constants among its inputs.

    Raises `Unreadable` for a constant that differs from sample to sample, or has no batch axis.
    """
    first = next(iter(call.arguments), "")
    given = {name: call.arguments[name] for name in {first, *_INPUTS} & set(call.arguments)}
    if not any(is_constant(leaf) for leaf in flatten(given)):
        return call
    made = map_structure(lambda leaf: _as_value(call, leaf) if is_constant(leaf) else leaf, given)
    arguments = {**call.arguments, **made}
    values = tuple(v for v in flatten(arguments) if isinstance(v, Value))
    return replace(call, arguments=arguments, inputs=values)


def as_values(call: KerasCall, tensors: Sequence[Any]) -> list[Value]:
    """Tensors that a call joins, with values in the place of constants; raises `Unreadable`."""
    return [x if isinstance(x, Value) else _as_value(call, x) for x in tensors]


def _as_value(call: KerasCall, constant: Any) -> Value:
    found = plain_array(constant)
    ranks = {len(value.shape) + 1 for value in call.inputs}
    if found.ndim not in ranks or found.shape[0] != 1:
        raise Unreadable(
            f"its constant of shape {found.shape} has no batch axis of extent 1",
            "Give the constant that axis, constant[None]",
        )
    name, source, kind = call.named("constant")
    return constant_value(call.builder, found, name, source, kind)


def constant_value(
    builder: GraphBuilder, constant: NDArray, name: str, source: str, kind: str
) -> Value:
    """A constant `(1, *shape)` as a value of the graph."""
    value = np.asarray(constant[0], np.float64)
    node = builder.add(name, Constant(value), source=source, kind=kind)
    if node is None:
        raise Unknown
    whole, truth = constant.dtype.kind in "iu", constant.dtype.kind == "b"
    return Value(node, value.shape, whole=int(whole), truth=truth)


def given_masks(
    operation: Any, arguments: Mapping[str, Any], masks: Mapping[str, Value]
) -> dict[str, Any]:
    """The arguments of a layer's call with the masks that Keras adds to them, by node of values."""
    parameters = inspect.signature(operation.call).parameters
    tensors = {name: given for name, given in arguments.items() if values_in(given)}
    names = {name: "mask" if len(tensors) == 1 else f"{name}_mask" for name in tensors}
    made = dict(arguments)
    for name, mask_name in names.items():
        if mask_name not in parameters or arguments.get(mask_name) is not None:
            continue
        found = map_structure(partial(_mask_of, masks), tensors[name])
        if values_in(found):
            made[mask_name] = found
    return made


def _mask_of(masks: Mapping[str, Value], leaf: Any) -> Value | None:
    return masks.get(leaf.name or "") if isinstance(leaf, Value) else None


def operands(call: KerasCall, *names: str) -> list[Any]:
    """The arguments of these names: values, or constants that broadcast against them.

    Raises `Unreadable` where ranks differ, so that Keras would mix samples of a batch.
    """
    given = [call.arguments[name] for name in names]
    ranks = {len(x.shape) for x in given if isinstance(x, Value)}
    if len(ranks) > 1:
        shapes = [x.shape for x in given if isinstance(x, Value)]
        raise Unreadable(
            f"its inputs of shapes {shapes} have different ranks, so that Keras aligns the batch "
            f"of one with another axis of the other",
            "Make the ranks equal with a Reshape layer",
        )
    shape = next((x.shape for x in given if isinstance(x, Value)), ())
    return call.operands(
        *(x if isinstance(x, Value) else unbatched_constant(array(x), shape) for x in given)
    )


def unbatched_constant(constant: NDArray, shape: Shape) -> NDArray:
    """A constant that broadcasts against `(batch, *shape)`, made to do so against `shape`."""
    if constant.ndim <= len(shape):
        return constant
    if constant.ndim == len(shape) + 1 and len(constant) == 1:
        return constant[0]
    raise Unreadable(
        f"its constant of shape {constant.shape} differs from sample to sample",
        "Use a constant without a batch axis",
    )
