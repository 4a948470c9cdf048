"""Operands of Keras's arithmetic, which aligns shapes with their batch."""

from __future__ import annotations

from typing import Any

from spikewright.frontends.keras.affine import unbatched_constant
from spikewright.frontends.keras.registry import Call, Unreadable, Value, array


def operands(call: Call, *names: str) -> list[Any]:
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
