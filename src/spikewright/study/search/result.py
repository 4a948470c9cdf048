"""The result, as a `Choice`: arguments that need no data, prices, records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spikewright.records import SCORE, Record
from spikewright.study.code import call
from spikewright.study.search.choice import Alternative, Choice
from spikewright.study.search.measurement import Point, front
from spikewright.study.search.objective import Objective
from spikewright.study.search.options import Request
from spikewright.study.search.short_list import Checked, choose
from spikewright.study.search.trials import Study, shown

_UNITS = {"spikes": "spikes", "energy": "J"}
_NAMES = {"spikes": "spikes per sample", "energy": "energy"}
_TRAINED = "choice.training.conversion"
"""The call that gives a trained network: no numbers in a call could make it."""


def result(
    question: Request,
    objective: Objective,
    study: Study,
    checked: Sequence[Checked],
    model: str,
    samples: tuple[int, int],
    certifying: bool,
    refused: Mapping[str, int],
) -> Choice:
    """The choice among settings that were checked on held-back samples.

    `model` is the model as text; `samples` says how many were searched on and held back,
    `certifying` whether the latter can certify anything to speak of.
    """
    chosen = choose(checked, question.max_drop, certifying)
    others = sorted(
        (item for item in checked if item is not chosen), key=lambda item: item.point.cost
    )
    best = _alternative(question, objective, chosen)
    return Choice(
        **vars(best),
        runners_up=tuple(_alternative(question, objective, other) for other in others),
        limit=question.max_drop,
        confidence=question.confidence,
        minimised=question.minimise,
        held_back=samples[1],
        searched_on=samples[0],
        records=tuple(_records(question, objective, study, checked, chosen)),
        reproduce=call(model, best.conversion) if best.training is None else _TRAINED,
        trials=study.counts(),
        study=None if question.study is None else shown(question.study),
        failures={**study.failures(), **refused},
        worth=question.worth,
    )


def _alternative(question: Request, objective: Objective, item: Checked) -> Alternative:
    values, point, paired = item.candidate.trial.values, item.point, item.point.paired
    return Alternative(
        arguments={
            **objective.network(item.candidate).resolved,
            "steps": point.steps,
            "dt": objective.running.dt,
            "readout": objective.readout(point.readout),
        },
        drop=paired.drop,
        interval=paired.interval(question.confidence),
        certified=item.certified,
        costs=point.costs,
        needed=paired.needed(question.max_drop, question.confidence),
        rule=objective.translation.rule(values, point.steps, point.costs["spikes"]),
        training=item.candidate.training,
        energy_table=objective.running.table,
    )


def _records(
    question: Request,
    objective: Objective,
    study: Study,
    checked: Sequence[Checked],
    chosen: Checked,
) -> list[Record]:
    """Loss and cost of every setting on the front of the search, and of every checked one."""
    records: list[Record] = []
    trials = study.finished()
    by_point = {id(point): trial for trial in trials for point in trial.points}
    for point in front(point for trial in trials for point in trial.points):
        trial = by_point[id(point)]
        records += _of_point(question, objective, point, "searched", trial.number, None)
    for item in checked:
        how = "chosen" if item is chosen else "runner up"
        number = item.candidate.trial.number
        records += _of_point(question, objective, item.point, "held back", number, how)
    return records


def _of_point(
    question: Request,
    objective: Objective,
    point: Point,
    samples: str,
    trial: int,
    role: str | None,
) -> list[Record]:
    how: Mapping[str, Any] = {
        "steps": point.steps,
        "dt": objective.running.dt,
        "readout": point.readout,
        "samples": samples,
        "trial": trial,
        **({} if role is None else {"role": role}),
    }
    n = point.paired.n
    interval = point.paired.interval(question.confidence) if role is not None else None
    worth = question.worth
    unit = "fraction" if worth.fraction else SCORE
    found = [Record(f"{worth.name} drop", point.paired.drop, unit, n, interval, how)]
    for name, value in point.costs.items():
        told = (
            {**how, "table": objective.running.table, "network": "spiking"}
            if name == "energy"
            else how
        )
        found.append(Record(_NAMES[name], value, _UNITS[name], n, None, told))
    return found
