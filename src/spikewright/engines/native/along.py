"""Integrators through all steps of currents that are known, in one pass, as training runs them."""

from __future__ import annotations

import math

from spikewright.engines.native._kernels import Cell, NeuronModel, integrate_along
from spikewright.engines.native.cells import described
from spikewright.network.neurons import NeuronType

__all__ = ["integrate_along", "integrator_of"]


def integrator_of(kind: NeuronType) -> NeuronModel | None:
    """The description of a type that `integrate_along` computes, else None."""
    model = described(kind, 1.0)  # nothing of an integrator depends on the length of a step
    if model is None:
        return None
    plain = model.cell is Cell.integrate and model.blocks and math.isnan(model.floor)
    return model if plain or model.cell is Cell.bipolar else None
