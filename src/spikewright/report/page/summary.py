"""What was measured, in one sentence."""

from __future__ import annotations

from collections.abc import Iterable

from spikewright.records import Record, select
from spikewright.report.losses import points
from spikewright.report.tables import number, percent


def sentence(records: Iterable[Record]) -> str:
    """How right the spiking network is after its last step, beside its source, and for how much."""
    parts = ("layer", "threshold", "change")  # of what is no run of the whole network
    found = [r for r in records if not any(part in r.how for part in parts)]
    steps = max((int(r.how["steps"]) for r in found if "steps" in r.how), default=None)
    if steps is None:
        return "Nothing was measured."
    last = [r for r in found if r.how.get("steps") == steps]
    worth = _worth(last, found)
    spikes = select(last, "spikes per sample")
    cost = f"{number(spikes[0].value)} spikes a sample" if spikes else ""
    if worth:
        return f"{_duration(last, steps)} {worth}{f', for {cost}' if cost else ''}."
    if cost:
        n = spikes[0].n
        over = f"over {n:,} sample{'s' * (n != 1)}"
        return f"{_duration(last, steps)} the network has sent {cost}, {over}."
    return "What the answers are worth was not measured."


def _duration(records: list[Record], steps: int) -> str:
    dt = next((float(r.how["dt"]) for r in records if "dt" in r.how), None)
    each = "" if dt is None else f" of {dt * 1000:g} ms"
    return f"After {steps:,} step{'s' * (steps != 1)}{each}"


def _worth(last: list[Record], found: list[Record]) -> str:
    for name, said in (
        ("accuracy", "{network} answers {value} of {n} samples right"),
        ("relative error", "{network} is {value} off its targets, over {n} samples"),
        ("agreement", "{network} gives the same answer as its source for {value} of {n} samples"),
        ("relative difference", "{network} is {value} off its source, over {n} samples"),
    ):  # fmt: skip
        measured = _mean_first(select(last, name))
        if measured is not None:
            spiking = bool(select(last, "spikes per sample"))
            network = "the spiking network" if spiking else "the network"
            text = said.format(network=network, value=percent(measured.value), n=f"{measured.n:,}")
            return f"{text}{_interval(measured)}{_against(name, measured, last, found)}"
    return ""


def _mean_first(records: list[Record]) -> Record | None:
    """That of the mean readout, or else the first."""
    mean = [record for record in records if record.how.get("readout") == "mean"]
    return next(iter([*mean, *records]), None)


def _interval(record: Record) -> str:
    told = []
    if "output" in record.how:
        told.append(f"output {record.how['output']}")
    if "readout" in record.how:
        told.append(f"{record.how['readout']} readout")
    if record.interval is not None:
        told.append(f"95 % interval {percent(record.interval[0])} to {percent(record.interval[1])}")
    return f" ({'; '.join(told)})" if told else ""


def _against(name: str, record: Record, last: list[Record], found: list[Record]) -> str:
    """What the source does, and what is lost of that."""
    source = select(found, f"source {name}", output=record.how.get("output"))
    if not source:
        return ""
    text = f", its source {percent(source[0].value)}"
    same = {k: record.how[k] for k in ("readout", "output") if k in record.how}
    drops = select(last, "accuracy drop", **same) if name == "accuracy" else []
    if not drops:
        return text
    drop = drops[0]
    if drop.value > 0:
        text += f": {points(drop.value)} are lost"
    elif drop.value < 0:
        text += f": {points(-drop.value)} are gained"
    else:
        text += ": nothing is lost"
    if drop.interval is not None:
        low, high = (f"{100 * end:.1f}" for end in drop.interval)
        text += f" (between {low} and {high} with 95 % confidence)"
    return text
