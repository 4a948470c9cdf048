"""Integrate-and-fire neurons over a whole sequence of known currents in one pass, for training."""

from __future__ import annotations

import math

from spikewright.engines.native._kernels import Cell, NeuronModel, integrate_along
from spikewright.engines.native.neuron_kernels import kernel_model
from spikewright.network.neurons import NeuronType

__all__ = ["integrate_along", "integrator_of"]


def integrator_of(kind: NeuronType) -> NeuronModel | None:
    """The kernel's description of a neuron type that `integrate_along` can compute, else None."""
    model = kernel_model(kind, 1.0)  # nothing of an integrator depends on the length of a step
    if model is None:
        return None
    plain = model.cell is Cell.integrate and model.blocks and math.isnan(model.floor)
    return model if plain or model.cell is Cell.bipolar else None
