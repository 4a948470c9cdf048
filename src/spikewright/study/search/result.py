"""The result of a search: the settings that were checked, and the sentence about the best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from spikewright._base.amounts import POINTS, Unit, format_difference, number
from spikewright.records import SCORE, Record, Worth
from spikewright.report.tables import Column, Table, Value, energy_column
from spikewright.study.point import Certificate, OperatingPoint, OutputScore
from spikewright.study.programs import ModelReference
from spikewright.study.result import ONE_STEP, StudyResult, nearest
from spikewright.study.search.measurement import front
from spikewright.study.search.objective import Objective
from spikewright.study.search.settings import TuneSettings
from spikewright.study.search.short_list import Finalist, choose
from spikewright.study.search.trials import Study, shown
from spikewright.study.setting import StudySetting

_UNITS = {"spikes": "spikes", "energy": "J"}
_NAMES = {"spikes": "spikes per sample", "energy": "energy"}
_POINTS = replace(POINTS, decimals=2)


def result(
    asked: TuneSettings,
    objective: Objective,
    study: Study,
    checked: Sequence[Finalist],
    origin: ModelReference,
    samples: tuple[int, int],
    certifying: bool,
    refused: Mapping[str, int],
) -> StudyResult:
    """The result, of settings that were checked on held-back samples.

    `samples` says how many were searched on and held back, `certifying` whether the latter can
    certify anything to speak of.
    """
    chosen = choose(checked, asked.max_drop, certifying)
    trials = {id(found): trial for trial in study.finished() for found in trial.points}
    everything = (found for trial in study.finished() for found in trial.points)
    searched = [
        _point(asked, objective, origin, Finalist(trials[id(found)], found))
        for found in front(everything)
    ]
    points = {
        id(one): _point(asked, objective, origin, one)
        for one in sorted(checked, key=lambda one: one.checked.cost)
    }
    best, held = points[id(chosen)], list(points.values())
    return StudyResult(
        points=tuple(held),
        best=best,
        closest=nearest(held, asked.minimise),
        conclusion=conclusion(asked, best, samples[1]),
        table=_table(asked, held, best),
        records=tuple(record for point in (*searched, *held) for record in _told(point, best)),
        minimised=asked.minimise,
        limit=asked.max_drop,
        facts={
            "confidence": asked.confidence,
            "measure": asked.worth.name,
            "searched_on": samples[0],
            "held_back": samples[1],
            "trials": study.counts(),
            "failures": {**study.failures(), **refused},
            "study": None if asked.study is None else shown(asked.study),
            "energy_table": asked.running.table,
        },
    )


def _point(
    asked: TuneSettings,
    objective: Objective,
    origin: ModelReference,
    one: Finalist,
) -> OperatingPoint:
    """A setting of the search, on the held-back samples where it was checked on these."""
    checked, found = one.held is not None, one.checked
    trial, n, steps = one.trial, found.paired.n, found.steps
    how, on = {"trial": trial.number}, "held back" if checked else "searched"
    told = {**how, "steps": steps, "dt": objective.running.dt, "readout": found.readout}
    told["samples"] = on
    needed = found.paired.needed(asked.max_drop, asked.confidence) if checked else None
    interval = found.paired.interval(asked.confidence) if checked else None
    unit = "fraction" if asked.worth.fraction else SCORE
    drop = Record(f"{asked.worth.name} drop", found.paired.drop, unit, n, interval, told)
    energy = {**told, "table": objective.running.table, "network": "spiking"}
    return OperatingPoint(
        setting=StudySetting(f"trial {trial.number}", {}, how=how),
        steps=steps,
        dt=objective.running.dt,
        readout=objective.readout(found.readout),
        scores=(OutputScore(asked.worth, drop, drop),),
        costs=tuple(
            Record(_NAMES[name], value, _UNITS[name], n, None, energy if name == "energy" else told)
            for name, value in found.costs.items()
        ),
        on=on,
        check=Certificate(one.certified, needed) if checked else None,
        rule=objective.translation.rule(trial.values, steps, found.costs["spikes"]),
        training=one.training,
        make=partial(objective.network, one),
        origin=origin,
    )


def _told(point: OperatingPoint, best: OperatingPoint) -> Iterable[Record]:
    """The records of a point; those of the checked ones have a role."""
    role = {"role": "chosen" if point is best else "runner up"} if point.check else {}
    return (replace(record, how={**record.how, **role}) for record in point.records)


def _unit(worth: Worth) -> Unit:
    """The unit of losses in a search: points of accuracy, or an amount of a metric."""
    return _POINTS if worth.fraction else Unit(f"of {worth.name}")


def conclusion(asked: TuneSettings, best: OperatingPoint, held: int) -> str:
    """The setting, its loss, and what is certain of it."""
    steps = "1 step" if best.steps == 1 else f"{best.steps} steps"
    trained = "" if best.training is None else ", trained"
    lost = format_difference(best.lost, unit=_unit(asked.worth))
    told = f"{steps}, {best.costs_text}{trained}; {lost}. {_verdict(asked, best, held)}"
    return f"{told} {ONE_STEP}" if best.steps == 1 else told


def _verdict(asked: TuneSettings, best: OperatingPoint, samples: int) -> str:
    """The result on the held-back samples, in a sentence."""
    limit, sure = _limit(asked), f"{100 * asked.confidence:g} %"
    held = f"On {samples} held-back samples"
    check, interval = best.check, best.scores[0].value.interval
    if check is None or interval is None:
        raise TypeError("unreachable: the best setting was checked")
    if check.certified:
        return f"{held} the loss is at most {limit}, with {sure}."
    high = interval[1]
    most = f"{'up to' if high >= 0 else 'only'} {_unit(asked.worth).format(high)}"
    text = f"{held} there may be {most}"
    if best.lost > asked.max_drop:
        return f"No setting found holds {limit}; this is the nearest. {text}, with {sure}."
    if check.needed is None:
        more = "No number of them would certify what is just reached"
    else:
        more = f"About {check.needed} held-back samples would certify {limit}"
    return f"{text}, with {sure}: not certified. {more}."


def _limit(asked: TuneSettings) -> str:
    """The largest loss allowed, in words."""
    if not asked.worth.fraction:
        return f"{asked.max_drop:.4g} of {asked.worth.name}"
    points = f"{100 * asked.max_drop:g}"
    return f"{points} point" if points == "1" else f"{points} points"


def _table(asked: TuneSettings, points: Sequence[OperatingPoint], best: OperatingPoint) -> Table:
    """The settings checked on held-back samples, the cheapest first; the choice is marked."""
    unit, sure = _unit(asked.worth), f"at most ({100 * asked.confidence:g} %)"
    columns = [
        Column("chosen", ""),
        Column("steps", "steps"),
        Column("spikes", "spikes a sample", number),
        Column("drop", unit.name, unit.format_signed),
        Column("at most", sure, unit.format_signed),
        Column("certified", "certified"),
        Column("needed", "samples that would certify", number),
        Column("rule", "rule"),
    ]
    if asked.running.table is not None:
        columns.insert(3, energy_column("energy", "energy", asked.running.table))
    rows = [_row(point, best) for point in points]
    cells = tuple(tuple(row[column.key] for column in columns) for row in rows)
    return Table("", tuple(columns), cells)


def _row(point: OperatingPoint, best: OperatingPoint) -> dict[str, Value]:
    interval, check = point.scores[0].value.interval, point.check
    return {
        "chosen": "chosen" if point is best else None,
        "steps": point.steps,
        "spikes": point.spikes,
        "energy": point.energy,
        "drop": point.lost,
        "at most": None if interval is None else interval[1],
        "certified": "yes" if check is not None and check.certified else "no",
        "needed": None if check is None else check.needed,
        "rule": "" if point.rule is None else str(point.rule),
    }
