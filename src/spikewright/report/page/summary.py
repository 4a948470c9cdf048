"""The measured results, in one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from spikewright._base.amounts import counted, format_difference, loss_unit, number
from spikewright.records import Record, Worth, interval_kind, select, worths
from spikewright.report.tables import shown

_SAID = {
    "accuracy": "{network} answers {value} of {n} samples right",
    "relative error": "{network} is {value} off its targets, over {n} samples",
    "agreement": "{network} gives the same answer as its source for {value} of {n} samples",
    "relative difference": "{network} is {value} off its source, over {n} samples",
}
_SCORED = "{network} has a mean {name} of {value}, over {n} samples"


def sentence(records: Iterable[Record]) -> str:
    """The spiking network's score after its last step, beside its source's, and its cost."""
    parts = ("layer", "threshold", "change")  # of what is no run of the whole network
    found = [r for r in records if not any(part in r.how for part in parts)]
    steps = max((int(r.how["steps"]) for r in found if "steps" in r.how), default=None)
    if steps is None:
        return "Nothing was measured."
    last = [r for r in found if r.how.get("steps") == steps]
    worth = _worth(last, found)
    spikes = select(last, "spikes per sample")
    cost = f"{number(spikes[0].value)} spikes a sample" if spikes else ""
    active = select(last, "spikes per active neuron")
    if active:
        cost += f" ({number(active[0].value)} for each active neuron of the source)"
    bits = select(last, "bits per graded spike")
    if bits:
        cost += f", graded ones of {number(bits[0].value)} bits"
    if worth:
        return f"{_duration(last, steps)} {worth}{f', for {cost}' if cost else ''}."
    if cost:
        n = spikes[0].n
        over = f"over {counted(n, 'sample')}"
        return f"{_duration(last, steps)} the network has sent {cost}, {over}."
    return "The answers were not scored."


def _duration(records: list[Record], steps: int) -> str:
    dt = next((float(r.how["dt"]) for r in records if "dt" in r.how), None)
    each = "" if dt is None else f" of {dt * 1000:g} ms"
    return f"After {counted(steps, 'step')}{each}"


def _worth(last: list[Record], found: list[Record]) -> str:
    """The score of the answers, in the words of the first measure at hand."""
    for worth in worths(last)[:1]:
        measured = _mean_first(select(last, worth.name))
        spiking = bool(select(last, "spikes per sample"))
        text = _SAID.get(worth.name, _SCORED).format(
            network="the spiking network" if spiking else "the network",
            name=worth.name,
            value=shown(worth)(measured.value),
            n=f"{measured.n:,}",
        )
        return f"{text}{_interval(measured, worth)}{_against(worth, measured, last, found)}"
    return ""


def _mean_first(records: list[Record]) -> Record:
    """That of the mean readout, or else the first."""
    mean = [record for record in records if record.how.get("readout") == "mean"]
    return [*mean, *records][0]


def _interval(record: Record, worth: Worth) -> str:
    told, show = [], shown(worth)
    if "output" in record.how:
        told.append(f"output {record.how['output']}")
    if "readout" in record.how:
        told.append(f"{record.how['readout']} readout")
    if record.interval is not None:
        low, high = map(show, record.interval)
        told.append(f"{interval_kind(record)} {low} to {high}")
    return f" ({'; '.join(told)})" if told else ""


def _against(worth: Worth, record: Record, last: list[Record], found: list[Record]) -> str:
    """The score of the source, and the loss against it."""
    source = select(found, f"source {worth.name}", output=record.how.get("output"))
    if not source:
        return ""
    text = f", its source {shown(worth)(source[0].value)}"
    same = {k: record.how[k] for k in ("readout", "output") if k in record.how}
    drops = select(last, f"{worth.name} drop", **same)
    if not drops:
        return text
    (drop, *_), unit = drops, loss_unit(worth.fraction)
    lost = format_difference(drop.value, drop.interval, unit, interval_kind(drop))
    return f"{text}{_rounded(worth, same, last)}: {lost}"


def _rounded(worth: Worth, same: Mapping[str, Any], last: list[Record]) -> str:
    """The score of the rounded twin, below which timing alone leads."""
    found = select(last, f"rounded {worth.name}", output=same.get("output"))
    return f" ({shown(worth)(found[0].value)} if no spike came early or late)" if found else ""
