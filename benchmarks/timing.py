"""Fair timing on a machine that others use too, and a description of that machine.

All work has one thread, and what counts is its processor time, which others change little.
Contestants run in turn, once a round, and the order moves on by one every round, so that a slow
minute or a neighbour's leftovers in the cache strike all alike; given are medians.
"""

from __future__ import annotations

import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

MIN_ROUNDS = 5
SHORTEST = 0.05  # seconds: shorter work is repeated within a sample

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "SPIKEWRIGHT_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
"""What libraries read, many of them once, when they are imported."""

FLAGS = (
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "sve",
)
"""Instruction sets that make a difference here, by their names in Linux."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one run: the median, the extremes, and how many samples are behind it."""

    median: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Timing:
        """A summary of samples."""
        return cls(statistics.median(seconds), min(seconds), max(seconds), len(seconds))

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


Timed = Callable[[], float]
"""Runs once; returns seconds of processor time of the process that did the work."""


def repeats_for(seconds: float) -> int:
    """How often work of this length is repeated within one sample."""
    return max(1, math.ceil(SHORTEST / max(seconds, 1e-6)))


def interleave(
    contestants: Mapping[str, Timed],
    rounds: int,
    *,
    budget: float = float("inf"),
) -> dict[str, Timing]:
    """Time all contestants, already warm, in turn; after `budget` seconds no round is begun.

    At least `MIN_ROUNDS` rounds are done whatever the budget.
    """
    if rounds < MIN_ROUNDS:
        raise ValueError(f"a median needs at least {MIN_ROUNDS} rounds, got {rounds}")
    names = list(contestants)
    samples: dict[str, list[float]] = {name: [] for name in names}
    start = time.monotonic()
    for index in range(rounds):
        if index >= MIN_ROUNDS and time.monotonic() - start > budget:
            break
        first = index % max(1, len(names))
        for name in names[first:] + names[:first]:
            samples[name].append(contestants[name]())
    return {name: Timing.of(values) for name, values in samples.items()}


def thread_environment(threads: int) -> dict[str, str]:
    """This environment with every library told to use `threads` threads."""
    environment = dict(os.environ)
    environment.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    return environment


def with_threads(threads: int) -> None:
    """Go on only in a process whose libraries were told to use `threads` threads.

    Where this one was not, the command is run anew in one that is, and this one ends with it.
    """
    if all(os.environ.get(name) == str(threads) for name in THREAD_VARIABLES):
        return
    command = [sys.executable, *sys.orig_argv[1:]]
    raise SystemExit(subprocess.call(command, env=thread_environment(threads)))


def machine() -> dict[str, str]:
    """What matters of this machine; no serial numbers, no host name, no paths."""
    described = {
        "processor": _processor(),
        "instruction sets": ", ".join(f for f in FLAGS if f in _flags()) or "not known",
        "cores": f"{psutil.cpu_count(logical=True)} ({psutil.cpu_count(logical=False)} physical)",
        "caches": _caches(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()}, {platform.machine()}",
    }
    return {name: value for name, value in described.items() if value}


def _cpuinfo() -> dict[str, str]:
    """The first processor's lines in Linux's words; empty on other systems."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _processor() -> str:
    info = _cpuinfo()
    name = info.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in info and "model" in info:
        name += f" (family {info['cpu family']}, model {info['model']})"
    return name


def _flags() -> set[str]:
    info = _cpuinfo()
    return set((info.get("flags") or info.get("Features") or "").split())


def _caches() -> str:
    """Data and unified caches of the first core, e.g. "L1 32K, L2 1024K, L3 32768K"."""
    found = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = (
                (folder / name).read_text(encoding="utf-8").strip()
                for name in ("level", "type", "size")
            )
        except OSError:
            continue
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return ", ".join(found)


def versions(distributions: Sequence[str]) -> dict[str, str]:
    """Versions of Python and of those distributions that are installed."""
    found = {"Python": platform.python_version()}
    for name in distributions:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        if name == "spikewright" and (commit := _commit(name)):
            found[name] += f" at {commit}"
    return found


def _commit(package: str) -> str:
    """The commit that a package is at, with a + where files differ; empty outside a repository."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return ""
    command = ["git", "-C", str(Path(spec.origin).parent)]
    try:
        head = subprocess.run(
            [*command, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        )
        changed = subprocess.run([*command, "diff", "--quiet", "HEAD", "--", "."])
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.stdout.strip() + "+" * (changed.returncode != 0)
