"""Measure whole families of published networks, and write the document of them.

    python -m benchmarks.families [--only 'timm/*' '*.onnx' ...] [--document docs/families.md]
    python -m benchmarks.families --unchanged [--only 'transformers/*' ...]
    python -m benchmarks.families --digits [--only 'torchvision/*' ...] [--document ...]

Each network, and its export beside it, in a process of its own. Results are kept until `--again`,
so that a comparison which was interrupted goes on. With `--unchanged`, networks that were read are
compared with twins that never were. With `--digits`, those whose values signed digits can say are
compared with their rounded twins, and one section of the document is written.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from benchmarks import marked
from benchmarks.families import digits
from benchmarks.families.apart import apart
from benchmarks.families.measuring import CONVERTED, measured
from benchmarks.families.origins import ONNX, keys
from benchmarks.families.page import DIGITS, digits_part, page
from benchmarks.families.unchanged import UNCHANGED, compared
from benchmarks.results import Results
from benchmarks.timing import versions
from benchmarks.workloads import CACHE

SECTION, TWINS, SAID = "families", "unchanged", "families in digits"
WORK = {SECTION: measured, TWINS: compared, SAID: digits.measured}
USED = (
    "spikewright", "numpy", "torch", "torchvision", "timm", "transformers", "keras", "onnx",
    "onnxruntime", "onnxscript",
)  # fmt: skip
ENVIRONMENT = {"KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"}  # unless they say otherwise


def chosen(patterns: Sequence[str]) -> list[str]:
    """The keys that one of the patterns says."""
    return [key for key in keys() if any(fnmatch(key, pattern) for pattern in patterns)]


def is_done(row: Mapping[str, Any] | None, again: str) -> bool:
    """True for a row of an earlier run that need not be measured again."""
    good = row is not None and row["outcome"] in (CONVERTED, UNCHANGED)
    return row is not None and again != "all" and (good or not again)


def lines(key: str, row: Mapping[str, Any]) -> Iterator[str]:
    """The printed line of a network."""
    shown = ("error", "bound", "differences", *digits.DISTANCES, "seconds")
    values = [f"{name} {row[name]:.2g}" for name in shown if name in row]
    yield "  ".join([key, row["outcome"], *values])
    if "why" in row:
        yield f"    {row['why']}"


def summary(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The number of networks that were compared with their twins, and of their differences."""
    done = [row for row in rows.values() if "differences" in row]
    failed = len(rows) - len(done)
    differing, uses = (sum(row[name] for row in done) for name in ("differences", "uses"))
    more = f", {failed} failed" if failed else ""
    return f"{len(done)} networks, {uses} times read or refused: {differing} differences{more}"


def main() -> None:
    """Run from the command line."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--only", nargs="+", default=["*"], help="patterns such as 'timm/*' or '*.onnx'")
    p.add_argument("--again", choices=["all", "failed"], default="", help="measure these anew")
    p.add_argument("--document", type=Path, help="write what was measured here")
    other = p.add_mutually_exclusive_group()
    other.add_argument("--unchanged", action="store_true", help="compare with twins never read")
    other.add_argument("--digits", action="store_true", help="compare signed digits with rounding")
    p.add_argument("--cache", type=Path, default=CACHE)
    p.add_argument("--jobs", type=int, default=2, help="so many networks at a time")
    how = p.parse_args()
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    results, wanted = Results.here(how.cache), chosen(how.only)
    section = TWINS if how.unchanged else SAID if how.digits else SECTION
    if section != SECTION:
        wanted = [key for key in wanted if not key.endswith(ONNX)]
    if not wanted:
        p.error(f"no network is called {' or '.join(how.only)}")
    todo = [key for key in wanted if not is_done(results.section(section).get(key), how.again)]
    with ThreadPoolExecutor(how.jobs) as pool:
        running = {pool.submit(apart, WORK[section], key): key for key in todo}
        for number, future in enumerate(as_completed(running), start=1):
            key, row = running[future], future.result()
            results.put(section, key, row)
            print(f"[{number}/{len(todo)}] " + "\n".join(lines(key, row)), flush=True)
    if how.unchanged:
        print(summary({key: results.section(TWINS)[key] for key in wanted}))
    if how.digits:
        part = digits_part(_in_order(results.section(SAID)), versions(USED))
        marked.write_section(DIGITS, part, how.document)
    elif how.document:
        write(_in_order(results.section(SECTION)), how.document)


def _in_order(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Rows in the order of the document."""
    return {key: rows[key] for key in keys() if key in rows}


def write(rows: Mapping[str, Any], document: Path) -> None:
    """Write the whole document, but leave what it says of signed digits."""
    digits_part = marked.found(DIGITS, document) if document.exists() else ""
    document.write_text(page(rows, versions(USED), digits_part), encoding="utf-8")


if __name__ == "__main__":
    main()
