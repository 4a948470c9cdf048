"""The torch engine on a processor or a GPU, beside as many forward passes of the source there.

    python -m benchmarks.torch_engine --device cuda [--only W1 VGG16] [--rate 10] [--rounds 5]

W1 to W3 (`benchmarks.workloads`) at a firing rate in percent, and VGG16 at 224 x 224 with one spike
a step at most (`benchmarks.large`), in float32. Both run in turn, inputs and results in the
machine's own memory; given are medians. On a processor they have one thread and its processor time
counts, elsewhere the time that passes. The device is named; one that is not there is refused.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from benchmarks import edges, large
from benchmarks.network import as_torch
from benchmarks.peer.engines import converted
from benchmarks.results import markdown_table
from benchmarks.timing import MIN_ROUNDS, Timed, interleave, machine, with_threads
from benchmarks.workloads import SPECS, workload
from spikewright.errors import BuildError

NAMES = (*SPECS, "VGG16")
LARGE_STEPS = 16


def named(kind: str) -> str:
    """The name of the device that the torch engine takes.

    Raises `BuildError` where it is of another kind.
    """
    import torch

    from spikewright.engines.torch import TorchEngine

    device = TorchEngine(kind).device
    taken = TorchEngine().device
    if taken.type != device.type:
        raise BuildError(
            f"the torch engine takes {taken.type} here, not {kind}; set CUDA_VISIBLE_DEVICES= to "
            "hide GPUs from it"
        )
    return torch.cuda.get_device_name(device) if kind == "cuda" else machine()["processor"]


def case(name: str, rate: float) -> tuple[sw.Conversion, Any, NDArray, dict[str, Any]]:
    """A spiking network, its source, the input `(batch, *shape)`, and how long it is run."""
    if name in SPECS:
        work = workload(name, rate / 100)
        return converted(work), as_torch(work), work.x, {"steps": work.steps, "dt": 1.0}
    model, x = large.source("vgg16")
    return large.converted("once", model, x), model, x.numpy(), {"steps": LARGE_STEPS}


def clocked(run: Callable[[], object], kind: str) -> Timed:
    """Seconds of a run whose results are in the machine's own memory when it ends."""
    now = time.process_time if kind == "cpu" else time.perf_counter

    def seconds() -> float:
        begun = now()
        run()
        return now() - begun

    return seconds


def measured(name: str, rate: float, kind: str, rounds: int) -> list[str]:
    """A row: seconds of both and their ratio."""
    import torch

    torch.set_num_threads(1)
    conversion, source, x, length = case(name, rate)
    source = source.to(kind)

    def spiking() -> object:
        return conversion.run(x, engine="torch", progress=False, **length).output

    def passes() -> object:
        with torch.inference_mode():
            given = torch.from_numpy(x).to(kind)
            for _ in range(length["steps"]):
                output = source(given)
            return output.cpu()

    shown = np.asarray(spiking()).shape, np.asarray(passes()).shape  # warm
    assert shown[0][0] == shown[1][0] == len(x), shown
    runs = {"engine": clocked(spiking, kind), "source": clocked(passes, kind)}
    found = interleave(runs, rounds)
    ours, theirs = found["engine"].median, found["source"].median
    how = f"{rate:g} %" if name in SPECS else "one spike at most"
    return [f"{name}, {how}", f"{ours:.3f}", f"{theirs:.3f}", f"{ours / theirs:.2f}"]


def main() -> None:
    """Run from the command line."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    p.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    p.add_argument("--rate", type=float, default=10.0, help="spikes of a neuron in a hundred steps")
    p.add_argument("--rounds", type=int, default=5, help=f"at least {MIN_ROUNDS}")
    edges.add_arguments(p)
    how = p.parse_args()
    try:
        device = named(how.device)
    except BuildError as error:
        p.error(str(error))
    with_threads(1)
    rows = [measured(name, how.rate, how.device, how.rounds) for name in how.only]
    what = (
        f"The torch engine on {how.device}, {device} "
        f"(`python -m benchmarks.torch_engine --device {how.device}`):"
    )
    table = markdown_table(["network", "s", "s of forward passes", "ratio"], rows)
    edges.write_section(f"The torch engine on {how.device}", [what, table], how, "torchvision")


if __name__ == "__main__":
    main()
