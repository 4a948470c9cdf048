"""Neurons as nodes of NIR, with the unit of their current and the height of their spikes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.exchange.nir.signals import Unsayable
from spikewright.network import Ensemble
from spikewright.network.neurons import IntegrateAndFire, NeuronType, SpikingRectifiedLinear

_STARTS = {"zero": 0.0, "half": 0.5}


@dataclass(frozen=True, eq=False)
class Cell:
    """A population in NIR's units: its current is in thresholds a step, its spikes have height 1.

    A current of the network times `gain * unit` is the node's; `factor / unit` is the height of a
    spike in the network. Arrays have the shape of the population. `metadata` says what NIR cannot.
    """

    kind: str
    gain: NDArray
    unit: NDArray
    factor: float
    bias: NDArray
    start: NDArray
    metadata: dict[str, Any]


def cell_of(ensemble: Ensemble, dt: float) -> Cell:
    """The form of an ensemble for steps of `dt` seconds; raises `Unsayable`."""
    make = _CELLS.get(type(ensemble.neuron_type))
    if make is None:
        raise Unsayable(*_reason(ensemble.neuron_type))
    if ensemble.represents or ensemble.gain is None or ensemble.bias is None:
        raise Unsayable(
            "it represents a vector, and NIR has neurons alone",
            "Give the ensemble dimensions=None, a gain and a bias, and connect its neurons",
        )
    if ensemble.noise is not None or ensemble.restart_every is not None:
        what = "noise" if ensemble.noise is not None else "a restart every few steps"
        raise Unsayable(f"it has {what}, and NIR has none", "Leave it out")
    return make(ensemble, dt)


def _integrator(ensemble: Ensemble, dt: float) -> Cell:
    """`IF`: `v += I`, a spike where `v` reaches 1; here the remainder stays."""
    kind = ensemble.neuron_type
    assert isinstance(kind, IntegrateAndFire)
    shape = ensemble.shape
    unit = np.broadcast_to(ensemble.rate_scale * dt, shape)
    metadata: dict[str, Any] = {"reset": "subtract"}
    if kind.max_spikes_per_step is not None:
        metadata["max_spikes"] = kind.max_spikes_per_step
    if kind.voltage_floor is not None:
        metadata["voltage_floor"] = float(kind.voltage_floor)
    return Cell(
        "IF",
        np.broadcast_to(np.asarray(ensemble.gain), shape),
        unit,
        kind.amplitude,
        np.broadcast_to(np.asarray(ensemble.bias), shape),
        _start(ensemble),
        metadata,
    )


def _start(ensemble: Ensemble) -> NDArray:
    given = ensemble.initial_voltage
    if isinstance(given, str):
        if given not in _STARTS:
            raise Unsayable(
                "its voltages start at random numbers of a run's seed",
                'Give initial_voltage="half", "zero" or an array',
            )
        given = np.asarray(_STARTS[given])
    if not isinstance(given, np.ndarray):
        raise Unsayable(
            "its voltages start at random numbers of a run's seed", "Give an array of voltages"
        )
    return np.broadcast_to(given, ensemble.shape)


_CELLS: dict[type[NeuronType], Callable[[Ensemble, float], Cell]] = {
    IntegrateAndFire: _integrator,
}


def _reason(kind: NeuronType) -> tuple[str, str]:
    """Why NIR has no node for a neuron type, and what would help."""
    name = type(kind).__name__
    if not kind.spiking:
        return f"{name} sends rates, and neurons of NIR send spikes", "Convert with spiking=True"
    if kind.negative:
        return f"{name} sends spikes of either sign, and NIR has only spikes of height 1", _PLAIN
    if isinstance(kind, SpikingRectifiedLinear):
        return f"{name} discards negative current, and no neuron of NIR does", _PLAIN
    return f"NIR has no node with the equation of {name}", _PLAIN


_PLAIN = 'Use sw.IntegrateAndFire(), for example with convert(..., spiking={"relu": ...})'
