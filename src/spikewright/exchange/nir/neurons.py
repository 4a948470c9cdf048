"""Neurons as nodes of NIR, with the unit of their current and the height of their spikes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.exchange.nir.dialects import DIALECTS, OTHER_DIALECT, OURS, Dialect, Semantics
from spikewright.exchange.nir.reading import NoForm
from spikewright.exchange.nir.signals import Object, has_delay, object_of
from spikewright.network import Connection, Ensemble
from spikewright.network import transforms as t
from spikewright.network.ensemble import NAMED_VOLTAGES
from spikewright.network.neurons import (
    LIF,
    DiscreteLI,
    DiscreteLIF,
    GridLIF,
    IntegrateAndFire,
    NeuronType,
    SpikingRectifiedLinear,
)
from spikewright.network.synapses import Lowpass


@dataclass(frozen=True, eq=False)
class NirNeurons:
    """A population as a node of NIR, whose unit of time is a step.

    A current of the network times `unit` is the node's; what the node sends is worth
    `factor / height` in the network. `parameters` are fields of the node, one value a neuron or one
    for all. `metadata` says what NIR cannot, `start` where voltages begin, in thresholds; a step
    leaves the part `kept` of them. A current of NIR's equations is `share` of it in the node, where
    a reader's are others.
    """

    kind: str
    parameters: Mapping[str, Any]
    unit: NDArray | float
    factor: float
    height: NDArray | float
    start: NDArray | float = 0.0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    kept: NDArray | float = 1.0
    share: NDArray | float = 1.0

    def spread(self, steps: int) -> NDArray:
        """The constant current that stands for the start: voltages agree after so many steps.

        Without a spike the start has left `kept^T start` of the voltage after `T` steps. A current
        `c` brings `c (1 - kept^T)`, and without a leak `T c`.
        """
        left = np.asarray(self.kept, np.float64) ** steps
        with np.errstate(divide="ignore"):
            part = np.where(left < 1.0, left / (1.0 - left), 1.0 / steps)
        return np.asarray(self.start * part * self.share)


def cell_of(ensemble: Ensemble, dt: float) -> NirNeurons:
    """The form of an ensemble for steps of `dt` seconds; raises `NoForm`."""
    make = _CELLS.get(type(ensemble.neuron_type))
    if make is None:
        raise NoForm(*_reason(ensemble.neuron_type))
    if ensemble.represents or ensemble.gain is None or ensemble.bias is None:
        raise NoForm(
            "it represents a vector, and NIR has neurons alone",
            "Give the ensemble dimensions=None, a gain and a bias, and connect its neurons",
        )
    if ensemble.given_gain_bias is None:
        raise NoForm(
            "its gain and bias are drawn, and NIR has numbers",
            "Give it the arrays that sim.data[ensemble] has",
        )
    if ensemble.noise is not None or ensemble.restart_every is not None:
        what = "noise" if ensemble.noise is not None else "a restart every few steps"
        raise NoForm(f"it has {what}, and NIR has none", "Leave it out")
    if ensemble.starts:
        raise NoForm(f"it has an initial {', '.join(ensemble.starts)}", "Leave it out")
    return make(ensemble, ensemble.neuron_type, dt)


def _integrator(ensemble: Ensemble, kind: Any, dt: float) -> NirNeurons:
    """`IF`: `v += I`, a spike where `v` reaches 1; here the remainder stays."""
    metadata: dict[str, Any] = {"reset": "subtract"}
    if kind.max_spikes_per_step is not None:
        metadata["max_spikes"] = kind.max_spikes_per_step
    if kind.voltage_floor is not None:
        metadata["voltage_floor"] = float(kind.voltage_floor)
    unit = ensemble.rate_scale * dt
    fields = {"r": 1.0, "v_threshold": 1.0}
    return NirNeurons(
        kind="IF",
        parameters=fields,
        unit=unit,
        factor=kind.amplitude,
        height=unit,
        start=_start(ensemble),
        metadata=metadata,
    )


def _discrete(ensemble: Ensemble, kind: DiscreteLIF, dt: float) -> NirNeurons:
    """`LIF`, or `IF` where nothing leaks, or `Threshold` where nothing is left of a step."""
    spiking = {"v_threshold": 1.0, "v_reset": kind.reset_voltage}
    metadata: dict[str, Any] = {"reset": kind.reset}
    if kind.reset == "subtract" and kind.max_spikes_per_step is not None:
        metadata["max_spikes"] = kind.max_spikes_per_step
    ends = (kind.amplitude, dt, _start(ensemble), metadata)
    if np.all(kind.decay == 0) and kind.reset == "zero":
        return NirNeurons("Threshold", {"threshold": 1.0}, 1.0, kind.amplitude, dt)
    if np.all(kind.decay == 1):
        return NirNeurons("IF", {"r": 1.0, **spiking}, 1.0, *ends)
    fields, unit = _leak(kind.decay)
    return NirNeurons("LIF", {**fields, **spiking}, unit, *ends, kind.decay)


def _on_grid(ensemble: Ensemble, kind: GridLIF, dt: float) -> NirNeurons:
    if np.any(kind.silent_steps(dt)):
        longest = float(np.max(kind.tau_ref))
        raise NoForm(f"it is silent for {longest:g} s after a spike", "Use tau_ref=0")
    if np.isfinite(kind.min_voltage):
        raise NoForm("its voltage has a lower bound, and NIR's have none", _NO_FLOOR)
    fields = {"tau": kind.tau_rc / dt, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0}
    kept = np.exp(-dt / kind.tau_rc)
    return NirNeurons(
        kind="LIF",
        parameters=fields,
        unit=1.0,
        factor=kind.amplitude,
        height=dt,
        start=_start(ensemble),
        metadata={"reset": "zero"},
        kept=kept,
    )


def _without_spikes(ensemble: Ensemble, kind: DiscreteLI, dt: float) -> NirNeurons:
    """`LI`, or `I` where nothing leaks; it sends its potential."""
    if np.all(kind.decay == 1):
        return NirNeurons("I", {"r": 1.0}, 1.0, kind.amplitude, 1.0)
    fields, unit = _leak(kind.decay)
    return NirNeurons("LI", fields, unit, kind.amplitude, 1.0)


def as_held(values: NDArray | float) -> NDArray:
    """Values as a file holds them, in single precision, as float64."""
    return np.asarray(values, np.float32).astype(np.float64)


def _leak(decay: NDArray) -> tuple[dict[str, Any], NDArray]:
    """Fields of a decay between 0 and 1, and the current that moves `v` by 1 in a step."""
    if np.any((decay <= 0) | (decay >= 1)):
        raise NoForm(
            "some of its neurons leak and others do not, or keep nothing",
            "Make an ensemble of each of the kinds",
        )
    tau = -1.0 / np.log(decay)
    return {"tau": tau, "r": 1.0, "v_leak": 0.0}, np.asarray(1.0 / (1.0 - decay))


def _start(ensemble: Ensemble) -> NDArray:
    given = ensemble.initial_voltage
    if isinstance(given, str) and given in NAMED_VOLTAGES:
        return np.asarray(NAMED_VOLTAGES[given])
    if not isinstance(given, np.ndarray):
        raise NoForm(
            "its voltages start at random numbers of a run's seed",
            'Give initial_voltage="half", "zero" or an array',
        )
    return given


_CELLS: dict[type[NeuronType], Callable[[Ensemble, Any, float], NirNeurons]] = {
    DiscreteLI: _without_spikes,
    DiscreteLIF: _discrete,
    GridLIF: _on_grid,
    IntegrateAndFire: _integrator,
}

_PLAIN = 'Use sw.IntegrateAndFire(), for example with convert(..., spiking={"relu": ...})'
_NO_FLOOR = "Use sw.GridLIF(tau_rc, tau_ref=0, min_voltage=-math.inf), whose equation NIR has"


def _reason(kind: NeuronType) -> tuple[str, str]:
    """The reason why NIR has no node for a neuron type, and what would help."""
    name = type(kind).__name__
    if kind.sends_digits:
        return (
            "it sends signed digits, spikes of either sign whose worth halves with each step, and "
            "NIR has only spikes of height 1",
            "Convert with coding=sw.RateCode()",
        )
    if isinstance(kind, LIF):
        return f"{name} counts time from the crossing inside a step, and no reader does", _NO_FLOOR
    if not kind.spiking:
        return f"{name} sends rates, and neurons of NIR send spikes", "Convert with spiking=True"
    if kind.negative:
        return f"{name} sends spikes of either sign, and NIR has only spikes of height 1", _PLAIN
    if isinstance(kind, SpikingRectifiedLinear):
        return f"{name} discards negative current, and no neuron of NIR does", _PLAIN
    return f"NIR has no node with the equation of {name}", _PLAIN


_STAGES = (("tau", "r"), ("tau_mem", "r"), ("tau_syn", "w_in"))

_RESETS = {"subtract": "keeps what is above the threshold", "zero": "sets the voltage to zero"}


def adapted_to_dialect(cell: NirNeurons, semantics: Semantics) -> NirNeurons:
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


def check_start(cell: NirNeurons, dialect: Dialect, steps: int | None) -> None:
    """Raise `NoForm` for voltages that start elsewhere than in a reader, unless a bias adds up."""
    if np.any(cell.start) and steps is None and not dialect.semantics.stated:
        raise NoForm(
            f"its voltages start at other values than zero, which {dialect.name} does not read",
            "Give steps=, the length of a run: the start is spread over it as a bias; or "
            'convert with initial_voltage="zero"',
        )


def check_reset(cell: NirNeurons, dialect: Dialect, allowed: str | None) -> None:
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


_BEHIND = {"LIF": "CubaLIF", "LI": "CubaLI"}
"""The node of neurons behind a synapse, by that of the neurons alone."""


@dataclass(frozen=True, eq=False)
class FusedSynapse:
    """The current of some neurons: what arrives, filtered neuron by neuron.

    `tau` are time constants in steps. `front` is the population that the current is, whose value
    counts `worth` in the node's current; None where all connections to the neurons have the filter.
    """

    tau: NDArray | float
    front: Ensemble | None = None
    worth: NDArray | float = 1.0


def behind(cell: NirNeurons, synapse: FusedSynapse, rest: NDArray | float) -> NirNeurons:
    """Neurons and their synapse as one node; `rest` is the current beside that of the synapse.

    `tau_syn dI/dt = w_in S - I` and `tau_mem dv/dt = v_leak - v + r I`. As readers of such nodes
    want it, `w_in = tau_syn` and `r = tau_mem`, in steps: by Euler's rule an `S` of 1 adds 1 to `I`
    and that to `v`. The worth of a current is in the weights, what is not filtered in `v_leak`:
    the `unit` is the part of an arriving sum that goes into the weights.
    """
    given = dict(cell.parameters)
    slow, fast = as_held(given.pop("tau")), as_held(synapse.tau)
    fields = {**given, "tau_syn": fast, "w_in": fast, "tau_mem": slow, "r": slow, "v_leak": rest}
    unit = np.asarray(1.0 / (fast * slow))
    return replace(cell, kind=_BEHIND[cell.kind], parameters=fields, unit=unit)


def synapses_of(
    objects: Sequence[Object],
    moving: Mapping[int, Sequence[Connection]],
    readers: Mapping[int, int],
    dialect: Dialect,
    dt: float,
) -> dict[int, FusedSynapse]:
    """The synapses of a network's ensembles, by identity, where the dialect has a node for both.

    `moving` are the connections to each object that bring no constant, `readers` the number of what
    reads it.
    """
    found: dict[int, FusedSynapse] = {}
    fronts: set[int] = set()
    for item in reversed(objects):  # a current that has one is the last of a chain
        cell = _cell(item, dt)
        if cell is None or cell.kind not in _BEHIND or id(item) in fronts:
            continue
        if _BEHIND[cell.kind] in dialect.lacks:
            continue
        assert isinstance(item, Ensemble)
        arriving = moving[id(item)]
        synapse = _population(item, cell, arriving, readers, dt) or _filter(arriving, dt)
        if synapse is not None:
            found[id(item)] = synapse
            fronts.add(id(synapse.front))
    return found


def _cell(item: Object, dt: float) -> NirNeurons | None:
    """The node of an ensemble, or None where it has none."""
    try:
        return cell_of(item, dt) if isinstance(item, Ensemble) else None
    except NoForm:
        return None


def _population(
    item: Ensemble,
    cell: NirNeurons,
    arriving: Sequence[Connection],
    readers: Mapping[int, int],
    dt: float,
) -> FusedSynapse | None:
    """A population that nothing else reads, neuron by neuron in front of `item`, in its step."""
    if len(arriving) != 1:
        return None
    (connection,) = arriving
    front, chain = object_of(connection.pre_obj), connection.chain()
    plain = not (has_delay(connection) or connection.function or connection.learning_rules)
    alone = isinstance(front, Ensemble) and front.shape == item.shape and readers[id(front)] == 1
    if not (plain and alone and all(isinstance(part, t.Scale) for part in chain)):
        return None
    own = _cell(front, dt)
    if own is None or own.kind != "LI":
        return None
    factor = np.asarray(item.gain) * cell.unit * own.factor
    for part in chain:
        factor = factor * part.factor  # type: ignore[attr-defined]
    assert isinstance(front, Ensemble)
    return FusedSynapse(own.parameters["tau"], front, factor * own.unit)


def _filter(arriving: Sequence[Connection], dt: float) -> FusedSynapse | None:
    """The one filter that all connections have: behind their weights it does the same."""
    synapses = {connection.synapse for connection in arriving}
    if len(synapses) != 1:
        return None
    (synapse,) = synapses
    if not isinstance(synapse, Lowpass) or isinstance(synapse.tau, np.ndarray):
        return None
    return FusedSynapse(synapse.tau / dt) if synapse.tau else None
