"""The steps for a network: make it, export it for an ONNX row, convert it, verify it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.families.apart import Row, sentence, without_places
from benchmarks.families.member import Member
from benchmarks.families.origins import ONNX, found

if TYPE_CHECKING:
    from spikewright.conversion.verified import Verification

CONVERTED, REFUSED, DIFFERS, NOT_EXPORTED = "converted", "refused", "differs", "not exported"
WIDEST = 0.01  # of the largest output: where rounding explains more, agreement says nothing


def measured(key: str) -> Row:
    """The row of a network, or of its export: an outcome, with the reason where it is no success.

    A conversion that does not agree with its source has differed, one that is refused was so on
    purpose, and all else fails: it raises.
    """
    origin, name, member = found(key)
    begin = time.process_time()
    model = origin.warm(origin.make(name, member), member)
    row: Row = {"input": " x ".join(map(str, member.shape))}
    if not key.endswith(ONNX):
        row |= _converted(model, member, origin.example)
        return row | {"seconds": time.process_time() - begin}
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = origin.export(model, member, Path(folder))
        except Exception as error:  # exporters raise whatever they meet
            return row | {"outcome": NOT_EXPORTED, "why": sentence(error)}
        del model
        row |= _converted(str(path), member, False)
    return row | {"seconds": time.process_time() - begin}


def _converted(model: Any, member: Member, with_example: bool) -> Row:
    """A model of any front end, made spiking and compared with its source."""
    import spikewright as sw
    from spikewright.errors import SpikewrightError, VerificationError
    from spikewright.showing.inspection import inspect

    example = member.samples(2) if with_example else None
    if example is not None and member.argument:
        example = {member.argument: example}
    try:
        conversion = sw.convert(model, spiking=True, example_input=example)
        layers = inspect(conversion.graph)
        row: Row = {"layers": len(layers.layers), "parameters": layers.parameters}
        row["guarantee"] = conversion.trace.guarantee
        verification = conversion.verify()
    except VerificationError as error:
        return row | {"outcome": DIFFERS, "why": without_places(str(error))}
    except SpikewrightError as error:
        return {"outcome": REFUSED, "why": without_places(str(error))}
    return row | _verdict(verification)


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
