"""A page: everything about a spiking network in one HTML file, which needs no other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Unpack

from spikewright._base.amounts import counted, format_difference, loss_unit, number, steps_text
from spikewright._base.files import begins_with, check_target, file_kind, write_file
from spikewright._base.markup import STYLE, Markup, el, html
from spikewright._base.options import declared
from spikewright.records import Record, Worth, interval_kind, select, worths
from spikewright.report.sections import SECTIONS, PartOptions
from spikewright.report.tables import value_format

GENERATOR = "Spikewright report"
PAGE = file_kind(
    "a report", begins_with(rb'.*<meta name="generator" content="' + GENERATOR.encode())
)
"""The kind of file that a report is."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"


@declared(None)
def write_html(
    path: str | Path,
    records: Iterable[Record] = (),
    *,
    title: str = "Spikewright report",
    summary: str | None = None,
    overwrite: bool = False,
    **parts: Unpack[PartOptions],
) -> Path:
    """Write a page about a spiking network, atomically; returns its path.

    Everything but the path may be left out, and its section with it. `records` are those of a run
    or an evaluation. Below one short sentence made from them stands `summary`, or a longer one.

    An older page is replaced, any other file only with `overwrite` (`ExistingFileError`).
    Raises `MissingFileError` where the folder does not exist.
    """
    target = check_target(path, PAGE, overwrite=overwrite)
    contents: Any = {name: _held(part) for name, part in (*parts.items(), ("records", records))}
    whole = (contents["facts"] or {}).get("network_steps")
    measured = contents["records"] or contents["diagnosis"]
    summary_text = sentence(measured, whole) if summary is None else summary
    sections = [found for make in SECTIONS if (found := make(contents)) is not None]
    page = html(
        el("html", _head(title), _body(title, answer(measured), summary_text, sections), lang="en")
    )
    return write_file(target, page.encode("utf-8"), PAGE, overwrite=overwrite)


def _held(part: Any) -> Any:
    """A part that can be gone through several times."""
    return tuple(part) if isinstance(part, Iterable) and not isinstance(part, Mapping) else part


def _head(title: str) -> Markup:
    sheets = STYLE, Path(__file__).with_name("page.css")
    style = "".join(sheet.read_text(encoding="utf-8") for sheet in sheets)
    return el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="generator", content=f"{GENERATOR} {version('spikewright')}"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("title", title),
        el("link", rel="icon", href="data:,"),
        el("style", style),
    )


def _body(title: str, short: str, summary: str, sections: list[Markup]) -> Markup:
    headings = [heading for section in sections for heading in section.iterfind("h2")]
    links = [el("li", el("a", "".join(h.itertext()), href=f"#{h.get('id')}")) for h in headings]
    return el(
        "body",
        el("a", "Skip to the results", href="#results", class_="skip"),
        el(
            "header",
            el("h1", title),
            el("p", short, class_="summary") if short else None,
            el("p", summary, class_="note" if short else "summary"),
        ),
        el("nav", el("ul", links), aria_label="Sections"),
        el("main", sections, id="results", tabindex="-1"),
        el("footer", f"Written by Spikewright {version('spikewright')}."),
    )


_SAID = {
    "accuracy": "{network} answers {value} of {n} samples right",
    "relative error": "{network} is {value} off its targets, over {n} samples",
    "agreement": "{network} gives the same answer as its source for {value} of {n} samples",
    "relative difference": "{network} is {value} off its source, over {n} samples",
}
_SCORED = "{network} has a mean {name} of {value}, over {n} samples"


def sentence(records: Iterable[Record], network_steps: int | None = None) -> str:
    """The spiking network's score after its last step, beside its source's, and its cost.

    `network_steps` are those of the network, where layers start one after the other.
    """
    parts = ("layer", "threshold", "change")  # of what is no run of the whole network
    found = [r for r in records if not any(part in r.how for part in parts)]
    steps = max((int(r.how["steps"]) for r in found if "steps" in r.how), default=None)
    if steps is None:
        return "Nothing was measured."
    last = [r for r in found if r.how.get("steps") == steps]
    dt = next((float(r.how["dt"]) for r in last if "dt" in r.how), None)
    each = "" if dt is None else f"{dt * 1000:g} ms"
    run = f"After {steps_text(steps, network_steps or steps, each)}"
    worth, cost = _worth(last, found), _cost(last)
    if worth:
        return f"{run} {worth}{f', for {cost}' if cost else ''}."
    if cost:
        samples = counted(select(last, "spikes per sample")[0].n, "sample")
        return f"{run} the network has sent {cost}, over {samples}."
    return "The answers were not scored."


_ANSWERS = {
    "accuracy": "{value} of samples are right",
    "agreement": "{value} of answers are the source's",
    "relative error": "Answers are {value} off their targets",
    "relative difference": "Answers are {value} off the source's",
}


def answer(records: Iterable[Record]) -> str:
    """The result in at most 25 words: score, loss against the source, steps and spikes.

    "" where the answers were not scored.
    """
    parts = ("layer", "threshold", "change")
    found = [r for r in records if "steps" in r.how and not any(part in r.how for part in parts)]
    last = [r for r in found if r.how["steps"] == max(int(r.how["steps"]) for r in found)]
    for worth in worths(last)[:1]:
        judged = select(last, worth.name)
        (record, *_) = [*(r for r in judged if r.how.get("readout") == "mean"), *judged]
        template = _ANSWERS.get(worth.name, "Answers have a mean {name} of {value}")
        texts = [template.format(name=worth.name, value=value_format(worth)(record.value))]
        same = {k: record.how[k] for k in ("readout", "output") if k in record.how}
        for drop in select(last, f"{worth.name} drop", **same)[:1]:
            lost = format_difference(drop.value, None, loss_unit(worth.fraction))
            texts.append(f"{lost} against the source")
        texts.append(f"after {counted(int(record.how['steps']), 'step')}")
        for spikes in select(last, "spikes per sample")[:1]:
            texts.append(f"for {number(spikes.value)} spikes a sample")
        return f"{', '.join(texts)}."
    return ""


def _cost(last: list[Record]) -> str:
    """The spikes of a sample; "" where nothing spikes."""
    sentences = {
        "spikes per sample": "{} spikes a sample",
        "spikes per active neuron": " ({} for each active neuron of the source)",
        "bits per graded spike": ", graded ones of {} bits",
    }
    found = {name: select(last, name) for name in sentences}
    if not found["spikes per sample"]:
        return ""
    return "".join(sentences[name].format(number(rs[0].value)) for name, rs in found.items() if rs)


def _worth(last: list[Record], found: list[Record]) -> str:
    """The score of the answers, in the words of the first measure at hand."""
    for worth in worths(last)[:1]:
        judged = select(last, worth.name)  # of the mean readout, or else of the first
        measured = [*(r for r in judged if r.how.get("readout") == "mean"), *judged][0]
        spiking = bool(select(last, "spikes per sample"))
        text = _SAID.get(worth.name, _SCORED).format(
            network="the spiking network" if spiking else "the network",
            name=worth.name,
            value=value_format(worth)(measured.value),
            n=f"{measured.n:,}",
        )
        return f"{text}{_interval(measured, worth)}{_against(worth, measured, last, found)}"
    return ""


def _interval(record: Record, worth: Worth) -> str:
    texts, text_of = [], value_format(worth)
    if "output" in record.how:
        texts.append(f"output {record.how['output']}")
    if "readout" in record.how:
        texts.append(f"{record.how['readout']} readout")
    if record.interval is not None:
        low, high = map(text_of, record.interval)
        texts.append(f"{interval_kind(record)} {low} to {high}")
    return f" ({'; '.join(texts)})" if texts else ""


def _against(worth: Worth, record: Record, last: list[Record], found: list[Record]) -> str:
    """The score of the source, and the loss against it."""
    source = select(found, f"source {worth.name}", output=record.how.get("output"))
    if not source:
        return ""
    text = f", its source {value_format(worth)(source[0].value)}"
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
    return (
        f" ({value_format(worth)(found[0].value)} if no spike came early or late)" if found else ""
    )
