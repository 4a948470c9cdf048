"""Regions in which some counts outgrow bytes: these are doubles, and all else is as it was.

A count above 127 sends its block of steps back to the beginning. The same operators then run with
that signal, and what is made of it but by weights, in doubles. Kernels of everything else, and
their packed weights, are those of before.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.kernel import Array
from spikewright.engines.native._kernels import MOST_COUNTS
from spikewright.engines.native.built import Built
from spikewright.engines.native.cells import described
from spikewright.engines.native.regions import Region
from spikewright.engines.native.support import BYTES, Kind, verdict
from spikewright.engines.populations import Neurons
from spikewright.engines.program import Program

Form = tuple[Region, Built]
"""A region with some counts in doubles, and its kernels."""


@dataclass
class Forms:
    """The forms of a region so far, and the counts that outgrew bytes in any run."""

    signals: frozenset[int] = frozenset()
    made: dict[frozenset[int], Form | None] = field(default_factory=dict)


def widened(region: Region, program: Program, signals: Collection[int]) -> Region | None:
    """The region with these signals in doubles, or None where some operator has no such kernel."""
    if region.loops or region.linear or region.foreign:
        return None
    kinds: dict[int, Kind] = {s: _kind(region, s, signals) for s in region.inputs}
    for op in region.operators:
        kind = verdict(op, kinds, program).kind
        if kind is None:
            return None
        outgrown = op.output in signals or op.output not in region.counts
        if outgrown and isinstance(op, Neurons) and described(op.neuron_type, program.dt) is None:
            return None  # only kernels that fire bytes have it
        kinds[op.output] = "whole" if kind in BYTES and outgrown else kind
        kinds.update(dict.fromkeys(op.outputs[1:], "values"))
    counts = frozenset(s for s, kind in kinds.items() if kind in BYTES)
    whole = frozenset(s for s, kind in kinds.items() if kind in {"signed", "whole"})
    return replace(region, counts=counts, whole=whole)


def _kind(region: Region, signal: int, outgrown: Collection[int]) -> Kind:
    """The kind of an input."""
    if signal in region.counts and signal not in outgrown:
        return "signed" if signal in region.whole else "counts"
    return "whole" if signal in region.counts or signal in region.whole else "values"


def as_bytes(value: Array) -> NDArray | None:
    """Counts as bytes, or None where one outgrows them."""
    if value.dtype == np.int8:
        return np.asarray(value)
    fits = value.size == 0 or max(value.max(), -value.min()) <= MOST_COUNTS
    return value.astype(np.int8) if fits else None
