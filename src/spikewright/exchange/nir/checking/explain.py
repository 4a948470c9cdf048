"""Reasons for a reader's other spikes, by evidence: equations that give its spikes again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.exchange.nir.checking.semantics import OURS, Semantics
from spikewright.exchange.nir.checking.simulate import NotSimulated, Trace, simulate
from spikewright.exchange.nir.checking.wiring import Wiring
from spikewright.network.neurons.integrator import TOLERANCE

TIES = "sums within 2^-16 of a threshold"


@dataclass(frozen=True)
class Explanation:
    """Reasons in words, and the share of neurons whose every spike they give again.

    `reproduced` is None where nothing could be simulated. Each neuron is given the input that it
    had in the reader, so that a difference does not explain those behind it.
    """

    why: tuple[str, ...]
    reproduced: float | None


def explain(
    wiring: Wiring,
    semantics: Semantics,
    x: NDArray,
    there: Mapping[str, NDArray],
    dt: float = 1.0,
    ours: Semantics = OURS,
) -> Explanation:
    """Compare a reader's spikes with its stated semantics, on samples `(batch, steps, *shape)`.

    A step has the length `dt` in the file's unit of time.

    A choice is a reason where the reader's spikes need it: with ours in its place, they are no
    longer given again.
    """
    try:
        stated = simulate(wiring, semantics, x, there, dt)
    except NotSimulated as error:
        return Explanation((f"not explained: {error}",), None)
    here = simulate(wiring, ours, x, dt=dt)
    apart = missed, _ = _apart(stated, there)
    why = []
    for name in semantics.differences(ours):
        without = simulate(wiring, semantics.taking(name, ours), x, there, dt)
        if _apart(without, there) > apart:
            alone = simulate(wiring, ours.taking(name, semantics), x, dt=dt)
            why.append(f"{semantics.said(name)} ({_change(alone, here)})")
    total = sum(spikes[:, 0].size for spikes in there.values())
    if missed:
        why.append(f"not explained: {missed} of {total} neurons send other spikes than stated")
    elif not why and not _same(here, there):
        why.append(TIES)
    return Explanation(tuple(why), 1.0 - missed / total if total else None)


def _apart(trace: Trace, there: Mapping[str, NDArray]) -> tuple[int, int]:
    """Neurons with other spikes than a reader's: those whose sums were no near thing, and all.

    A neuron's first other spike counts: those behind it may be others because of it.
    """
    missed = every = 0
    for name, spikes in there.items():
        other = trace.spikes[name] != spikes
        first = np.expand_dims(other.argmax(axis=1), 1)
        near = np.take_along_axis(trace.near[name], first, axis=1)[:, 0]
        missed += int((other.any(axis=1) & (near > TOLERANCE)).sum())
        every += int(other.any(axis=1).sum())
    return missed, every


def _change(alone: Trace, ours: Trace) -> str:
    """The change of all spikes by a choice alone: `-17 % of spikes`."""
    now, before = (sum(s.sum() for s in t.spikes.values()) for t in (alone, ours))
    if now == before:
        return "as many spikes" if _same(alone, ours.spikes) else "as many spikes at other steps"
    if not before:
        return "spikes without ours"
    if now > 100 * before:
        return "more than 100 times the spikes"
    rounded = float(f"{100 * (now - before) / before:.2g}")
    return f"{rounded:+,g} % of spikes"


def _same(trace: Trace, spikes: Mapping[str, NDArray]) -> bool:
    return all(np.array_equal(trace.spikes[name], sent) for name, sent in spikes.items())
