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
    dt = next((float(r.how["dt"]) for r in last if "dt" in r.how), None)
    each = "" if dt is None else f" of {dt * 1000:g} ms"
    run, worth, cost = f"After {counted(steps, 'step')}{each}", _worth(last, found), _cost(last)
    if worth:
        return f"{run} {worth}{f', for {cost}' if cost else ''}."
    if cost:
        samples = counted(select(last, "spikes per sample")[0].n, "sample")
        return f"{run} the network has sent {cost}, over {samples}."
    return "The answers were not scored."


def _cost(last: list[Record]) -> str:
    """The spikes of a sample; "" where nothing spikes."""
    told = {
        "spikes per sample": "{} spikes a sample",
        "spikes per active neuron": " ({} for each active neuron of the source)",
        "bits per graded spike": ", graded ones of {} bits",
    }
    found = {name: select(last, name) for name in told}
    if not found["spikes per sample"]:
        return ""
    return "".join(told[name].format(number(rs[0].value)) for name, rs in found.items() if rs)


def _worth(last: list[Record], found: list[Record]) -> str:
    """The score of the answers, in the words of the first measure at hand."""
    for worth in worths(last)[:1]:
        judged = select(last, worth.name)  # of the mean readout, or else of the first
        measured = [*(r for r in judged if r.how.get("readout") == "mean"), *judged][0]
        spiking = bool(select(last, "spikes per sample"))
        text = _SAID.get(worth.name, _SCORED).format(
            network="the spiking network" if spiking else "the network",
            name=worth.name,
            value=shown(worth)(measured.value),
            n=f"{measured.n:,}",
        )
        return f"{text}{_interval(measured, worth)}{_against(worth, measured, last, found)}"
    return ""


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
