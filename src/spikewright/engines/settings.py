"""The settings of every run, their checks, and the range of numbers that neurons compute with."""

from __future__ import annotations

import math
from typing import Annotated, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright._base.options import Check, Option, checked, whole
from spikewright._base.process import MOST_THREADS
from spikewright.engines.grid import Precision
from spikewright.errors import BuildError, SpikewrightError
from spikewright.network import Ensemble, Network

DEFAULT_DT = 0.001
"""Seconds of a step, where neither a call nor a network states them."""

LEAST, MOST = 1e-36, 1e36
"""The range of steps, thresholds and heights: float32 holds them, and their products with counts of
spikes, on every engine."""
_ROUNDED = 1.0 - 1e-9


class StepOptions(TypedDict, total=False):
    """The step of a run."""

    dt: Annotated[
        float,
        Option(
            DEFAULT_DT,
            "Length of a step in seconds.",
            Check(
                "above 0 s",
                lambda dt: is_number(dt) and dt > 0,
                Check(f"from {LEAST:g} to {MOST:g} s", lambda dt: LEAST <= dt <= MOST),
            ),
        ),
    ]


class SeedOptions(TypedDict, total=False):
    """The seed of a run."""

    seed: Annotated[
        int, Option(0, "Seed of everything random that the network does not fix.", whole(0))
    ]


class EngineOptions(TypedDict, total=False):
    """The engine of a run, its threads and its progress bar."""

    engine: Annotated[str, Option("auto", "The engine: auto, native, reference or torch.")]
    threads: Annotated[
        int | None, Option(None, "Threads (default: the engine's choice).", whole(1, MOST_THREADS))
    ]
    progress: Annotated[bool, Option(True, "Show a progress bar.")]


class PrecisionOptions(TypedDict, total=False):
    """The precision of a run."""

    precision: Annotated[Precision, Option("float32", "The precision of weights and outputs.")]


class WorkOptions(SeedOptions, EngineOptions, total=False):
    """Options of every computation; only the seed and the engine may change results."""

    batch_size: Annotated[
        int | None, Option(None, "Samples to run at once (default: as memory allows).", whole(1))
    ]


class RunOptions(WorkOptions, PrecisionOptions, total=False):
    """Options of a run, its precision among them."""


class _Settings(StepOptions, RunOptions, total=False):
    pass


def check_settings(error: type[SpikewrightError], **given: Any) -> None:
    """Raise `error` for an invalid step, precision, batch size, seed or number of threads."""
    checked(_Settings, given, error)


def step_for(
    network: Network, dt: float | None, error: type[SpikewrightError] = BuildError
) -> float:
    """The length of a step in seconds: `dt`, else the one that the network states, else 1 ms.

    Raises `error` for a `dt` that is no number above 0; if `dt` is None, for networks inside it
    that state different steps; and as `check_step` does.
    """
    if dt is not None:
        check_settings(error, dt=dt)
    stated = {n.dt: n for n in (network, *network.all_networks) if n.dt is not None}
    if dt is None and len(stated) > 1:
        steps = " and ".join(f"{n!r} is for steps of {s!r} s" for s, n in stated.items())
        raise error(f"dt: {steps}. Set dt of one to None where its parameters hold for both")
    step = float(next(iter(stated), DEFAULT_DT) if dt is None else dt)
    check_step(network, step, error)
    return step


def check_step(network: Network, dt: float, error: type[SpikewrightError] = BuildError) -> None:
    """Raise `error` if neurons with a state are valid only for steps other than `dt`."""
    for one in (network, *network.all_networks):
        if one.dt is None or math.isclose(one.dt, dt, rel_tol=1e-9):
            continue
        bound = next((e for e in one.all_ensembles if e.neuron_type.state_names), None)
        if bound is not None:
            raise error(
                f"dt={float(dt)!r}: {one!r} is for steps of {one.dt!r} s, as {bound!r} keeps a "
                f"state ({type(bound.neuron_type).__name__}) from step to step. Run it with "
                f"dt={one.dt!r}"
            )


def check_sizes(ensemble: Ensemble, dt: float, voltages: NDArray) -> None:
    """Raise `BuildError` for a scale, threshold or spike height outside the range of engines.

    `dt` is in seconds; `voltages` are those before the first step, in spikes.
    """
    kind = ensemble.neuron_type
    for name, values in _sizes(ensemble, dt, voltages).items():
        inside = (values >= LEAST * _ROUNDED) & (values <= MOST / _ROUNDED)
        if not inside.all():
            raise BuildError(
                f"{ensemble!r}: its {name} is {values[~inside].flat[0]:.3g}, and engines compute "
                f"with {LEAST:g} to {MOST:g}. Give sizes nearer to 1: scale_firing_rates "
                f"(rate_scale of an Ensemble) is {_format_range(ensemble.rate_scale)}, dt "
                f"{dt:g} s, amplitude {kind.amplitude:g}, initial voltage {_format_range(voltages)}"
            )


def _sizes(ensemble: Ensemble, dt: float, voltages: NDArray) -> dict[str, NDArray]:
    """All sizes that neurons compute with, by name; voltages of zero are left out."""
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


def _format_range(values: NDArray) -> str:
    low, high = float(np.min(values)), float(np.max(values))
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
