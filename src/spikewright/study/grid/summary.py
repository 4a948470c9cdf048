"""The conclusion of a sweep, in sentences."""

from __future__ import annotations

from spikewright._base.amounts import format_difference, format_energy, loss_unit, number
from spikewright.records import own_energies
from spikewright.report.tables import shown
from spikewright.study.point import Minimise, OperatingPoint, OutputScore
from spikewright.study.result import ONE_STEP

_PRICE = {"spikes": "in spikes", "energy": "in energy", "latency": "in steps"}


def found_one(point: OperatingPoint, within: float, minimise: Minimise) -> str:
    """The cheapest setting that is near enough: its score, its loss and its cost."""
    told = (
        f"The cheapest setting {_PRICE[minimise]} within {_distance(within, point)} of the source"
        f"{_of_source(point)} is {_named(point)}: {_worth(point)}{_lost(point)}, for "
        f"{_costs(point)} a sample."
    )
    return f"{told} {ONE_STEP}" if point.steps == 1 else told


def found_nothing(point: OperatingPoint, within: float) -> str:
    """That no setting is near enough, and which comes nearest."""
    return (
        f"No setting here comes within {_distance(within, point)} of the source"
        f"{_of_source(point)}. Nearest is {_named(point)}, with {_worth(point)}. More steps "
        "or a larger scale may bring it nearer."
    )


def _named(point: OperatingPoint) -> str:
    """A setting, its steps and its readout."""
    steps = "1 step" if point.steps == 1 else f"{point.steps} steps"
    readout = str(point.readout)
    return f"{point.setting.name}, {steps} of {1000 * point.dt:g} ms, {readout} readout"


def _distance(within: float, point: OperatingPoint) -> str:
    """The loss allowed, in the unit of losses."""
    if not point.scores[0].worth.fraction:
        return f"{within:g}"
    return f"{100 * within:g} point{'s' * (within != 0.01)}"


def _of_source(point: OperatingPoint) -> str:
    """The scores of the source, in brackets."""
    told = [
        f"{_output(part)}{part.worth.name} {shown(part.worth)(part.source.value)}"
        for part in point.scores
        if part.source is not None
    ]
    return f" ({', '.join(told)})" if told else ""


def _worth(point: OperatingPoint) -> str:
    """The scores of the outputs, with their intervals."""
    return ", ".join(f"{_output(part)}{_value(part)}" for part in point.scores)


def _value(part: OutputScore) -> str:
    show = shown(part.worth)
    text = f"{part.worth.name} {show(part.value.value)}"
    if part.value.interval is None:
        return text
    low, high = map(show, part.value.interval)
    return f"{text} ({low} to {high})"


def _lost(point: OperatingPoint) -> str:
    """The loss or gain of one output, on the same samples."""
    part, *others = point.scores
    if part.drop is None or others:
        return ""
    unit = loss_unit(part.worth.fraction)
    return f", {format_difference(part.drop.value, part.drop.interval, unit)}"


def _costs(point: OperatingPoint) -> str:
    told = [] if point.spikes is None else [f"{number(point.spikes)} spikes"]
    told += [format_energy(r.value, r.how["table"]) for r in own_energies(point.costs)]
    return " and ".join(told) or "no spikes"


def _output(part: OutputScore) -> str:
    name = part.value.how.get("output")
    return "" if name is None else f"{name} "
