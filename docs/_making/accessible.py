"""Accessible markup that Sphinx and its theme leave out: labels, levels, and keyboard focus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# rules of axe: aria-required-attr, landmark-unique, region, scrollable-region-focusable
MENDED = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="Pages">',
    '<aside class="toc-drawer': '<aside aria-label="On this page" class="toc-drawer',
    '<label class="overlay': '<label aria-hidden="true" class="overlay',
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
}


def mend(app: Any, error: Exception | None) -> None:
    """Called by Sphinx when all pages are written."""
    if error is not None or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        before = after = path.read_text(encoding="utf-8")
        for markup, mended in MENDED.items():
            after = after.replace(markup, mended)
        if after != before:
            path.write_text(after, encoding="utf-8")
