"""The best of several ways to convert for a number of steps, by calibration data alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, Unpack

from spikewright._base.amounts import number
from spikewright._base.arguments import is_number, is_whole, refuse
from spikewright._base.optional import require
from spikewright._base.options import declared
from spikewright._base.progress import progress_bar
from spikewright.choosing.correction import looks_at_data
from spikewright.choosing.rules import ScaleRule
from spikewright.choosing.statistics.collect import gather
from spikewright.conversion import Conversion, convert
from spikewright.conversion.arguments import check_cap
from spikewright.errors import listed
from spikewright.graph.layers import Activation
from spikewright.lower.trace import suppress_warnings
from spikewright.report.tables import Column, Table
from spikewright.running.inputs import refuse_sequences
from spikewright.study.candidates import (
    CandidateRefinement,
    candidates_of,
    codes_of,
    compared_rules,
)
from spikewright.study.comparison import Comparison, by_candidate
from spikewright.study.halving import (
    Halving,
    HalvingClock,
    allowed,
    better_half,
    expected_others,
    near_enough,
)
from spikewright.study.options import BestRuleOptions
from spikewright.study.point import OperatingPoint, StudySetting
from spikewright.study.programs import ModelReference
from spikewright.study.result import StudyResult

_ALIKE = 0.05  # share of spikes by which candidates cost about as much


@suppress_warnings()
@declared(None)
def best_rule(
    model: Any,
    x: Any,
    steps: int,
    dt: float = 0.001,
    *,
    max_spikes_per_step: int | None = 1,
    candidates: Sequence[StudySetting | ScaleRule] | None = None,
    timeout: float | None = None,
    reconstruct: bool | None = None,
    **options: Unpack[BestRuleOptions],
) -> StudyResult:
    """Compare rules, neurons, corrections and readouts for `steps` steps of `dt` seconds.

    `model` is what `convert` takes, or a `Conversion`, whose corrections are left out and whose
    other arguments stay. `x` is calibration data, some hundred samples, as `convert` takes it, and
    so are `example_input` (of a PyTorch module the first of `x`, unless it comes in batches) and
    `outputs`. Labels are not needed: every candidate is calibrated on one half of the
    samples, and its outputs are compared with the source's on the other. Under a cap the cheapest
    is chosen that gives at most half a percent, or one sample, more other answers than the fewest;
    a few that differ say little, so that the loss has a say in how many there are to be expected.
    Without one, and where outputs tell no classes apart, it is the one with the least loss: the
    squared difference of outputs over the variance of the source's.

    Rules in `candidates`, or else those of the field, are tried on neurons with and without
    negative spikes, at most `max_spikes_per_step` spikes a step (None: no cap). Where
    that is 1 or None, signed digits are tried too, `sw.SignedDigits(steps)`. All are compared on
    few samples first, and the better ones on twice as many, until those that are left were on all.
    So is what is added to them. The best rule of the field is tried with corrections, and the next
    ones with the best of these. Corrections are measured on few samples, and those of the best on
    all that there are. At last biases, thresholds and starts of the best are fitted
    (`Conversion.reconstruct`), where PyTorch is installed and there is a `timeout`, or
    `reconstruct` is True; False leaves it out.

    Ends after about `timeout` seconds with the best until then; without it the result is a function
    of the other arguments. Raises as `convert` does, `ConversionError` for arguments that it cannot
    use, and `MissingExtraError` where `reconstruct` needs PyTorch.
    """
    clock = HalvingClock.of(timeout)
    _check(steps, dt)
    check_cap(max_spikes_per_step)
    fits = _fits(reconstruct, timeout, candidates)
    origin = ModelReference.of(model, options["example_input"], x)
    if isinstance(model, Conversion):
        base = _uncorrected(model)
    else:
        base = convert(model, example_input=origin.example, outputs=options["outputs"])
    refuse_sequences(base.lowered.stepping, "best_rule")
    (samples,) = gather(x, base.canonical)
    comparison = Comparison(
        base, origin, samples, steps, dt=dt, engine=options["engine"], threads=options["threads"]
    )
    nearly = max_spikes_per_step is not None and comparison.tells_classes
    stays = near_enough if nearly else better_half
    tried = _tried(candidates, steps, dt, max_spikes_per_step, _rectifies(base))
    with progress_bar(None, options["progress"], "candidates") as advance:
        halving = Halving(comparison, advance, stays)
        refinement = CandidateRefinement(halving)
        halving.compare(tried, clock.part(0.5))
        _require_one(halving.left)
        rest = clock.part(0.5) if fits else clock
        if candidates is None:
            refinement.correct(rest)
        refinement.measure_more(rest)
        if fits:
            refinement.reconstruct(clock)
        if not nearly:
            halving.settle()
    best = _cheapest(halving.left) if nearly else halving.left[0]
    return _result(best, (*halving.left, *halving.gone))


def _uncorrected(conversion: Conversion) -> Conversion:
    """The same without corrections: candidates have their own, or none."""
    given = conversion.arguments
    measured = [] if given.get("bias_correction") is None else ["bias_correction"]
    if not isinstance(given.get("initial_voltage"), str | None):
        measured.append("initial_voltage")
    if not measured:
        return conversion
    changes: dict[str, Any] = dict.fromkeys(measured)
    if not looks_at_data({**given, **changes}):
        changes["calibration"] = None
    return conversion.replace(**changes)


def _tried(
    given: Sequence[StudySetting | ScaleRule] | None,
    steps: int,
    dt: float,
    cap: int | None,
    rectifies: bool,
) -> list[StudySetting]:
    """The candidates that were given, rules with every kind of neurons; else all that are known."""
    known = "they are a list of rules, or of sw.StudySetting(...)"
    if not (given is None or isinstance(given, Sequence)):
        raise refuse("candidates", f"{known}, got {given!r}")
    if not given:
        rules: Mapping[str, ScaleRule] = compared_rules(steps, dt, cap)
    else:
        rules = {str(item): item for item in given if isinstance(item, ScaleRule)}
    ready = [item for item in given or () if not isinstance(item, ScaleRule)]
    for item in ready:
        if not isinstance(item, StudySetting):
            raise refuse("candidates", f"{known}, got {item!r}")
    codes = [] if given else codes_of(steps, cap)
    return [*ready, *candidates_of(rules, steps, dt, cap, rectifies), *codes]


def _check(steps: int, dt: float) -> None:
    if not (is_whole(steps) and steps >= 1):
        raise refuse("steps", f"it is a whole number from 1, got {steps!r}")
    if not (is_number(dt) and dt > 0):
        raise refuse("dt", f"it is seconds above 0, got {dt!r}")


def _fits(wanted: bool | None, timeout: float | None, candidates: Any) -> bool:
    """True where biases, thresholds and starts are fitted.

    Raises `MissingExtraError` where that is asked for and PyTorch is missing, and
    `ConversionError` where it is not True, False or None.
    """
    if not (wanted is None or isinstance(wanted, bool)):
        raise refuse("reconstruct", f"it is None, True or False, got {wanted!r}")
    if wanted is None:
        return timeout is not None and candidates is None and find_spec("torch") is not None
    if wanted:
        require("torch")
    return wanted


def _rectifies(conversion: Conversion) -> bool:
    """Whether any layer with neurons is a ReLU."""
    layers = (conversion.canonical[name].layer for name in conversion.populations())
    return any(isinstance(layer, Activation) and layer.function == "relu" for layer in layers)


def _require_one(rows: Sequence[OperatingPoint]) -> None:
    """Raise `ConversionError` with every reason where all candidates failed."""
    if all(row.failed for row in rows):
        reasons: dict[str, list[str]] = {}
        for row in rows:
            reasons.setdefault(row.failed, []).append(row.setting.name)
        lines = [f"{listed(names)}: {reason}" for reason, names in reasons.items()]
        raise refuse("candidates", "\n  - ".join(["none of them can be run:", *lines]))


def _cheapest(rows: Sequence[OperatingPoint]) -> OperatingPoint:
    """The cheapest of those that give hardly more other answers than the fewest, as is expected.

    Of several that cost about as much the one that loses least.
    """
    able = [row for row in rows if row.different is not None]
    others = expected_others(able)
    most = float(others.min()) + allowed(able[0].n)
    near = [row for row, share in zip(able, others, strict=True) if share <= most]
    cost = (1 + _ALIKE) * min(row.spikes or 0.0 for row in near)
    return min((row for row in near if (row.spikes or 0.0) <= cost), key=lambda row: row.lost)


_COLUMNS = (
    Column("chosen", ""),
    Column("loss", "loss", number),
    Column("disagreement", "other answers", lambda value: f"{value:.2%}"),
    Column("spikes", "spikes a sample", number),
    Column("neurons", "neurons", lambda value: f"{value:,}"),
    Column("samples", "samples"),
    Column("readout", "readout"),
    Column("candidate", "candidate"),
)


def _result(best: OperatingPoint, points: Sequence[OperatingPoint]) -> StudyResult:
    """The result: one row a candidate, under its best readout, the chosen one first."""
    closest = min(points, key=lambda point: (-point.n, point.lost))
    rows = tuple(_row(point, best, closest) for point in by_candidate((best, *points)))
    marks = [{"chosen": True} if point is best else {} for point in points]
    return StudyResult(
        points=tuple(points),
        best=best,
        closest=closest,
        conclusion=_conclusion(best, closest),
        table=Table("", _COLUMNS, rows),
        records=tuple(
            replace(record, how={**record.how, "setting": point.name, **mark})
            for point, mark in zip(points, marks, strict=True)
            for record in point.records
        ),
    )


def _row(point: OperatingPoint, best: OperatingPoint, closest: OperatingPoint) -> tuple[Any, ...]:
    mark = "chosen" if point is best else "closest" if point is closest else None
    if point.failed:
        name = f"{point.setting.name}: {point.failed.splitlines()[0]}"
        return "failed", None, None, None, None, None, None, name
    neurons, readout = int(point.cost("neurons") or 0), str(point.readout)
    measured = point.lost, point.disagreement, point.spikes, neurons, point.n
    return mark, *measured, readout, point.setting.name


def _conclusion(best: OperatingPoint, closest: OperatingPoint) -> str:
    """The chosen candidate and what it costs, in a sentence; beside it the closest one."""
    text = f"{best.name}: {_loss_and_spikes(best)}."
    if best.setting is closest.setting:
        return text
    return f"{text} The closest is {closest.name}: {_loss_and_spikes(closest)}."


def _loss_and_spikes(point: OperatingPoint) -> str:
    """Other answers than the source's, or the loss, and the spikes of a point."""
    worth = f"loss {point.lost:.4g}"
    if point.disagreement is not None:
        worth = f"{point.disagreement:.2%} other answers than the source"
    return f"{worth} on {point.n} samples, for {number(point.spikes or 0.0)} spikes a sample"
