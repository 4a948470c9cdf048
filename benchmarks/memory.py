"""Peak memory of a whole process that runs W3, for a short and for a long run.

    python -m benchmarks.memory [--steps 32 3200] [--engines native] [--document]

Each run is a process of its own, at 10 %, one thread: it reads the network, converts it, runs it
once, and reports the most memory that it ever held. Only outputs are recorded, so the steps should
make no difference beyond those outputs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import document
from benchmarks.network import load
from benchmarks.results import Results, markdown_table
from benchmarks.timing import thread_environment, versions
from benchmarks.workloads import stored

RATE = 0.10
ROOT = Path(__file__).parents[1]


def peak_mib() -> float:
    """The most memory that this process ever held, in MiB."""
    try:  # what getrusage says may be that of the process which started this one
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        (found,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(found.split()[1]) / 1024
    except OSError:
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (2**20 if sys.platform == "darwin" else 2**10)


def run_here(path: Path, engine: str, batch: int | None, steps: int) -> None:
    """What the child process does: one run, then its peak on standard output."""
    from benchmarks.peer.engines import converted, run

    work = load(path).cut(batch, steps)
    done = run(converted(work), work, engine=engine)
    spikes = sum(float(count.sum()) for count in done.spike_counts().values())
    print(f"{peak_mib():.1f} {spikes:.0f}")


def peak_of(path: Path, engine: str, batch: int | None, steps: int, timeout: float) -> float | None:
    """Peak of a process that runs so many steps, in MiB; None where it took too long."""
    command = [sys.executable, "-m", "benchmarks.memory", "--child", str(path)]
    command += ["--engines", engine, "--steps", str(steps)]
    command += ["--batch", str(batch)] if batch else []
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=thread_environment(1),
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        raise SystemExit(f"{engine}, {steps} steps: {done.stderr.strip().splitlines()[-1:]}")
    peak, spikes = done.stdout.split()
    if float(spikes) == 0:
        raise SystemExit(f"{engine}, {steps} steps: not one spike, so nothing was measured")
    return float(peak)


def measure(how: argparse.Namespace) -> list[dict[str, Any]]:
    """One row per engine that finished all its runs in time."""
    path = stored("W3", RATE, how.cache)
    rows = []
    for engine in how.engines:
        peaks: list[float] = []
        for steps in how.steps:
            peak = peak_of(path, engine, how.batch, steps, how.timeout)
            if peak is None:
                print(f"{engine}, {steps} steps: not done in {how.timeout:g} s", flush=True)
                break
            print(f"{engine}, {steps} steps: {peak:.0f} MiB", flush=True)
            peaks.append(peak)
        if len(peaks) == len(how.steps):
            growth = peaks[-1] / peaks[0] - 1.0
            rows.append({"engine": engine, "mib": peaks, "growth": growth})
    return rows


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--steps", nargs="+", type=int, default=[32, 3200])
    p.add_argument("--engines", nargs="+", default=["native"])
    p.add_argument("--batch", type=int, help="another batch size (not written to the document)")
    p.add_argument("--timeout", type=float, default=1500.0, help="seconds for one run")
    document.add_arguments(p)
    p.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    return p


def main() -> None:
    """Run from the command line."""
    how = parser().parse_args()
    if how.child:
        run_here(how.child, how.engines[0], how.batch, how.steps[0])
        return
    rows = measure(how)
    head = ["engine", *(f"{n} steps, MiB" for n in how.steps), "growth"]
    table = [
        [row["engine"], *(f"{mib:.0f}" for mib in row["mib"]), f"{row['growth']:+.1%}"]
        for row in rows
    ]
    print(f"\n{markdown_table(head, table)}")
    if not how.batch and rows:
        results = Results.here(how.cache)
        used = versions(("spikewright", "numpy", "torch"))
        results.put("memory", "W3", {"rows": rows, "steps": how.steps, "versions": used})
        if how.document is not None:
            document.write(results, how.document)


if __name__ == "__main__":
    main()
