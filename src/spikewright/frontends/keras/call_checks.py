"""Checks by the own call of code: whether it mixes samples, and whether it was recorded right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.frontends.keras.registry import Call, Value, plain_array
from spikewright.frontends.keras.running import Running, without_gradients
from spikewright.frontends.keras.symbolic import Recorded
from spikewright.frontends.keras.tracing import called
from spikewright.frontends.keras.walking import filled, values_in
from spikewright.frontends.mixing import parted
from spikewright.frontends.preserving import preserved


def mixed_by(call: Call, outputs: Sequence[Any]) -> str | None:
    """The reason why samples do not stay apart in a layer's call, None where they do.

    `outputs` are what it was read as; those that are constants are not looked at. Random samples
    are tried. None too where an input is unknown, or the call fails on them.
    """
    values = values_in(dict(call.arguments))
    if any(value.name is None for value in values):
        return None
    depend = [not isinstance(output, np.ndarray) for output in outputs]
    return mixed_in(call.layer, call.arguments, samples_like(values), depend)


def samples_like(values: Sequence[Value]) -> list[NDArray]:
    """Two random samples of each value, and the opposite of the first one.

    They are real numbers, whole ones, or truth values.
    """
    rng = np.random.default_rng(0)
    return [_samples(rng, value) for value in values]


def mixed_in(
    layer: Any, arguments: Mapping[str, Any], example: Sequence[NDArray], depend: Sequence[bool]
) -> str | None:
    """As `mixed_by`, of a layer's call with these arrays in the place of values.

    `depend` says for each output whether it depends on them.
    """

    def run(inputs: Mapping[str, NDArray]) -> dict[str, NDArray]:
        tensors = map(require("keras").ops.convert_to_tensor, inputs.values())
        with without_gradients():
            made = called(layer, filled(dict(arguments), tensors))
        leaves = zip(require("keras").tree.flatten(made), depend, strict=True)
        return {str(i): plain_array(value) for i, (value, kept) in enumerate(leaves) if kept}

    with preserved(layer):
        try:
            found = parted(run, {str(i): array for i, array in enumerate(example)})
        except Exception:
            return None
    return None if found is None else found.reason


def is_recorded_right(
    layer: Any,
    arguments: Mapping[str, Any],
    recorded: Recorded,
    example: Sequence[NDArray],
    masks: Sequence[NDArray] = (),
) -> bool:
    """Whether a recorded graph gives what the layer's own call gives, for each sample alone.

    `masks` are those of the values that have one, in order. Where the call fails nothing is known.
    """
    count = len(example[0])
    with preserved(layer), without_gradients():
        return all(
            _is_right_for(
                layer,
                arguments,
                recorded,
                *([x[i : i + 1] for x in given] for given in (example, masks)),
            )
            for i in range(count)
        )


def _is_right_for(
    layer: Any,
    arguments: Mapping[str, Any],
    recorded: Recorded,
    example: Sequence[NDArray],
    masks: Sequence[NDArray],
) -> bool:
    """The same of one sample."""
    keras = require("keras")
    tensors = [keras.ops.convert_to_tensor(array) for array in example]
    given = [*tensors, *map(keras.ops.convert_to_tensor, masks)]
    _attach(recorded.graph, given)
    try:
        wanted = keras.tree.flatten(called(layer, filled(dict(arguments), tensors)))
    except Exception:
        return True
    _attach(recorded.graph, given)  # attention takes masks off
    ends = [end for end in recorded.outputs if isinstance(end, keras.KerasTensor)]
    try:
        made = Running(recorded.graph, {}).through(recorded.graph, given, ends=ends)
    except Exception:
        return False  # a shape in it has no number for the batch
    found, waiting = iter(made), zip(recorded.outputs, wanted, strict=True)
    return all(_close(next(found), x) for end, x in waiting if isinstance(end, keras.KerasTensor))


def _attach(graph: Any, tensors: Sequence[Any]) -> None:
    """Give tensors the masks that the inputs of a recorded graph have."""
    given = dict(zip(map(id, graph.inputs), tensors, strict=True))
    for symbolic, tensor in zip(graph.inputs, tensors, strict=True):
        mask = given.get(id(getattr(symbolic, "_keras_mask", None)))
        if mask is not None:
            require("keras.src.backend").set_keras_mask(tensor, mask)


def _close(made: Any, wanted: Any) -> bool:
    one, other = plain_array(made), plain_array(wanted)
    if one.shape != other.shape:
        return False
    scale = float(np.abs(other[np.isfinite(other)].astype(float)).max(initial=0.0))
    return np.allclose(one, other, rtol=0, atol=1e-3 * scale + 1e-30, equal_nan=True)


def _samples(rng: Any, value: Value) -> NDArray:
    shape = (2, *value.shape)
    if value.truth or value.whole:
        found = rng.integers(0, 2, shape)
        return np.concatenate([found, 1 - found[:1]]).astype(bool if value.truth else np.int32)
    found = rng.normal(size=shape).astype(np.float32)
    return np.concatenate([found, -found[:1]])
