"""Neurons for the reader of a dialect: with time constants of its rule, and a reset that it has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikewright.exchange.nir.checking.semantics import OURS, Semantics
from spikewright.exchange.nir.dialects import DIALECTS, OTHER_DIALECT, Dialect
from spikewright.exchange.nir.neurons import Cell, as_held
from spikewright.exchange.nir.refusal import NoForm

_STAGES = (("tau", "r"), ("tau_mem", "r"), ("tau_syn", "w_in"))

_RESETS = {
    "subtract": "keeps what is above the threshold",
    "zero": "sets the voltage to zero",
}


def suited(cell: Cell, semantics: Semantics) -> Cell:
    """Neurons whose node a reader with these semantics steps as NIR's equations say.

    In steps NIR leaves `d = exp(-1 / tau)` of a value, and a current adds `1 - d`. A reader with
    Euler's rule leaves `1 - 1 / tau`, so its time constant is `1 / (1 - d)`. One that does not
    divide the current by the time constant gets `1 - d` of it, in the weights.
    """
    given, found, share = cell.parameters, dict(cell.parameters), np.asarray(1.0)
    for tau, factor in _STAGES:
        if tau not in given:
            continue
        left = OURS.left(given[tau])
        if semantics.lif != OURS.lif:
            found[tau] = as_held(semantics.leaving(left))
            if tau != "tau":  # behind a synapse readers want the factor that is its time constant
                found[factor] = found[tau]
        there = semantics.gain(cell.kind, found[factor], semantics.left(found[tau]))
        share = share * OURS.gain(cell.kind, given[factor], left) / there
    return replace(cell, parameters=found, unit=cell.unit * share, share=share)


def check_start(cell: Cell, dialect: Dialect, steps: int | None) -> None:
    """Raise `NoForm` for voltages that start elsewhere than in a reader, unless a bias adds up."""
    if np.any(cell.start) and steps is None and not dialect.semantics.stated:
        raise NoForm(
            f"its voltages start at other values than zero, which {dialect.name} does not read",
            "Give steps=, the length of a run: the start is spread over it as a bias; or "
            'convert with initial_voltage="zero"',
        )


def check_reset(cell: Cell, dialect: Dialect, allowed: str | None) -> None:
    """Raise `NoForm` for neurons that reset otherwise in a reader, unless that is `allowed`."""
    own = cell.metadata.get("reset")
    if own is None or cell.kind in dialect.lacks or dialect.semantics.stated:
        return
    there = dialect.semantics.resets(cell.kind)
    if there not in (own, allowed):
        others = ", ".join(f'"{d.name}"' for d in DIALECTS.values() if d.keeps(cell.kind, own))
        raise NoForm(
            f"a spike {_RESETS[own]}, and in {dialect.name} it {_RESETS[there]}",
            f'Give reset="{there}" to let it do so; dialects that keep the reset: {others}',
        )
    if there == "zero" and np.any(cell.parameters.get("v_reset", 0.0)) and not dialect.returns:
        raise NoForm(
            f"a spike sets its voltage to another value than 0, which {dialect.name} does not read",
            OTHER_DIALECT,
        )
