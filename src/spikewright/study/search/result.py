"""The result of a search: the settings that were checked, and the sentence about the best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from spikewright._base.amounts import POINTS, Unit, format_difference, number
from spikewright.records import SCORE, Record, Worth
from spikewright.report.tables import Column, Table, Value, energy_column
from spikewright.study.point import Certificate, OperatingPoint, OutputScore
from spikewright.study.programs import ModelReference
from spikewright.study.result import ONE_STEP, StudyResult, nearest
from spikewright.study.search.measurement import Measurement, unbeaten
from spikewright.study.search.objective import Objective
from spikewright.study.search.short_list import choose
from spikewright.study.search.trials import Study
from spikewright.study.setting import StudySetting

_UNITS = {"spikes": "spikes", "energy": "J"}
_NAMES = {"spikes": "spikes per sample", "energy": "energy"}
_POINTS = replace(POINTS, decimals=2)


def result(
    asked: Mapping[str, Any],
    objective: Objective,
    study: Study,
    checked: Sequence[Measurement],
    origin: ModelReference,
    facts: Mapping[str, Any],
    certifying: bool,
) -> StudyResult:
    """The result, of settings that were checked on held-back samples.

    `certifying` says whether these can certify anything to speak of; `facts` are those of the
    study.
    """
    chosen = choose(checked, asked["max_drop"], certifying)
    point = partial(_point, asked, objective, origin)
    searched = [point(one) for one in unbeaten(study.finished())]
    ordered = sorted(checked, key=lambda one: one.checked.cost)
    held = [point(one) for one in ordered]
    best = held[[one is chosen for one in ordered].index(True)]
    return StudyResult(
        points=tuple(held),
        best=best,
        closest=nearest(held, asked["minimise"]),
        conclusion=conclusion(asked, best),
        table=_table(asked, held, best, objective.running.table),
        records=tuple(record for one in (*searched, *held) for record in _told(one, best)),
        minimised=asked["minimise"],
        limit=asked["max_drop"],
        facts=facts,
    )


def _point(
    asked: Mapping[str, Any], objective: Objective, origin: ModelReference, one: Measurement
) -> OperatingPoint:
    """A setting of the search, on the held-back samples where it was checked on these."""
    checked, found, running = one.held is not None, one.checked, objective.running
    how, on = {"trial": one.trial}, "held back" if checked else "searched"
    read = {"steps": found.steps, "dt": running.dt, "readout": found.readout}
    told = {**how, **read, "samples": on}
    paired, n, sure = found.paired, found.paired.n, asked["confidence"]
    needed = paired.needed(asked["max_drop"], sure) if checked else None
    interval = paired.interval(sure) if checked else None
    worth = running.worth
    unit = "fraction" if worth.fraction else SCORE
    drop = Record(f"{worth.name} drop", found.drop, unit, n, interval, told)
    energy = {**told, "table": running.table, "network": "spiking"}
    return OperatingPoint(
        setting=StudySetting(f"trial {one.trial}", {}, how=how),
        steps=found.steps,
        dt=running.dt,
        readout=objective.readout(found.readout),
        scores=(OutputScore(worth, drop, drop),),
        costs=tuple(
            Record(_NAMES[name], value, _UNITS[name], n, None, energy if name == "energy" else told)
            for name, value in found.costs.items()
        ),
        on=on,
        check=Certificate(one.certified, needed) if checked else None,
        rule=objective.translation.rule(one.values, found.steps, found.costs["spikes"]),
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


def conclusion(asked: Mapping[str, Any], best: OperatingPoint) -> str:
    """The setting, its loss, and what is certain of it."""
    steps = "1 step" if best.steps == 1 else f"{best.steps} steps"
    trained = "" if best.training is None else ", trained"
    lost = format_difference(best.lost, unit=_unit(best.scores[0].worth))
    told = f"{steps}, {best.costs_text}{trained}; {lost}. {_verdict(asked, best)}"
    return f"{told} {ONE_STEP}" if best.steps == 1 else told


def _verdict(asked: Mapping[str, Any], best: OperatingPoint) -> str:
    """The result on the held-back samples, in a sentence."""
    ((worth, drop, *_),) = best.scores
    limit, sure = _limit(asked["max_drop"], worth), f"{100 * asked['confidence']:g} %"
    held = f"On {drop.n} held-back samples"
    if best.check is None or drop.interval is None:
        raise TypeError("unreachable: the best setting was checked")
    if best.check.certified:
        return f"{held} the loss is at most {limit}, with {sure}."
    high = drop.interval[1]
    most = f"{'up to' if high >= 0 else 'only'} {_unit(worth).format(high)}"
    text = f"{held} there may be {most}"
    if best.lost > asked["max_drop"]:
        return f"No setting found holds {limit}; this is the nearest. {text}, with {sure}."
    more = "No number of them would certify what is just reached"
    if best.check.needed is not None:
        more = f"About {best.check.needed} held-back samples would certify {limit}"
    return f"{text}, with {sure}: not certified. {more}."


def _limit(most: float, worth: Worth) -> str:
    """The largest loss allowed, in words."""
    if not worth.fraction:
        return f"{most:.4g} of {worth.name}"
    return f"{100 * most:g} point{'s' * (f'{100 * most:g}' != '1')}"


def _table(
    asked: Mapping[str, Any],
    points: Sequence[OperatingPoint],
    best: OperatingPoint,
    energies: str | None,
) -> Table:
    """The settings checked on held-back samples, the cheapest first; the choice is marked."""
    unit, sure = _unit(best.scores[0].worth), f"at most ({100 * asked['confidence']:g} %)"
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
    if energies is not None:
        columns.insert(3, energy_column("energy", "energy", energies))
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
