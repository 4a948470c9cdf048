"""Spikewright's engines and every installed peer, against forward passes of the source network.

    python -m benchmarks.peers [--workloads W1 W2] [--rates 2 10 50] [--document]

    pip install snntorch spikingjelly norse sinabs

The yardstick L1 is as many forward passes of the source network in PyTorch (float32,
`torch.inference_mode`, the faster memory format) as there are steps. For each workload and rate:
every contestant first computes a small batch, and its spikes and outputs are compared with the
reference engine in float64; those that agree are then timed in turn, on one thread. What peers do
does not depend on the rate, so that they run at one alone. Printed are medians and ratios to L1.
Contestants that compute another model are named, not ranked; libraries that are not installed are
listed. `--python norse=PATH` runs one in another Python. Parts that were measured are kept, so that
a comparison can be done in pieces.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import document
from benchmarks.peer.base import Outcome, Spikes
from benchmarks.peer.client import LIBRARIES, Client, Described, WorkerError, missing, started
from benchmarks.results import Results
from benchmarks.timing import MIN_ROUNDS, interleave, repeats_for, versions
from benchmarks.workloads import RATES, SPECS, Spec, stored

SLACK = 3.0
"""Times what rounding moves the reference engine's own results by: what is left to contestants."""
SPIKES_FREE = 3.0
OUTPUTS_FREE = 0.005
"""What is left to them where nothing moved: some spikes that rounding shifts by a step."""
OURS = {"source", "engines"}
SHARE_CHECKED = 8  # one sample in so many is compared with the reference engine


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """What a contestant should compute, and how far off rounding may lead it.

    `counts_within` is a number of spikes for each layer, `outputs_within` a relative 2-norm. A
    spike that moves by a step moves others behind it: in a deep network differences in the last
    bit grow from layer to layer, so what is allowed is measured, on this very workload.
    """

    outcome: Outcome
    counts_within: NDArray
    outputs_within: float

    @classmethod
    def measured(cls, outcomes: Sequence[Outcome]) -> GroundTruth:
        """From the reference engine's outcome, then those of slightly different starts."""
        right, *moved = outcomes
        counts = np.max([_apart(o, right)[0] for o in moved], axis=0)
        outputs = max(_apart(o, right)[1] for o in moved)
        return cls(
            right,
            SPIKES_FREE + SLACK * np.maximum.accumulate(counts),
            OUTPUTS_FREE + SLACK * outputs,
        )


def _apart(a: Outcome, b: Outcome) -> tuple[NDArray, float]:
    """Differences of each layer's number of spikes, and of outputs relative to those of `b`."""
    counts = np.abs(np.array(a.counts) - np.array(b.counts))
    return counts, float(np.linalg.norm(a.outputs - b.outputs) / np.linalg.norm(b.outputs))


@dataclass(frozen=True)
class Agreement:
    """How a contestant's results compare with the reference engine's on a small batch.

    `spikes` is the reference's number of all layers, `off` the largest difference of a layer's
    number and `off_share` the largest one relative to the layer's own; `deviation` is that of
    summed outputs, relative (2-norm), and `within` what rounding may make of it.
    """

    spikes: float
    off: float
    off_share: float
    deviation: float
    within: float
    same_model: bool

    def __str__(self) -> str:
        verdict = "same model" if self.same_model else "OTHER MODEL"
        return (
            f"{verdict}: {self.spikes:.0f} spikes, a layer's number differs by at most "
            f"{self.off:.0f} ({self.off_share:.1e}), outputs by {self.deviation:.1e} "
            f"(rounding alone: up to {self.within:.1e})"
        )


def compare(found: Outcome, truth: GroundTruth) -> Agreement:
    """Compare a contestant's results with what they should be."""
    right = truth.outcome
    if len(found.counts) != len(right.counts) or found.outputs.shape != right.outputs.shape:
        raise WorkerError(
            f"{len(found.counts)} spiking layers and outputs {found.outputs.shape}, expected "
            f"{len(right.counts)} and {right.outputs.shape}"
        )
    counts, deviation = _apart(found, right)
    return Agreement(
        float(sum(right.counts)),
        float(counts.max()),
        float((counts / np.maximum(right.counts, 1.0)).max()),
        deviation,
        truth.outputs_within,
        bool(np.all(counts <= truth.counts_within)) and deviation <= truth.outputs_within,
    )


@dataclass(frozen=True)
class Settings:
    """Rounds and limits of a comparison; `budget` is in seconds for one workload and rate."""

    rounds: int
    budget: float
    batch: int
    steps: int


Checks = dict[str, Agreement | str]
"""By contestant: the comparison, or why there is none."""


def check(clients: Sequence[Client], path: Path, settings: Settings) -> Checks:
    """Let every contestant with neurons compute a few samples, and compare."""
    samples = max(1, settings.batch // SHARE_CHECKED)
    for client in clients:
        client.ask("open", path=str(path), batch=samples, steps=settings.steps)
    (own,) = (client for client in clients if client.library.module == "engines")
    neurons: tuple[Spikes, Spikes] = ("one", "many")
    truths = {spikes: GroundTruth.measured(own.truth(spikes)) for spikes in neurons}
    checks: Checks = {}
    for client, contestant in _all(clients):
        if contestant.spikes == "none":
            continue
        try:
            checks[contestant.name] = compare(
                client.outcome(contestant.name), truths[contestant.spikes]
            )
        except WorkerError as error:
            checks[contestant.name] = str(error)
        print(f"  {contestant.name}: {checks[contestant.name]}", flush=True)
    return checks


def measure(
    clients: Sequence[Client], path: Path, checks: Checks, settings: Settings
) -> list[dict[str, Any]]:
    """Time every contestant that ran its check, and both yardsticks; one row each."""
    for client in clients:
        client.ask("open", path=str(path), batch=settings.batch, steps=settings.steps)
    rows: dict[str, dict[str, Any]] = {}
    timers = {}
    for client, contestant in _all(clients):
        agreement = checks.get(contestant.name)
        if isinstance(agreement, str):
            continue
        try:
            ready = client.ask("prepare", name=contestant.name)
        except WorkerError as error:
            checks[contestant.name] = str(error)
            continue
        timers[contestant.name] = client.timer(contestant.name, repeats_for(ready["seconds"]))
        rows[contestant.name] = {
            **asdict(contestant),
            "layout": ready["layout"],
            "agreement": None if agreement is None else asdict(agreement),
            "same_model": agreement is None or agreement.same_model,
        }
    timings = interleave(timers, settings.rounds, budget=settings.budget)
    yardstick = min(timings[n].median for n, row in rows.items() if row["role"] == "yardstick")
    for name, row in rows.items():
        row["timing"] = timings[name].as_dict()
        row["ratio"] = timings[name].median / yardstick
    return list(rows.values())


def _all(clients: Sequence[Client]) -> list[tuple[Client, Described]]:
    return [(client, contestant) for client in clients for contestant in client.contestants]


def installed(pythons: Mapping[str, str]) -> tuple[list, dict[str, str], dict[str, str]]:
    """Libraries that are there, versions of what they bring, and why the others are not."""
    there, found, absent = [], versions(()), {}
    for library in LIBRARIES:
        lacking, brought = missing(library, pythons.get(library.module, sys.executable))
        if lacking:
            absent[library.label] = f"{' and '.join(lacking)} not installed"
            continue
        there.append(library)
        python = brought.pop("Python", None)
        found.update({n: f"{v} (Python {python})" if python else v for n, v in brought.items()})
    needed = OURS - {library.module for library in there}
    if needed:
        raise SystemExit(f"{absent}: the comparison needs both PyTorch and Spikewright")
    return there, found, absent


def run(arguments: argparse.Namespace, results: Results) -> None:
    """Check and time everything asked for; keep each part as soon as it is done."""
    pythons = dict(entry.split("=", 1) for entry in arguments.python)
    libraries, found, absent = installed(pythons)
    for label, reason in absent.items():
        print(f"{label}: {reason}")
    broken: dict[str, str] = {}
    with started(libraries, pythons, arguments.isas, broken) as clients:
        if OURS - {client.library.module for client in clients}:
            raise SystemExit(f"the comparison needs both PyTorch and Spikewright: {broken}")
        for name, percent in product(arguments.workloads, arguments.rates):
            begin = time.monotonic()
            print(f"\n{name} at {percent:g} %")
            some = [c for c in clients if percent == document.PEERS_AT or c.library.module in OURS]
            cell = {
                "workload": name,
                "rate": percent,
                "absent": {**absent, **broken},
                "versions": found,
                **compared(
                    some, stored(name, percent / 100, arguments.cache), SPECS[name], arguments
                ),
            }
            results.put("peers", f"{name} {percent:g}", cell)
            print(f"\n{document.cell_table(cell)}")
            print(f"\n({time.monotonic() - begin:.0f} s)", flush=True)


def compared(
    clients: Sequence[Client], path: Path, spec: Spec, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Rows of everything that ran, and why the rest did not, for the workload of a file."""
    settings = Settings(
        arguments.rounds,
        arguments.budget,
        arguments.batch or spec.batch,
        arguments.steps or spec.steps,
    )
    checks = check(clients, path, settings)
    rows = measure(clients, path, checks, settings)
    return {"rows": rows, "failed": {n: why for n, why in checks.items() if isinstance(why, str)}}


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--workloads", nargs="+", choices=tuple(SPECS), default=["W1", "W2"])
    p.add_argument("--rates", nargs="+", type=float, default=[100 * r for r in RATES])
    p.add_argument("--rounds", type=int, default=5, help=f"at least {MIN_ROUNDS}")
    p.add_argument("--budget", type=float, default=300.0, help="seconds of rounds per table")
    p.add_argument("--isas", nargs="*", default=["avx2"], help="instruction sets of native")
    p.add_argument("--python", nargs="*", default=[], metavar="MODULE=PATH")
    p.add_argument("--batch", type=int, help="another batch size (not written to the document)")
    p.add_argument("--steps", type=int, help="another number of steps (likewise)")
    document.add_arguments(p)
    return p


def main() -> None:
    """Run from the command line."""
    arguments = parser().parse_args()
    results = Results.here(arguments.cache)
    if arguments.batch or arguments.steps:  # a trial: kept apart, and no document
        results.path = results.path.with_name(f"trial-{results.path.name}")
        run(arguments, results)
        return
    run(arguments, results)
    if arguments.document is not None:
        document.write(results, arguments.document)


if __name__ == "__main__":
    main()
