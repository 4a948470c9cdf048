"""Integrate-and-fire neurons over a whole sequence of known currents in one pass, for training."""

from __future__ import annotations

import math

from spikewright.engines.native._kernels import NeuronKind, NeuronModel, integrate_sequence
from spikewright.engines.native.neuron_kernels import kernel_model
from spikewright.network.neurons import NeuronType

__all__ = ["integrate_sequence", "integrator_of"]


def integrator_of(kind: NeuronType) -> NeuronModel | None:
    """The description of a neuron type for `integrate_sequence`; None if it cannot compute it."""
    model = kernel_model(kind, 1.0)  # nothing of an integrator depends on the length of a step
    if model is None:
        return None
    plain = model.neuron_kind is NeuronKind.integrate and model.blocks and math.isnan(model.floor)
    return model if plain or model.neuron_kind is NeuronKind.bipolar else None
