"""Weights of few bits: whole runs over those of float32, on each instruction set.

    python -m benchmarks.few_bits [--isas vnni avx512 avx2] [--rows W3 VGG16] [--document]

W3 of `benchmarks.workloads` with 10 and 50 spikes in a hundred steps, VGG16 of `benchmarks.large`
(16 steps), and ResNet-20 of `benchmarks.few_steps` (four steps of one spike, batch 64). Weights of
8 bits are those of `sw.Quantised(bits=8)`, others those of a source in that format. Second and
later runs are timed in turn, on one thread: processor time. Last is W3 on two threads, over as many
forward passes of the source, in wall time, so that other work of the machine is in it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch

import spikewright as sw
from benchmarks import few_steps, large
from benchmarks.marked import add_document, write_section
from benchmarks.mobile import medians, passes
from benchmarks.network import Weighted, Workload, as_torch
from benchmarks.peer import engines
from benchmarks.results import markdown_table
from benchmarks.timing import MIN_ROUNDS, machine, with_threads
from benchmarks.workloads import workload
from spikewright.engines.native.engine import ISA_VARIABLE, instruction_sets

Runs = list[Callable[[], object]]
"""Runs of float32, then of fewer bits."""


def rounded(work: Workload, kind: torch.dtype) -> Workload:
    """The same network with weights of this kind."""
    layers = (
        replace(layer, weight=torch.from_numpy(layer.weight).to(kind).float().numpy())
        if isinstance(layer, Weighted)
        else layer
        for layer in work.layers
    )
    return replace(work, layers=tuple(layers))


def w3(rate: float, kind: torch.dtype = torch.int8) -> Runs:
    """W3 with weights of 8 bits, or of another kind."""
    work = workload("W3", rate)
    if kind == torch.int8:
        other = engines.converted(work, weights=sw.Quantised(bits=8, dt=1.0))
    else:
        other = engines.converted(rounded(work, kind))
    return [
        partial(engines.run, conversion, work, engine="native")
        for conversion in (engines.converted(work), other)
    ]


def vgg16() -> Runs:
    """One image at 224 x 224."""
    model, x = large.source("vgg16")
    return [
        partial(large.converted("once", model, x, weights=weights).run, x.numpy(), 16, **NATIVE)
        for weights in (None, sw.Quantised(bits=8))
    ]


def resnet20() -> Runs:
    """A batch of 64."""
    seen = few_steps.SEEN
    x = few_steps.images(None, seen + 64)
    model = few_steps.network(x[:seen])
    return [
        partial(
            few_steps.converted(model, x[:seen], weights=weights).run,
            x[seen:],
            few_steps.STEPS,
            **NATIVE,
        )
        for weights in (None, sw.Quantised(bits=8))
    ]


NATIVE: dict[str, Any] = {"engine": "native", "threads": 1, "progress": False}
ROWS: dict[str, tuple[str, Callable[[], Runs]]] = {
    "busy": ("W3 at 50 %, 8 bits", partial(w3, 0.5)),
    "few": ("W3 at 10 %, 8 bits", partial(w3, 0.1)),
    "VGG16": ("VGG16, 16 steps, 8 bits", vgg16),
    "ResNet-20": ("ResNet-20, four steps of one spike, 8 bits", resnet20),
    "float16": ("W3 at 50 %, float16", partial(w3, 0.5, torch.float16)),
    "bfloat16": ("W3 at 50 %, bfloat16", partial(w3, 0.5, torch.bfloat16)),
}


def cells(name: str, isas: list[str], rounds: int) -> list[str]:
    """A line of the table: of each instruction set the ratio, and milliseconds of float32."""
    title, made = ROWS[name]
    line = [title]
    for isa in isas:
        os.environ[ISA_VARIABLE] = isa  # read where an engine is made: on the first run
        whole, few = medians(made(), rounds)
        line.append(f"{few / whole:.2f} of {1e3 * whole:.0f}")
        print("; ".join(line), flush=True)
    return line


def on_two_threads(rounds: int) -> str:
    """W3 at 50 % over its source's forward passes."""
    torch.set_num_threads(2)
    work = workload("W3", 0.5)
    conversion = engines.converted(work)
    net, x = as_torch(work), torch.from_numpy(work.x)
    runs: Runs = [
        partial(engines.run, conversion, work, engine="native", threads=2),
        *passes(net, x, work.steps),
    ]
    ours, *theirs = medians(runs, rounds, now=time.perf_counter)
    return (
        f"W3 at 50 %, weights of float32, two threads: {ours / min(theirs):.2f} of "
        f"{work.steps} forward passes with two ({1e3 * min(theirs):.0f} ms of wall time)."
    )


def section(how: argparse.Namespace) -> Iterator[str]:
    """The parts of the section."""
    yield (
        f"`python -m benchmarks.few_bits` ({machine()['processor']}): processor time of a whole "
        "run over that\nof weights of float32, which takes so many milliseconds; one thread."
    )
    yield markdown_table(["weights", *how.isas], [cells(n, how.isas, how.rounds) for n in how.rows])
    os.environ[ISA_VARIABLE] = how.isas[0]
    yield on_two_threads(how.rounds)


def main() -> None:
    """Run from the command line."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    sets = [isa for isa in ("vnni", "avx512", "avx2") if isa in instruction_sets()]
    p.add_argument("--isas", nargs="+", choices=instruction_sets(), default=sets)
    p.add_argument("--rows", nargs="+", choices=tuple(ROWS), default=list(ROWS))
    p.add_argument("--rounds", type=int, default=MIN_ROUNDS, help=f"at least {MIN_ROUNDS}")
    add_document(p, "benchmarks.md")
    how = p.parse_args()
    with_threads(1)
    write_section("bits", "\n\n".join(section(how)), how.document)


if __name__ == "__main__":
    main()
