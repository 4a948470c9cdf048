"""One sample, step by step: every spike, beside the source's values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_whole
from spikewright.conversion.trace_warnings import warn_of_length
from spikewright.engines.settings import check_settings
from spikewright.errors import SimulationError
from spikewright.graph import evaluate_all
from spikewright.measure import EveryStep, read_out_at_every_step
from spikewright.running.converted import Converted
from spikewright.running.inputs import as_held, batch_of, refuse_sequences
from spikewright.running.run import run_of
from spikewright.running.runner import Runner


@dataclass(frozen=True, eq=False)
class Sample:
    """The activity of a network on one sample.

    `counts` are net spikes in every step `{layer: (steps, *shape)}`, `means` the mean value that
    each layer sent and `activations` the source's values, `{layer: (*shape)}`. `answers` are the
    outputs under the readout after each step, `{output: (steps, *out)}`, and `source` those of
    the source, `{output: (*out)}`. `dt` is the length of a step in seconds.
    """

    counts: dict[str, NDArray]
    means: dict[str, NDArray]
    activations: dict[str, NDArray]
    answers: dict[str, NDArray]
    source: dict[str, NDArray]
    dt: float


def watch(
    conversion: Converted,
    x: Any,
    steps: int,
    dt: float = 0.001,
    *,
    readout: EveryStep = "mean",
    seed: int = 0,
    engine: str = "auto",
) -> Sample:
    """Run one sample for `steps` steps of `dt` seconds, and keep everything.

    `x` is one sample with its batch axis, `(1, *shape)` (of several inputs `{name: array}`), held
    constant; answers are under `readout`. Raises `SimulationError` for anything else, and for
    settings that no run can have.
    """
    refuse_sequences(conversion.lowered.stepping, "watch")
    check_settings(SimulationError, dt=dt, seed=seed)
    if not (is_whole(steps) and steps >= 1):
        raise SimulationError(f"give a number of steps from 1, got steps={steps!r}")
    arrays = _one(conversion, x)
    spiking = [n for n, e in conversion.populations().items() if e.neuron_type.spiking]
    runner = Runner(conversion.lowered)
    run = run_of(runner, arrays, steps, dt, seed, engine=engine, record=spiking)
    warn_of_length(conversion, steps, dt)
    values = evaluate_all(conversion.canonical, arrays)
    return Sample(
        {name: run.spikes_over_time(name)[0] for name in spiking},
        {name: run.recorded[name][0].mean(axis=0, dtype=np.float64) for name in spiking},
        {name: values[name][0] for name in spiking},
        {name: _answers(conversion, name, raw, readout, dt) for name, raw in run.raw.items()},
        {name: values[node][0] for name, node in conversion.canonical.outputs.items()},
        dt,
    )


def _answers(
    conversion: Converted, name: str, raw: NDArray, readout: EveryStep, dt: float
) -> NDArray:
    """The output under a readout at each step, with its activation on the value read out."""
    values = read_out_at_every_step(raw, readout, dt)[0]
    activation = conversion.lowered.readouts.get(name)
    return values if activation is None else activation.evaluate(values)


def _one(conversion: Converted, x: Any) -> dict[str, NDArray]:
    """The sample; raises `SimulationError` where it is not one, held constant."""
    arrays = as_held(x, conversion.graph, ", held constant")
    samples = batch_of(arrays)
    if samples != 1:
        raise SimulationError(f"watch takes one sample, with its batch axis, got {samples}: x[:1]")
    return arrays
