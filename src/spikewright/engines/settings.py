"""Checks of the settings that every run has, and of the sizes that they give to neurons."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number, is_whole
from spikewright._base.processors import check_threads
from spikewright.engines.grid import PRECISIONS
from spikewright.errors import BuildError, SpikewrightError
from spikewright.network import Ensemble, Network

DEFAULT_DT = 0.001
"""Seconds of a step, where neither a call nor a network states them."""

LEAST, MOST = 1e-36, 1e36
"""The range of steps, thresholds and heights: float32 holds them, and their products with counts of
spikes, on every engine."""
_ROUNDED = 1.0 - 1e-9


def check_settings(
    dt: Any,
    precision: Any,
    batch_size: Any,
    error: type[SpikewrightError],
    threads: Any = None,
) -> None:
    """Raise `error` for an invalid step, precision, batch size or number of threads."""
    _check_dt(dt, error)
    if precision not in PRECISIONS:
        raise error(f"precision must be one of {PRECISIONS}, got {precision!r}")
    if batch_size is not None and not (is_whole(batch_size) and batch_size >= 1):
        raise error(f"batch_size must be None or a whole number from 1, got {batch_size!r}")
    check_threads(threads, error)


def _check_dt(dt: Any, error: type[SpikewrightError]) -> None:
    if not (is_number(dt) and dt > 0):
        raise error(f"dt must be above 0 s, got {dt!r}")
    if not LEAST <= dt <= MOST:
        raise error(f"dt must be from {LEAST:g} to {MOST:g} s, got {dt!r}")


def step_for(
    network: Network, dt: float | None, error: type[SpikewrightError] = BuildError
) -> float:
    """The length of a step in seconds: `dt`, or what the network states, or else 1 ms.

    Raises `error` for a `dt` that is no number above 0, for networks inside it that state different
    steps where `dt` is None, and as `check_step` does.
    """
    if dt is not None:
        _check_dt(dt, error)
    stated = {n.dt: n for n in (network, *network.all_networks) if n.dt is not None}
    if dt is None and len(stated) > 1:
        told = " and ".join(f"{n!r} is for steps of {s!r} s" for s, n in stated.items())
        raise error(f"dt: {told}. Set dt of one to None where its parameters hold for both")
    step = float(next(iter(stated), DEFAULT_DT) if dt is None else dt)
    check_step(network, step, error)
    return step


def check_step(network: Network, dt: float, error: type[SpikewrightError] = BuildError) -> None:
    """Raise `error` where neurons with a state hold for steps of another length than `dt`."""
    for one in (network, *network.all_networks):
        if one.dt is None or math.isclose(one.dt, dt, rel_tol=1e-9):
            continue
        bound = next((e for e in one.all_ensembles if _keeps_state(e)), None)
        if bound is not None:
            raise error(
                f"dt={float(dt)!r}: {one!r} is for steps of {one.dt!r} s, as {bound!r} keeps a "
                f"state ({type(bound.neuron_type).__name__}) from step to step. Run it with "
                f"dt={one.dt!r}"
            )


def _keeps_state(ensemble: Ensemble) -> bool:
    return bool(ensemble.neuron_type.state_names)


def check_sizes(ensemble: Ensemble, dt: float, voltages: NDArray) -> None:
    """Raise `BuildError` for neurons whose scale, threshold or height engines cannot compute with.

    `dt` is in seconds; `voltages` are those before the first step, in spikes.
    """
    kind = ensemble.neuron_type
    for name, values in _sizes(ensemble, dt, voltages).items():
        inside = (values >= LEAST * _ROUNDED) & (values <= MOST / _ROUNDED)
        if not inside.all():
            raise BuildError(
                f"{ensemble!r}: its {name} is {values[~inside].flat[0]:.3g}, and engines compute "
                f"with {LEAST:g} to {MOST:g}. Give sizes nearer to 1: scale_firing_rates "
                f"(rate_scale of an Ensemble) is {_shown(np.asarray(ensemble.rate_scale))}, dt "
                f"{dt:g} s, amplitude {kind.amplitude:g}, initial voltage {_shown(voltages)}"
            )


def _sizes(ensemble: Ensemble, dt: float, voltages: NDArray) -> dict[str, NDArray]:
    """All sizes that neurons compute with, by what they are; voltages of zero are none."""
    kind, scale = ensemble.neuron_type, np.asarray(ensemble.rate_scale, np.float64)
    with np.errstate(all="ignore"):
        threshold = 1.0 / (scale * dt)
        start = np.abs(voltages * kind.voltage_unit(threshold))
        found = {
            "firing-rate scale": scale,
            "amplitude": np.asarray(kind.amplitude),
            "amplitude / scale": kind.amplitude / scale,
            "threshold, 1 / (scale dt),": threshold,
            "height of a spike, amplitude / (scale dt),": kind.amplitude * threshold,
            "initial voltage times the threshold": np.maximum(start, LEAST),
        }
    if not kind.spiking:
        del found["height of a spike, amplitude / (scale dt),"]
    return found


def _shown(values: NDArray) -> str:
    low, high = float(np.min(values)), float(np.max(values))
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
