"""The steps for a network: make it, export it for an ONNX row, convert it, verify it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.families.apart import Row, sentence, without_places
from benchmarks.families.member import Member, as_taken
from benchmarks.families.origins import ONNX, found

if TYPE_CHECKING:
    from spikewright import Conversion
    from spikewright.conversion.verification_result import Verification

CONVERTED, REFUSED, DIFFERS, NOT_EXPORTED = "converted", "refused", "differs", "not exported"
LEFT_OUT, SEEN = "left out", "seen"
WIDEST = 0.01  # of the largest output: where rounding explains more, agreement says nothing


def measured(key: str) -> Row:
    """The row of a network, or of its export: an outcome, with the reason where it is no success.

    A conversion that does not agree with its source has differed, one that is refused was so on
    purpose, and all else fails: it raises.
    """
    origin, name, member = found(key)
    begin = time.process_time()
    model = origin.warm(origin.make(name, member), member)
    row: Row = {"input": member.input_text}
    if not key.endswith(ONNX):
        row |= _converted(model, member, origin.example)
        return row | {"seconds": time.process_time() - begin}
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = origin.export(model, member, Path(folder))
        except Exception as error:  # exporters raise whatever they meet
            return row | {"outcome": NOT_EXPORTED, "why": sentence(error)}
        del model
        row |= _converted(str(path), member, origin.keras and origin.example)  # open extents
    return row | {"seconds": time.process_time() - begin}


def _converted(model: Any, member: Member, with_example: bool) -> Row:
    """A model of any front end, made spiking and compared with its source."""
    import spikewright as sw
    from spikewright.errors import SpikewrightError, VerificationError
    from spikewright.showing.inspection import inspect

    arrays = member.compared()
    example = as_taken(arrays) if with_example else None
    try:
        conversion = sw.convert(model, spiking=True, example_input=example)
        layers = inspect(conversion.graph)
        row: Row = {"layers": len(layers.layers), "parameters": layers.parameters}
        row["guarantee"] = conversion.trace.guarantee
        verification = conversion.verify(as_taken(arrays))
    except VerificationError as error:
        return row | {"outcome": DIFFERS, "why": without_places(str(error))}
    except SpikewrightError as error:
        return {"outcome": REFUSED, "why": without_places(str(error))}
    if member.free_padding is not None:
        row["padding"] = padding(conversion, member, arrays)
    return row | _verdict(verification)


def padding(conversion: Conversion, member: Member, arrays: dict[str, NDArray]) -> str:
    """Whether outputs at real positions depend on what stands in the padding.

    The last two samples of the arrays are alike but for that. Outputs along the padded axis are
    compared where no padding is, all others everywhere.
    """
    from spikewright.graph import evaluate

    one = member.free_padding
    assert one is not None
    real = ~one.padding(2)[1]
    for values in evaluate(conversion.graph, arrays).values():
        short, again = values[1:3]
        if np.shape(short)[:1] == real.shape:
            short, again = short[real], again[real]
        if not np.allclose(short, again, rtol=1e-9, atol=1e-9):
            return SEEN
    return LEFT_OUT


def _verdict(verification: Verification) -> Row:
    """The error of the outputs, if its bound is small enough to say anything."""
    off = max((one for one in verification.differences if one.output), key=lambda one: one.severity)
    row: Row = {"outcome": CONVERTED, "error": off.error, "bound": off.bound}
    if off.bound > WIDEST:
        row |= {
            "outcome": DIFFERS,
            "why": f"rounding alone explains {off.bound:.0%} of its outputs",
        }
    return row
