"""Shares of the native kernels' time by what they do, from samples of the processor's clock.

    python -m benchmarks.time_shares [W1 W2 W3 vgg16 resnet50 mobilenet_v2] [--seconds 5]

Needs Linux's `perf`, and kernels that kept their symbols:

    pip install . -C cmake.build-type=RelWithDebInfo

Each case is a process of its own that repeats one run, one thread; samples before its second run
are left out. A function of the kernels belongs to the part whose name for it comes first.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from benchmarks import edges
from benchmarks.memory import ROOT
from benchmarks.results import markdown_table
from benchmarks.timing import thread_environment
from benchmarks.workloads import CACHE, RATES, stored

PARTS = {
    "products of values": r"run_analog|sheet|sum_limbs|sum_values|Splitters",
    "products of tiles": r"multiply|find_inputs|is_dense|TiledWeights",
    "sums of events": r"run_layer|add_rows|add_masked|accumulate|sum_|gather|run_signed|depthwise",
    "lists of events": r"::list|::tell\b|unpack",
    "firing": r"fire|follow|Currents|finish_pixel|write_pixel",
    "pools, readout, moves": r"read_?out|pool|run_\w+",
    "packing weights": r"pack|Column|interleave|places_of|index_of|Array",
}
"""Parts by patterns for the names of their functions."""
ELSE = "others"
CASES = ("W1", "W2", "W3", "vgg16", "resnet50", "mobilenet_v2")


def part_of(function: str) -> str:
    """The part that a function belongs to."""
    return next((part for part, names in PARTS.items() if re.search(names, function)), ELSE)


def runs_of(case: str, rate: float) -> Callable[[], object]:
    """The run that a case repeats."""
    if case in ("vgg16", "resnet50"):
        from benchmarks import large

        model, x = large.source(case)
        conversion = large.converted("once", model, x)
        return lambda: conversion.run(x.numpy(), 16, threads=1, progress=False)
    if case == "mobilenet_v2":
        from benchmarks import mobile

        conversion, _, x = mobile.converted(case)
        return lambda: conversion.run(x, 16, dt=1.0, threads=1, progress=False)
    from benchmarks.network import load
    from benchmarks.peer.engines import converted, run

    work = load(stored(case, rate, CACHE))
    made = converted(work)
    return lambda: run(made, work, engine="native")


def repeat(case: str, rate: float, seconds: float) -> None:
    """The child process: it prints when its second run begins, on the clock of `perf`."""
    run = runs_of(case, rate)
    run()
    begun = time.monotonic()
    print(begun, flush=True)
    while time.monotonic() - begun < seconds:
        run()


def shares(case: str, rate: float, seconds: float) -> Counter[str]:
    """Samples by part, of the kernels alone."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "perf.data"
        child = [sys.executable, "-m", "benchmarks.time_shares", "--child", case, str(rate)]
        command = ["perf", "record", "-k", "mono", "-F", "999", "-o", str(record), "--", *child]
        done = subprocess.run(
            [*command, "--seconds", str(seconds)], cwd=ROOT, env=thread_environment(1), check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        begun = next(line for line in done.stdout.splitlines() if re.fullmatch(r"[\d.]+", line))
        later = ["--time", f"{float(begun):.6f},"]
        report = subprocess.run(
            ["perf", "script", "-i", str(record), *later, "-F", "ip,sym,dso"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
    found: Counter[str] = Counter()
    for line in report.splitlines():
        if "_kernels" in line and "[unknown]" not in line:
            found[part_of(line.rpartition("(")[0])] += 1
    if not found:
        raise SystemExit(f"{case}: no sample in the kernels; do they have symbols?")
    return found


def rows(cases: list[str], seconds: float) -> Iterator[list[str]]:
    """A row for each case and share of spikes."""
    for case in cases:
        for rate in RATES if case.startswith("W") else (0.0,):
            found = shares(case, rate, seconds)
            name = f"{case}, {100 * rate:.0f} %" if rate else case
            whole = found.total()
            yield [name, *(f"{100 * found[part] / whole:.0f} %" for part in (*PARTS, ELSE))]


def main() -> None:
    """Run from the command line."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}")
    p.add_argument("--seconds", type=float, default=5.0)
    p.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    edges.add_arguments(p)
    how = p.parse_args()
    if how.child:
        repeat(how.child[0], float(how.child[1]), how.seconds)
        return
    what = "Shares of the native kernels' time, one thread (`python -m benchmarks.time_shares`)."
    table = markdown_table(["", *PARTS, ELSE], list(rows(how.cases or list(CASES), how.seconds)))
    edges.tell("Where time goes", chain([what], [table]), how)


if __name__ == "__main__":
    main()
