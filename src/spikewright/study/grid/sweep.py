"""`spikewright.sweep`: the cost of each firing-rate scale in accuracy, latency and spikes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from spikewright import executors
from spikewright._base.arguments import is_number, is_whole
from spikewright._base.files import path_of
from spikewright._base.keywords import spelled
from spikewright.conversion import Conversion
from spikewright.conversion.pipeline import convert
from spikewright.engines import Precision
from spikewright.errors import SimulationError
from spikewright.evaluation import checked
from spikewright.lower.speaking import say, silently
from spikewright.measure import Evaluation, EveryStep
from spikewright.measure.energy import DEFAULT_TABLE, cost_table
from spikewright.quantising import Quantised
from spikewright.records import Record
from spikewright.report.sweeps import sweep_table
from spikewright.running.stepping import refuse_sequences
from spikewright.study.code import ModelReference
from spikewright.study.grid.measuring import Measuring
from spikewright.study.grid.settings import settings_of
from spikewright.study.grid.summary import found_nothing, found_one
from spikewright.study.point import MINIMISED, Minimise, OperatingPoint
from spikewright.study.result import StudyResult, nearest

SCALES = (1.0, 2.0, 5.0, 10.0, 50.0)
STEPS = (1, 2, 4, 8, 16, 32)

_EQUAL = 1e-12  # losses that differ by less are the same: means are rounded


@spelled()
def sweep(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    scales: Any = SCALES,
    synapse: Any = None,
    steps: int | Sequence[int] = STEPS,
    neurons: Any = True,
    readouts: Sequence[EveryStep] = ("mean", "last"),
    within: float = 0.01,
    minimise: Minimise = "spikes",
    metric: Callable[[Any, Any], Any] | None = None,
    initial_voltage: Any = None,
    calibration: Any = None,
    max_pool: Any = None,
    max_spikes_per_step: int | None = None,
    weights: Quantised | None = None,
    bias_correction: Any = None,
    fission: Any = None,
    example_input: Any = None,
    outputs: Sequence[str] | None = None,
    dt: float = 0.001,
    seed: int = 0,
    engine: str = "auto",
    precision: Precision = "float32",
    batch_size: int | None = None,
    threads: int | None = None,
    encoder: Any = None,
    energy_table: str = DEFAULT_TABLE,
    checkpoint: str | Path | None = None,
    executor: Any = "local",
    address: str | None = None,
    progress: bool = True,
) -> StudyResult:
    """Measure a model at every combination of firing-rate scales, synapses and neurons.

    `model` is what `convert` takes, or a `Conversion` (a PyTorch module without `example_input` is
    traced with the first of `x`); `x`, `y` and `metric` are those of `Conversion.evaluate`, which
    measures each combination (batches are gone through once, and held). `scales`, `synapse` and
    `neurons` are one value or a list: what `convert` takes as `scale_firing_rates` (a number, a
    rule, `{layer: ...}`), as `synapse`, and as `spiking`. `steps` are one number or several, of
    `dt` seconds: the network runs for the most, and one run answers for all of them and for all
    `readouts`. Arguments that follow `metric` are those of `convert`, the same for all.
    Combinations that fail are found with their reason.

    The result names the cheapest setting whose outputs are at most `within` worse than the
    source's: points of accuracy as a fraction, or in the unit of the metric, of errors or of
    agreement. `minimise` names the cost: spikes, energy under `energy_table`, or latency, the
    steps.

    `checkpoint` is a folder of finished parts, from which a second call goes on, also with other
    combinations; `executor` and `address` are as for `evaluate`. Raises as `convert` and `evaluate`
    do for arguments that suit no combination, and `SimulationError` where all failed.
    """
    at = _steps(steps)
    _check(within, minimise)
    cost_table(energy_table)
    settings = checked(
        at[-1], at, readouts, (), None, metric,
        source=True, operations=True, dt=dt, seed=seed, engine=engine, precision=precision,
        batch_size=batch_size, threads=threads, encoder=encoder,
    )  # fmt: skip
    common = {
        "initial_voltage": initial_voltage,
        "calibration": calibration,
        "max_pool": max_pool,
        "max_spikes_per_step": max_spikes_per_step,
        "weights": weights,
        "bias_correction": bias_correction,
        "fission": fission,
    }
    given = {name: value for name, value in common.items() if value is not None}
    base, origin = model, ModelReference.of(model, example_input, x, calibration=calibration)
    if not isinstance(model, Conversion):
        with silently():
            base = convert(model, example_input=origin.example, outputs=outputs)
    wanted = settings_of(scales, synapse, neurons, given, settings.readouts)
    refuse_sequences(base.lowered.stepping, "sweep")
    if not base.populations():
        raise SimulationError(
            "no layer of the model has neurons, so that there is nothing to scale"
        )
    folder = None if checkpoint is None else path_of(checkpoint)
    workers = executors.get(executor, address)
    measuring = Measuring(base, origin, settings, workers, energy_table, folder)
    with silently():
        points = measuring.all(wanted, x, y, progress)
    _warn_of_lengths(measuring.doubts)
    return _result(points, float(within), minimise, energy_table)


def _result(
    points: Sequence[OperatingPoint], within: float, minimise: Minimise, table: str
) -> StudyResult:
    """The result: the cheapest point that loses at most `within`, and the sentence about it."""
    measured = [point for point in points if not point.failed]
    best, closest = _cheapest(measured, within, minimise), nearest(measured, minimise)
    records = _records(points, best)
    settings = {id(point.setting): point.setting.how for point in points}
    facts = cast(Evaluation, closest.evaluation).settings
    return StudyResult(
        points=tuple(points),
        best=best,
        closest=closest,
        conclusion=found_nothing(closest, within) if best is None
        else found_one(best, within, minimise),
        table=sweep_table(records, facts["at"], "", settings.values(), table),
        records=records,
        minimised=minimise,
        limit=within,
        facts={**facts, "energy_table": table},
    )  # fmt: skip


def _cheapest(
    points: Sequence[OperatingPoint], within: float, minimise: Minimise
) -> OperatingPoint | None:
    """The cheapest point that spikes and loses at most so much; None where there is none."""
    good = [p for p in points if p.spikes is not None and p.lost <= within + _EQUAL]
    return min(good, key=lambda point: point.price(minimise), default=None)


def _records(points: Sequence[OperatingPoint], best: OperatingPoint | None) -> tuple[Record, ...]:
    """Those of `Conversion.evaluate` under each setting, and the source's, once.

    The setting is in their `how` as "scale", "synapse" and "neurons", numbers or text; the score of
    the best point has "chosen".
    """
    settings = {id(p.setting): p for p in points if p.evaluation is not None}
    chosen = [] if best is None else [score.value for score in best.scores]
    found: list[Record] = []
    for number, point in enumerate(settings.values()):
        mine = chosen if best is not None and point.setting is best.setting else []
        records = cast(Evaluation, point.evaluation).records
        source = [r for r in records if r.name.startswith("source ")]
        found = [*source, *found] if number == 0 else found
        for record in records:
            if not record.name.startswith("source "):
                mark = {"chosen": True} if record in mine else {}
                found.append(replace(record, how={**record.how, **point.setting.how, **mark}))
    return tuple(found)


def _warn_of_lengths(doubts: Sequence[str]) -> None:
    """Warn of settings that are measured at no length that is right for them, in one sentence."""
    if doubts:
        others = f" (so it is with {len(doubts) - 1} more settings)" if len(doubts) > 1 else ""
        say(f"{doubts[0]}{others}")


def _steps(steps: Any) -> tuple[int, ...]:
    """Numbers of steps in order, each once."""
    several = list(steps) if isinstance(steps, list | tuple | range) else [steps]
    if not several or not all(is_whole(n) and n >= 1 for n in several):
        raise SimulationError(f"steps is a whole number from 1 or a list of them, got {steps!r}")
    return tuple(sorted({int(n) for n in several}))


def _check(within: Any, minimise: Any) -> None:
    if not (is_number(within) and within >= 0):
        raise SimulationError(
            "within is how much worse than the source a setting may be, a number from 0 (0.01 is "
            f"a point of accuracy), got {within!r}"
        )
    if minimise not in MINIMISED:
        raise SimulationError(f"minimise is one of {', '.join(MINIMISED)}, got {minimise!r}")
