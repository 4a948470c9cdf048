"""The whole page: one file, which needs no other and asks no network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Unpack

from spikewright._base.files import begins_with, check_target, file_kind, write_file
from spikewright._base.markup import STYLE, Markup, el, html
from spikewright._base.options import declared
from spikewright.records import Record
from spikewright.report.page import origins, results
from spikewright.report.page.parts import PartOptions
from spikewright.report.page.summary import sentence

GENERATOR = "Spikewright report"
PAGE = file_kind(
    "a report", begins_with(rb'.*<meta name="generator" content="' + GENERATOR.encode())
)
"""The kind of file that a report is."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
_SECTIONS = (
    results.training, results.sweep, results.accuracy, results.trade_off, results.rates,
    results.raster, origins.diagnosis, origins.energy, origins.trace, origins.reproduction,
)  # fmt: skip


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
    or an evaluation. `summary` replaces the sentence that is made from records.

    An older page is replaced, any other file only with `overwrite` (`ExistingFileError`).
    Raises `MissingFileError` where the folder does not exist.
    """
    target = check_target(path, PAGE, overwrite=overwrite)
    contents: Any = {name: _held(part) for name, part in (*parts.items(), ("records", records))}
    said = sentence(contents["records"] or contents["diagnosis"]) if summary is None else summary
    sections = [found for make in _SECTIONS if (found := make(contents)) is not None]
    page = html(el("html", _head(title), _body(title, said, sections), lang="en"))
    return write_file(target, page.encode("utf-8"), PAGE, overwrite=overwrite)


def _held(part: Any) -> Any:
    """A part that can be gone through several times."""
    return tuple(part) if isinstance(part, Iterable) and not isinstance(part, Mapping) else part


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
    headings = [heading for section in sections for heading in section.iterfind("h2")]
    links = [el("li", el("a", "".join(h.itertext()), href=f"#{h.get('id')}")) for h in headings]
    return el(
        "body",
        el("a", "Skip to the results", href="#results", class_="skip"),
        el("header", el("h1", title), el("p", summary, class_="summary")),
        el("nav", el("ul", links), aria_label="Sections"),
        el("main", sections, id="results", tabindex="-1"),
        el("footer", f"Written by Spikewright {version('spikewright')}."),
    )
