"""The conclusion of a sweep, in sentences."""

from __future__ import annotations

from spikewright._base.amounts import format_difference, format_energy, loss_unit, number
from spikewright.measure.readout import readout_name
from spikewright.records import own_energies
from spikewright.report.tables import shown
from spikewright.study.grid.points import Judged, Reading
from spikewright.study.search.choice import ONE_STEP, Minimise

_PRICE = {"spikes": "in spikes", "energy": "in energy", "latency": "in steps"}


def found_one(reading: Reading, within: float, minimise: Minimise) -> str:
    """The cheapest setting that is near enough: its score, its loss and its cost."""
    told = (
        f"The cheapest setting {_PRICE[minimise]} within {_distance(within, reading)} of the source"
        f"{_of_source(reading)} is {_named(reading)}: {_worth(reading)}{_lost(reading)}, for "
        f"{_costs(reading)} a sample."
    )
    return f"{told} {ONE_STEP}" if reading.steps == 1 else told


def found_nothing(reading: Reading, within: float) -> str:
    """That no setting is near enough, and which comes nearest."""
    return (
        f"No setting here comes within {_distance(within, reading)} of the source"
        f"{_of_source(reading)}. Nearest is {_named(reading)}, with {_worth(reading)}. More steps "
        "or a larger scale may bring it nearer."
    )


def _named(reading: Reading) -> str:
    """A setting, its steps and its readout."""
    steps = "1 step" if reading.steps == 1 else f"{reading.steps} steps"
    readout = readout_name(reading.readout)
    return f"{reading.tried.setting.name}, {steps} of {1000 * reading.dt:g} ms, {readout} readout"


def _distance(within: float, reading: Reading) -> str:
    """The loss allowed, in the unit of losses."""
    if not reading.judged[0].worth.fraction:
        return f"{within:g}"
    return f"{100 * within:g} point{'s' * (within != 0.01)}"


def _of_source(reading: Reading) -> str:
    """The scores of the source, in brackets."""
    told = [
        f"{_output(part)}{part.worth.name} {shown(part.worth)(part.source.value)}"
        for part in reading.judged
        if part.source is not None
    ]
    return f" ({', '.join(told)})" if told else ""


def _worth(reading: Reading) -> str:
    """The scores of the outputs, with their intervals."""
    return ", ".join(f"{_output(part)}{_value(part)}" for part in reading.judged)


def _value(part: Judged) -> str:
    show = shown(part.worth)
    text = f"{part.worth.name} {show(part.value.value)}"
    if part.value.interval is None:
        return text
    low, high = map(show, part.value.interval)
    return f"{text} ({low} to {high})"


def _lost(reading: Reading) -> str:
    """The loss or gain of one output, on the same samples."""
    part, *others = reading.judged
    if part.drop is None or others:
        return ""
    unit = loss_unit(part.worth.fraction)
    return f", {format_difference(part.drop.value, part.drop.interval, unit)}"


def _costs(reading: Reading) -> str:
    told = [] if reading.spikes is None else [f"{number(reading.spikes)} spikes"]
    told += [format_energy(r.value, r.how["table"]) for r in own_energies(reading.costs)]
    return " and ".join(told) or "no spikes"


def _output(part: Judged) -> str:
    name = part.value.how.get("output")
    return "" if name is None else f"{name} "
