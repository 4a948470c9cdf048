"""Measures of a conversion's network: statistics, evaluation, diagnosis, a sample's every step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from spikewright import executors
from spikewright._base.arguments import is_whole
from spikewright._base.options import declared
from spikewright.choosing import Statistics
from spikewright.choosing.calibration import collect_sharded
from spikewright.conversion.loss_warnings import warn_of_evaluation
from spikewright.conversion.source_model import ModelConversion
from spikewright.conversion.trace_warnings import warn_of_length, warn_of_run
from spikewright.diagnosis import diagnosis
from spikewright.diagnosis.diagnosis import DiagnoseOptions
from spikewright.diagnosis.findings import Diagnosis
from spikewright.engines.settings import check_settings
from spikewright.errors import SimulationError
from spikewright.evaluation import sharded
from spikewright.evaluation.settings import EvaluateOptions, checked
from spikewright.graph import evaluate_all
from spikewright.measure import Evaluation, EveryStep, read_out_at_every_step
from spikewright.network.connection import Object
from spikewright.records import select
from spikewright.running.inputs import as_held, batch_of, refuse_sequences
from spikewright.running.own_steps import complete_readouts, in_network_steps, run_steps, steps_of
from spikewright.running.protocols import ConversionLike
from spikewright.running.run import run_of
from spikewright.running.runner import Runner


def calibrate(
    self: ModelConversion,
    x: Any,
    *,
    executor: Any = "local",
    address: str | None = None,
    progress: bool = True,
) -> Statistics:
    """Statistics of the layers on calibration data: collected once, used for many rules.

    `x` is input as for `run`, `(batch, *shape)` held constant, or an iterable of batches or of
    (x, y) pairs. The result goes into `calibration=` of `convert` and `replace`; it can be saved,
    and does not depend on the order of samples, on batches or on the place of the work.
    `executor` and `address` are those of `evaluate`. With `sequence_step` samples are sequences
    `(batch, time, *shape)` of any length, and layers are recorded at every step. Raises
    `ConversionError` for data that does not fit.
    """
    names, chosen = list(self.populations()), executors.get(executor, address)
    stepping = self.lowered.stepping
    return collect_sharded(self.canonical, names, x, chosen, progress, stepping)


@declared(SimulationError)
def evaluate(
    self: ModelConversion,
    x: Any,
    y: Any = None,
    steps: int | None = None,
    dt: float = 0.001,
    **options: Unpack[EvaluateOptions],
) -> Evaluation:
    """Measure on a data set of any size, at every one of `steps` steps of `dt` seconds.

    `x` is input as for `run` and `y` the truth about the outputs: class labels, whole numbers
    `(samples,)` or rows with a single one, or targets, floats `(samples, *out)`; of several
    outputs `{name: array}`, or a list of them in their order. Or `x` is an iterable of batches
    `(x, y)`, such as a PyTorch `DataLoader`. Records have 95 % intervals. Labels give accuracy
    and the drop against the source on the same samples. Targets give relative, mean absolute
    and root mean square errors. Both give agreement with the source model (`source=False`
    leaves it out). All are under each of `readouts` at every step. The score of the rounded
    twin, the same network if no spike came early or late, tells what is lost to rounding from
    what is lost to timing. It costs a step for each of those in `at` and for the last, and is
    left out where there is no such network.
    Further records are firing rates, spikes (also per active neuron of the source), silent and
    saturated neurons, operations and energy (`operations=False` leaves these two out) at the
    steps in `at` and the last; and for each confidence in `thresholds` the loss and gain of
    leaving early.

    Shards of the data are done by `executor` (see `spikewright.executors`), at `address`;
    finished ones are kept in the folder `checkpoint`, from which a second call with the same
    arguments goes on. Records are the same to the last digit however the work is cut, spread or
    interrupted, on an engine that is exact. Raises as `run` does, and `SimulationError` for y
    that does not fit, for settings that no evaluation can have and for a folder that holds
    anything else.
    """
    refuse_sequences(self.lowered.stepping, "evaluate")
    given: dict[str, Any] = dict(options)
    noise = given.pop("noise")
    how = {name: given.pop(name) for name in ("checkpoint", "progress")}
    place = executors.get(given.pop("executor"), given.pop("address"))
    steps = run_steps(self, steps)
    settings = checked(steps, dt=dt, **given)
    only = complete_readouts(self.lowered, settings.readouts)
    settings = replace(settings, readouts=only)
    found = sharded.evaluate(self, self._runner, x, y, settings, noise=noise, executor=place, **how)
    counts = select(found.records, "spikes per neuron", steps=settings.steps)
    of_layers = [] if noise is not None else [r for r in counts if "layer" in r.how]
    means = {r.how["layer"]: r.value for r in of_layers}
    warn_of_run(self, means, settings.steps, dt)
    if noise is None and settings.encoder is None:
        warn_of_evaluation(self, found)
    return found


@declared(SimulationError)
def diagnose(
    self: ModelConversion,
    x: Any,
    y: Any = None,
    steps: int | None = None,
    dt: float = 0.001,
    **options: Unpack[DiagnoseOptions],
) -> Diagnosis:
    """Losses of accuracy in a run of `steps` steps of `dt` seconds, and changes against them.

    `x` is input as for `run`, held constant, some hundred samples; `y` are labels or targets as
    for `evaluate`, of one output, or the truth that a `metric` takes. None judges by the
    distance of all outputs from the source's. The gap between every layer's values in the
    source and their time means is split into parts. Layers are ranked by the effect of each
    alone on the output. Known causes are described in words. Changes to the
    arguments of `convert` are proposed, with their predicted gain and cost. With `verify` each
    of them is run on the same samples. Formulas: docs/guarantees.md. Raises as `run` does, and
    `SimulationError` where y does not fit and where the network has nothing to diagnose.
    """
    refuse_sequences(self.lowered.stepping, "diagnose")
    check_settings(SimulationError, dt=dt)
    steps = run_steps(self, steps)
    found = diagnosis.diagnose(self, x, y, steps, dt, **options)
    warn_of_length(self, found.steps, dt)
    return found


@dataclass(frozen=True, eq=False)
class Sample:
    """The activity of a network on one sample.

    `counts` are net spikes in every step `{layer: (steps, *shape)}`, `means` the mean value that
    each layer sent and `activations` the source's values, `{layer: (*shape)}`. `answers` are the
    outputs under the readout after each step, `{output: (steps, *out)}`, and `source` those of
    the source, `{output: (*out)}`. `dt` is the length of a step in seconds. Steps are those of the
    network: layers that start one after the other do nothing before their start.
    """

    counts: dict[str, NDArray]
    means: dict[str, NDArray]
    activations: dict[str, NDArray]
    answers: dict[str, NDArray]
    source: dict[str, NDArray]
    dt: float


def watch(
    conversion: ConversionLike,
    x: Any,
    steps: int | None,
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
    steps = steps_of(conversion.lowered, steps)
    if not (is_whole(steps) and steps >= 1):
        raise SimulationError(f"give a number of steps from 1, got steps={steps!r}")
    arrays = _one(conversion, x)
    spiking = [n for n, e in conversion.populations().items() if e.neuron_type.spiking]
    runner = Runner(conversion.lowered)
    run = run_of(runner, arrays, steps, dt, seed, engine=engine, record=spiking)
    warn_of_length(conversion, steps, dt)
    complete_readouts(conversion.lowered, (readout,))
    values = evaluate_all(conversion.canonical, arrays)
    layers, outputs = conversion.populations(), conversion.lowered.outputs
    return Sample(
        {
            name: in_network_steps(conversion.lowered, layers[name], run.spikes_over_time(name)[0])
            for name in spiking
        },
        {name: run.recorded[name][0].mean(axis=0, dtype=np.float64) for name in spiking},
        {name: values[name][0] for name in spiking},
        {
            name: _answers(conversion, name, outputs[name], raw, readout, dt)
            for name, raw in run.raw.items()
        },
        {name: values[node][0] for name, node in conversion.canonical.outputs.items()},
        dt,
    )


def _answers(
    conversion: ConversionLike,
    name: str,
    place: Object,
    raw: NDArray,
    readout: EveryStep,
    dt: float,
) -> NDArray:
    """The output under a readout at each step, with its activation on the value read out."""
    values = read_out_at_every_step(raw, readout, dt)[0]
    values = in_network_steps(conversion.lowered, place, values, stays=True)
    activation = conversion.lowered.readouts.get(name)
    return values if activation is None else activation.evaluate(values)


def _one(conversion: ConversionLike, x: Any) -> dict[str, NDArray]:
    """The sample; raises `SimulationError` where it is not one, held constant."""
    arrays = as_held(x, conversion.graph, ", held constant")
    samples = batch_of(arrays)
    if samples != 1:
        raise SimulationError(f"watch takes one sample, with its batch axis, got {samples}: x[:1]")
    return arrays
