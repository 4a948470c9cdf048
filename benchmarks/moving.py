"""Inputs that change every step, against as many forward passes of the source network.

    python -m benchmarks.moving [--rows events dvs] [--isa avx2] [--stream] [--document]

    pip install snntorch spikingjelly norse

A network 784-512-512-10 (batch 64, 100 steps) that reads random pixels as bytes or as float32,
other floats, or events; and a DVS-like one of convolutions that reads 2x32x32 events (batch 16, 100
steps). Neurons spike 10 times in a hundred steps on these inputs. Every contestant computes a small
batch first, which is compared as in `benchmarks.peers`, and Spikewright's spikes and outputs must
be those of the reference engine. Then all are timed in turn, on one thread. PyTorch and peers get
their frames as float32, made before the clock starts.

Batch 1: `Stream.step`, frame by frame, beside a forward pass of each frame in PyTorch, with one
thread and with two; wall time, so that other work of the machine is in it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import edges
from benchmarks.document import short
from benchmarks.network import Workload, as_torch, load
from benchmarks.peer.client import Client, started
from benchmarks.peer.engines import converted, run
from benchmarks.peers import SHARE_CHECKED, compared, installed
from benchmarks.results import markdown_table
from benchmarks.timing import MIN_ROUNDS, machine, with_threads
from benchmarks.workloads import SEED, ConvSpec, DenseSpec, Draw, Flatten, Spec, stored
from spikewright.engines.native.engine import ISA_VARIABLE, instruction_sets

RATE = 0.1
PEERS = ("SpikingJelly", "Norse", "snnTorch")
THREADS = (1, 2)
WARMING = 10  # frames of a round of batch 1 that are not counted


def pixels(spec: Spec) -> NDArray:
    """Bytes `(batch, steps, *shape)`, all of them drawn anew at every step."""
    size = (spec.batch, spec.steps, *spec.shape)
    return np.random.default_rng(SEED).integers(0, 256, size, np.uint8)


def parts_of_255(spec: Spec) -> NDArray:
    """The same pixels from 0 to 1, float32."""
    return pixels(spec) / np.float32(255)


def floats(spec: Spec) -> NDArray:
    """Values from 0 to 1 that are multiples of nothing larger than 2^-24."""
    size = (spec.batch, spec.steps, *spec.shape)
    return np.random.default_rng(SEED).random(size, np.float32)


def events(share: float, kind: type = bool) -> Draw:
    """Ones at this share of all places and steps, zeros elsewhere."""

    def draw(spec: Spec) -> NDArray:
        size = (spec.batch, spec.steps, *spec.shape)
        found: NDArray = np.random.default_rng(SEED).random(size, np.float32) < share
        return found.astype(kind)

    return draw


@dataclass(frozen=True)
class Row:
    """A network and the frames that it reads."""

    says: str
    spec: Spec
    draw: Draw


def _dense(name: str) -> Spec:
    return Spec(name, 64, 100, (784,), (DenseSpec(512), DenseSpec(512), DenseSpec(10)))


_CONVOLUTIONS = tuple(
    ConvSpec(channels, stride, 1)
    for channels, stride in ((16, 1), (32, 2), (64, 2), (64, 2), (128, 1))
)
DVS = Spec("dvs", 16, 100, (2, 32, 32), (*_CONVOLUTIONS, Flatten(), DenseSpec(10)))
ROWS = {
    "bytes": Row("pixels, uint8 with `Frames(scale=1 / 255)`", _dense("bytes"), pixels),
    "parts": Row("pixels, float32 equal to k/255", _dense("parts"), parts_of_255),
    "floats": Row("any floats from 0 to 1", _dense("floats"), floats),
    "events": Row("events at 10 %, bool", _dense("events"), events(0.1)),
    "ones": Row("events at 10 %, float32", _dense("ones"), events(0.1, np.float32)),
    "dvs": Row("DVS-like, events at 3 %, bool", DVS, events(0.03)),
}
STREAMED = ("parts", "events", "dvs")


def check_exact(work: Workload) -> None:
    """Raise `SystemExit` unless the native engine's results are the reference engine's."""
    some = work.cut(max(1, work.batch // SHARE_CHECKED))
    conversion = converted(some)
    right, found = (run(conversion, some, engine=engine) for engine in ("reference", "native"))
    for name, counts in right.spike_counts().items():
        if not np.array_equal(counts, found.spike_counts()[name]):
            raise SystemExit(f"{work.name}: spikes of {name} are not those of the reference engine")
    if not np.array_equal(right.output, found.output):
        apart = np.abs(np.subtract(right.output, found.output)).max()
        raise SystemExit(f"{work.name}: outputs differ from the reference engine's by {apart:g}")


def wanted(client: Client, how: argparse.Namespace) -> None:
    """Leave out contestants that do not fit: a first layer computed once, other engines."""
    client.contestants = [
        one
        for one in client.contestants
        if (one.role != "own" or one.name.startswith("Spikewright native"))
        and (how.compiled or not one.compiled)
        and not one.name.endswith("first layer once")
    ]


def cells(row: Row, clients: Sequence[Client], how: argparse.Namespace) -> list[str]:
    """A line of the table: milliseconds of the source, then ratios to it."""
    path = stored(row.spec, RATE, how.cache, row.draw)
    check_exact(load(path))
    found = compared(clients, path, row.spec, how)
    for name, why in found["failed"].items():
        print(f"  {name}: {why}")
    same = [one for one in found["rows"] if one["same_model"]]

    def fastest(fits: Callable[[dict[str, Any]], bool]) -> str:
        ratios = [one["ratio"] for one in same if fits(one)]
        return short(min(ratios)) if ratios else "-"

    source = min(one["timing"]["median"] for one in same if one["role"] == "yardstick")
    return [
        row.says,
        f"{1e3 * source:.0f}",
        *(
            fastest(lambda one, s=spikes: one["role"] == "own" and one["spikes"] == s)  # type: ignore[misc]
            for spikes in ("many", "one")
        ),
        *(fastest(lambda one, p=peer: one["name"].startswith(p)) for peer in PEERS),  # type: ignore[misc]
    ]


def ratios(how: argparse.Namespace) -> str:
    """The table of whole runs, and what is missing in it."""
    libraries, _, absent = installed({})
    libraries = [one for one in libraries if one.label in ("PyTorch", "Spikewright", *PEERS)]
    broken: dict[str, str] = {}
    with started(libraries, broken=broken) as clients:
        for client in clients:
            wanted(client, how)
        lines = [cells(ROWS[name], clients, how) for name in how.rows]
    head = ["x forward passes", "PyTorch, ms", "Spikewright", "one spike a step", *PEERS]
    missing = {**absent, **broken}
    below = [f"Missing: {name}: {missing[name]}." for name in PEERS if name in missing]
    return "\n\n".join([markdown_table(head, lines), *below])


def latencies(step: Callable[[Any], object], frames: Sequence[Any]) -> list[float]:
    """Milliseconds of wall time of each frame but the first ones."""
    took = []
    for frame in frames:
        begun = time.perf_counter()
        step(frame)
        took.append(1e3 * (time.perf_counter() - begun))
    return took[WARMING:]


def forward_passes(work: Workload) -> dict[str, tuple[Callable[[Any], object], Sequence[Any]]]:
    """The source network and its frames, one by one, in either memory format."""
    from benchmarks.peer.torch_modules import LAYOUTS, formatted

    found = {}
    for layout in LAYOUTS if work.convolutional else LAYOUTS[:1]:
        net, x = formatted(as_torch(work), work, layout)
        found[layout] = net, list(x)
    return found


def streamed(path: Path, threads: int, rounds: int) -> list[str]:
    """Milliseconds a frame of a stream and of PyTorch: medians and 99th percentiles."""
    import torch

    torch.set_num_threads(threads)
    work = load(path).cut(1)
    if work.frames is None:
        raise ValueError(f"{work.name} holds its input: there is nothing to stream")
    stream = converted(work).stream(dt=1.0, threads=threads, engine="native")
    ways: dict[str, tuple[Callable[[Any], object], Sequence[Any]]] = {
        "own": (stream.step, list(work.frames[0])),
        **forward_passes(work),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    with torch.inference_mode():
        for _ in range(rounds):
            stream.reset()
            for name, (step, frames) in ways.items():
                took[name] += latencies(step, frames)
    own = took.pop("own")
    source = min(took.values(), key=np.median)
    return [
        f"{kind(of):.3f}"
        for of in (own, source)
        for kind in (np.median, lambda v: np.quantile(v, 0.99))
    ]


def streams(how: argparse.Namespace) -> str:
    """The table of batch 1."""
    lines = []
    for name in (name for name in STREAMED if name in how.rows):
        row = ROWS[name]
        path = stored(row.spec, RATE, how.cache, row.draw)
        for threads in THREADS:
            lines.append(
                [
                    f"{row.says}, {threads} thread{'s' * (threads > 1)}",
                    *streamed(path, threads, how.rounds),
                ]
            )
    head = ["ms a frame", "step, median", "99 %", "PyTorch, median", "99 %"]
    return markdown_table(head, lines)


def section(how: argparse.Namespace) -> Iterator[str]:
    """All parts of the section, as they are measured."""
    processor = machine()["processor"]
    yield (
        "Frames that change every step (`python -m benchmarks.moving`): milliseconds of as many\n"
        "forward passes in PyTorch as steps, each on its own frame, and processor time as a\n"
        f"multiple of theirs. {processor}; kernels: {how.isa or instruction_sets()[-1]}. "
        f"Peers are {'eager or compiled' if how.compiled else 'eager'}, the faster of their ways."
    )
    if not how.stream:
        yield ratios(how)
    yield "Wall time of one frame, batch 1, while the machine did other work."
    yield streams(how)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--rows", nargs="+", choices=tuple(ROWS), default=list(ROWS))
    p.add_argument("--isa", choices=instruction_sets(), help="kernels (default: the best here)")
    p.add_argument("--compiled", action="store_true", help="peers through torch.compile, too")
    p.add_argument("--stream", action="store_true", help="batch 1 alone")
    p.add_argument("--rounds", type=int, default=MIN_ROUNDS, help=f"at least {MIN_ROUNDS}")
    p.add_argument("--budget", type=float, default=300.0, help="seconds of rounds a row")
    p.set_defaults(batch=None, steps=None)
    edges.add_arguments(p)
    return p


def main() -> None:
    """Run from the command line."""
    how = parser().parse_args()
    with_threads(1)
    if how.isa:
        os.environ[ISA_VARIABLE] = how.isa
    edges.write_section("Moving inputs", section(how), how, "spikingjelly", "norse", "snntorch")


if __name__ == "__main__":
    main()
