"""The whole page: one file, which needs no other and asks no network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from spikewright._base.markup import STYLE, Markup, el, html
from spikewright._base.writing import begins_with, check_target, file_kind, write_file
from spikewright.records import Record
from spikewright.report.figures import RasterInfo
from spikewright.report.page.contents import Contents, Traced
from spikewright.report.page.sections import SECTIONS
from spikewright.report.page.summary import sentence

GENERATOR = "Spikewright report"
PAGE = file_kind(
    "a report", begins_with(rb'.*<meta name="generator" content="' + GENERATOR.encode())
)
"""The kind of file that a report is."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"


def write_html(
    path: str | Path,
    records: Iterable[Record] = (),
    *,
    title: str = "Spikewright report",
    summary: str | None = None,
    trace: Iterable[Traced] = (),
    diagnosis: Iterable[Record] = (),
    search: Iterable[Record] = (),
    sweep: Iterable[Record] = (),
    training: Iterable[Record] = (),
    rates: Mapping[str, ArrayLike] | None = None,
    raster: RasterInfo | None = None,
    reproduce: Iterable[str] = (),
    facts: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a page about a spiking network, atomically; returns its path.

    Everything but the path may be left out, and its section with it. `records` are those of a run
    or an evaluation, `diagnosis` those of `Conversion.diagnose`, `search` those of settings that
    were tried, each of which names its own in `how["setting"]`; the one that was chosen has
    `how["chosen"]`. `sweep` are those of a sweep (`Sweep.records`), at firing-rate scales that are
    in their `how`; `training` those of a training (`Training.records`). `trace` is a conversion's;
    `rates` are firing rates in Hz by neuron, `{layer: (*shape)}`; `raster` is a sample. `summary`
    replaces the sentence that is made from records; `reproduce` are commands or lines of Python,
    `facts` settings by name.

    An older page is replaced, any other file only with `overwrite` (`ExistingFileError`).
    Raises `MissingFileError` where the folder does not exist.
    """
    target = check_target(path, PAGE, overwrite=overwrite)
    contents = Contents(
        tuple(records),
        tuple(trace),
        tuple(diagnosis),
        tuple(search),
        dict(rates or {}),
        raster,
        tuple(reproduce),
        dict(facts or {}),
        tuple(sweep),
        tuple(training),
    )
    said = sentence(contents.records or contents.diagnosis) if summary is None else summary
    page = document(title, said, [make(contents) for make in SECTIONS])
    return write_file(target, page.encode("utf-8"), PAGE, overwrite=overwrite)


def document(title: str, summary: str, sections: Iterable[Markup | None]) -> str:
    """The text of a page."""
    kept = [section for section in sections if section is not None]
    return html(el("html", _head(title), _body(title, summary, kept), lang="en"))


def _head(title: str) -> Markup:
    sheets = STYLE, Path(__file__).with_name("style.css")
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


def _body(title: str, summary: str, sections: list[Markup]) -> Markup:
    links = [
        el("li", el("a", "".join(heading.itertext()), href=f"#{heading.get('id')}"))
        for section in sections
        if (heading := section.find("h2")) is not None
    ]
    return el(
        "body",
        el("a", "Skip to the results", href="#results", class_="skip"),
        el("header", el("h1", title), el("p", summary, class_="summary")),
        el("nav", el("ul", links), aria_label="Sections"),
        el("main", sections, id="results", tabindex="-1"),
        el("footer", f"Written by Spikewright {version('spikewright')}."),
    )
