"""Results of benchmarks at the edges of the field: printed, and kept for `docs/benchmarks.md`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from benchmarks import document
from benchmarks.results import Results
from benchmarks.timing import versions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that keep results."""
    document.add_arguments(parser)


def write_section(title: str, parts: Iterable[str], how: argparse.Namespace, *used: str) -> None:
    """Print parts of Markdown as they are made, and keep all of them under a title.

    `used` are distributions whose versions matter, beside Spikewright and PyTorch.
    """
    found = []
    for part in parts:
        print(part + "\n", flush=True)
        found.append(part)
    if how.document is not None:
        results = Results.here(how.cache)
        entry = {"text": "\n\n".join(found), "versions": versions(("spikewright", "torch", *used))}
        results.put("edges", title, entry)
        document.write(results, how.document)
