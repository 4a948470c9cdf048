"""The choice: settings that are checked on samples that the search never saw, and the result."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from spikewright._base.amounts import POINTS, Unit, format_difference, number, steps_text
from spikewright.choosing.rules.rule import brief
from spikewright.errors import SpikewrightError, TuningError
from spikewright.records import SCORE, Record, Worth
from spikewright.report.tables import Column, Table, Value, energy_column
from spikewright.study.point import (
    NETWORK_STEPS,
    Certificate,
    OperatingPoint,
    OutputScore,
    StudySetting,
    front,
)
from spikewright.study.programs import ModelReference
from spikewright.study.result import ONE_STEP, StudyResult, nearest
from spikewright.study.search.coding import code_of
from spikewright.study.search.measurement import Measurement, unbeaten
from spikewright.study.search.objective import Objective
from spikewright.study.search.trials import Study

LISTED = 8
"""Settings that are checked where certificates decide: the fewer, the more power each has."""

MANY = 48
"""Settings that are checked where estimates decide."""

_CHEAPEST = 0.75  # of these, where estimates decide
_PROMISING = 1.0  # standard errors above the limit up to which a cheap setting may still be tried
_SURE = 2.0  # standard errors below it from which a costlier setting is not needed
_SPARE = 2  # settings costlier than one that surely holds, of those that are alike
_LEVELS = 6  # levels of cost in an octave


def short_list(
    points: Sequence[Measurement],
    max_drop: float,
    expected: Callable[[Measurement], float] = lambda point: point.drop,
    most: int = LISTED,
    every_length: bool = False,
) -> list[Measurement]:
    """Settings to be checked, the costliest first and the cheapest last.

    Those whose drop may lie within the limit, as is `expected`. With `every_length` those that no
    other of as many steps beats in both cost and drop; of many the cheapest, and others that are
    spread evenly: which of these hold cannot be told beforehand. Else the best of every level of
    cost, up to the first that surely holds and one behind it: what beats another on the samples of
    the search may lose more on others. Raises `TuningError` where nothing was measured.
    """
    if not points:
        raise TuningError(
            "no setting was measured on all samples before the search ended. Give it more time "
            "(timeout), or fewer samples"
        )
    promising = [c for c in points if expected(c) <= max_drop + _PROMISING * c.paired.error]
    if not promising:
        return [min(points, key=lambda c: (expected(c), c.cost))]
    if not every_length:
        return _spread(needed(promising, max_drop, expected), most)
    by_length: dict[int, list[Measurement]] = {}
    for candidate in promising:
        by_length.setdefault(candidate.steps, []).append(candidate)
    best = [
        candidate
        for some in by_length.values()
        for candidate in front(some, lambda c: (c.cost, expected(c)), expected)
    ]
    held, cheapest = _by_cost(best, expected), round(_CHEAPEST * most)
    split = max(0, len(held) - cheapest)
    return [*_spread(held[:split], most - cheapest), *held[split:]]


def needed(
    candidates: Sequence[Measurement], max_drop: float, expected: Callable[[Measurement], float]
) -> list[Measurement]:
    """The best of every level of cost, up to one behind the first that surely holds the limit.

    Those that cost more would only take power from the others' tests, and time.
    """
    return _by_cost(_levels(candidates, max_drop, expected), expected)


def undecided(
    candidates: Sequence[Measurement],
    certifiable: float,
    max_drop: float,
    expected: Callable[[Measurement], float],
) -> list[Measurement]:
    """The settings that may be certified, and be the cheapest of those that differ in scale alone.

    A drop of `certifiable` would be. Left out are those that probably lose more, and those that
    cost more than one that surely holds `max_drop`, but for the next `_SPARE`: what was trained
    loses more on samples that did not choose its best epoch.
    """
    found: list[Measurement] = []
    for alike in families(candidates):
        promising = [
            c for c in alike if expected(c) <= certifiable + _PROMISING * c.paired.error
        ] or alike[-1:]  # the costliest
        holds = (expected(c) + _SURE * c.paired.error <= max_drop for c in promising)
        first = next((number for number, sure in enumerate(holds) if sure), len(promising))
        found.extend(promising[: first + 1 + _SPARE])
    return found


def families(candidates: Sequence[Measurement]) -> list[list[Measurement]]:
    """Groups of settings that differ by a factor of all scales, the cheapest first."""
    found: dict[int, list[Measurement]] = {}
    for candidate in sorted(candidates, key=lambda c: c.cost):
        key = id(candidate if candidate.alike is None else candidate.alike)
        found.setdefault(key, []).append(candidate)
    return list(found.values())


def likely_first(
    candidates: Sequence[Measurement], expected: Callable[[Measurement], float]
) -> list[Measurement]:
    """The order in which settings are checked: those first that most probably hold.

    What passes hands its level on, so that a failure costs those behind it. Behind the first come
    those that were trained, which cost less, and then the others: these are there in case that
    training was no good. Of settings that are alike none is expected to lose less than one that
    costs more, which would be luck with few samples.
    """
    drops: dict[int, float] = {}
    for alike in families(candidates):
        most = -math.inf
        for candidate in reversed(alike):
            most = drops[id(candidate)] = max(most, expected(candidate))
    order = sorted(candidates, key=lambda c: (drops[id(c)], -c.cost))
    first, *others = [c for c in order if c.training is None] or order[:1]
    trained = [c for c in order if c.training is not None and c is not first]
    return [first, *trained, *others]


def _by_cost(
    candidates: Sequence[Measurement], expected: Callable[[Measurement], float]
) -> list[Measurement]:
    """The costliest first."""
    return sorted(candidates, key=lambda c: (-c.cost, expected(c)))


def _spread(candidates: list[Measurement], most: int) -> list[Measurement]:
    """At most so many, whose places are spread evenly; the ends are among them."""
    if len(candidates) <= most:
        return candidates
    places = {round(i * (len(candidates) - 1) / (most - 1)) for i in range(most)}
    return [candidates[i] for i in sorted(places)]


def _levels(
    candidates: Sequence[Measurement], max_drop: float, expected: Callable[[Measurement], float]
) -> list[Measurement]:
    """The best of every level of cost, the cheapest first, up to one behind the first sure one.

    Left out are those that lose more than a cheaper one by more than a standard error.
    """
    least = max(min(c.cost for c in candidates), 1e-300)
    levels: dict[int, list[Measurement]] = {}
    for candidate in candidates:
        number = math.floor(_LEVELS * math.log2(max(candidate.cost, least) / least))
        levels.setdefault(number, []).append(candidate)
    found: list[Measurement] = []
    sure, lowest = False, math.inf
    for number in sorted(levels):
        best = min(levels[number], key=lambda c: (expected(c), c.cost))
        drop, error = expected(best), best.paired.error
        if drop > (lowest if sure else lowest + error):
            continue
        found.append(best)
        if sure:
            break
        lowest, sure = min(lowest, drop), drop + _SURE * error <= max_drop
    return found


def check(
    candidates: Sequence[Measurement],
    measure: Callable[[Measurement], Measurement],
    max_drop: float,
    confidence: float,
) -> list[Measurement]:
    """Measure every candidate on the held-back samples, and certify down the list.

    The candidates, and their order, were fixed before the held-back samples were read. Each
    hypothesis "this one loses more than `max_drop`" is tested in turn at a level of its own, and
    one that is rejected hands its level on to the next: the fallback procedure, which rejects a
    true one with probability at most 1 - confidence, whatever is chosen afterwards (Wiens &
    Dmitrienko, J. Biopharm. Stat. 15, 929-942, 2005). The first has half of it, so that a list
    whose settings all hold is tested at no less than half the level; after one that fails the
    others still have a chance, which fixed-sequence testing would deny them. A setting that cannot
    be run on these samples is not certified, and left out. Raises `TuningError` where none can be.
    """
    total, others = 1 - confidence, max(1, len(candidates) - 1)
    found, handed, reasons = [], 0.0, list[str]()
    for place, candidate in enumerate(candidates):
        own = total if len(candidates) == 1 else total / 2 / (others if place else 1)
        level = own + handed
        try:
            point = measure(candidate)
        except SpikewrightError as error:
            reasons.append(str(error))
            handed = 0.0
            continue
        certified = point.paired.p_value(max_drop) <= level
        handed = level if certified else 0.0
        found.append(replace(candidate, held=point, certified=certified))
    if not found:
        raise TuningError(f"no setting can be run on the held-back samples: {'; '.join(reasons)}")
    return found


def choose(checked: Sequence[Measurement], max_drop: float, certifying: bool = True) -> Measurement:
    """The cheapest that is certified; else the cheapest whose estimate holds; else the nearest.

    Samples that are too few certify by luck alone, and settings that cost many times as much:
    where it was known beforehand that they are (not `certifying`), the estimate decides.
    """
    certified = [item for item in checked if item.certified and certifying]
    holding = [item for item in checked if item.checked.drop <= max_drop]
    for items in (certified, holding):
        if items:
            return min(items, key=lambda item: item.checked.cost)
    return min(checked, key=lambda item: (item.checked.drop, item.checked.cost))


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
        records=tuple(record for one in (*searched, *held) for record in _records(one, best)),
        minimised=asked["minimise"],
        limit=asked["max_drop"],
        facts=facts,
    )


def _point(
    asked: Mapping[str, Any], objective: Objective, origin: ModelReference, one: Measurement
) -> OperatingPoint:
    """A setting of the search, on the held-back samples where it was checked on these."""
    checked, found, running = one.held is not None, one.checked, objective.running
    code = code_of(one.values)
    how: dict[str, Any] = {"trial": one.trial, **({} if code is None else {"coding": brief(code)})}
    on = "held back" if checked else "searched"
    read = {"steps": found.steps, "dt": running.dt, "readout": found.readout}
    conditions = {**how, **read, "samples": on}
    paired, n, sure = found.paired, found.paired.n, asked["confidence"]
    needed = paired.needed(asked["max_drop"], sure) if checked else None
    interval = paired.interval(sure) if checked else None
    worth = running.worth
    unit = "fraction" if worth.fraction else SCORE
    drop = Record(f"{worth.name} drop", found.drop, unit, n, interval, conditions)
    energy = {**conditions, "table": running.table, "network": "spiking"}
    whole = found.network_steps
    lasts = () if whole is None else (Record(NETWORK_STEPS, whole, "steps", n, None, conditions),)
    return OperatingPoint(
        setting=StudySetting(f"trial {one.trial}", {}, how=how),
        steps=found.steps,
        dt=running.dt,
        readout=objective.readout(found.readout),
        scores=(OutputScore(worth, drop, drop),),
        costs=tuple(
            Record(
                _NAMES[name],
                value,
                _UNITS[name],
                n,
                None,
                energy if name == "energy" else conditions,
            )
            for name, value in found.costs.items()
        )
        + lasts,
        on=on,
        check=Certificate(one.certified, needed) if checked else None,
        rule=objective.translation.rule(one.values, found.steps, found.costs["spikes"]),
        training=one.training,
        make=partial(objective.network, one),
        origin=origin,
    )


def _records(point: OperatingPoint, best: OperatingPoint) -> Iterable[Record]:
    """The records of a point; those of the checked ones have a role."""
    role = {"role": "chosen" if point is best else "runner up"} if point.check else {}
    return (replace(record, how={**record.how, **role}) for record in point.records)


def _unit(worth: Worth) -> Unit:
    """The unit of losses in a search: points of accuracy, or an amount of a metric."""
    return _POINTS if worth.fraction else Unit(f"of {worth.name}")


def conclusion(asked: Mapping[str, Any], best: OperatingPoint) -> str:
    """The setting, its loss, and what is certain of it."""
    steps = steps_text(best.steps, best.latency)
    trained = "" if best.training is None else ", trained"
    lost = format_difference(best.lost, unit=_unit(best.scores[0].worth))
    text = f"{steps}, {best.costs_text}{trained}; {lost}. {_verdict(asked, best)}"
    return f"{text} {ONE_STEP}" if best.steps == 1 else text


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
    if any(row["coding"] for row in rows):
        columns += [Column("network steps", "steps of the network"), Column("coding", "code")]
    cells = tuple(tuple(row[column.key] for column in columns) for row in rows)
    return Table("", tuple(columns), cells)


def _row(point: OperatingPoint, best: OperatingPoint) -> dict[str, Value]:
    interval, check = point.scores[0].value.interval, point.check
    return {
        "chosen": "chosen" if point is best else None,
        "steps": point.steps,
        "network steps": point.latency,
        "spikes": point.spikes,
        "energy": point.energy,
        "drop": point.lost,
        "at most": None if interval is None else interval[1],
        "certified": "yes" if check is not None and check.certified else "no",
        "needed": None if check is None else check.needed,
        "rule": "" if point.rule is None else str(point.rule),
        "coding": point.setting.how.get("coding", ""),
    }
