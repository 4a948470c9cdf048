"""Memory of a process that holds a large network, in multiples of its weights.

    python -m benchmarks.weight_copies [--steps 4]

VGG16 with random weights at 224 pixels, one sample. One process makes, reads, converts and runs it,
and saves the conversion; a second one loads and runs the file; a third one does what the first did,
with thresholds for each channel that a rule finds on a few images. For each stage: the most memory
that was resident during it and what was after it, less that after imports, over the bytes of the
network's weights in float32. The model of PyTorch is one of these.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import spikewright as sw
from benchmarks.timing import thread_environment

ROOT = Path(__file__).parents[1]
WEIGHTS = 138_357_544 * 4  # bytes
SHAPE = (1, 3, 224, 224)
RATE = 100.0
IMAGES = 4  # for calibration


def field(name: str) -> int:
    """A number of this process's, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (found,) = (line for line in lines if line.startswith(name))
    return int(found.split()[1]) * 1024


class Stages:
    """The stages of this process since its imports; prints a line for each."""

    def __init__(self) -> None:
        self._begun, self._most = field("VmRSS"), 0.0

    def do(self, name: str, made: Callable[[], Any]) -> Any:
        """Do a stage, print its line, and return its result."""
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forgets the peak
        found = made()
        peak, after = ((field(of) - self._begun) / WEIGHTS for of in ("VmHWM", "VmRSS"))
        self._most = max(self._most, peak)
        print(f"{name:<12} {peak:6.2f} at most {after:6.2f} after", flush=True)
        return found

    def end(self) -> None:
        """Print the most of all stages."""
        print(f"{'all':<12} {self._most:6.2f} at most", flush=True)


def print_spikes(run: sw.results.Run) -> None:
    """Print the spikes, which no form of the weights changes."""
    print(f"{sum(int(p.totals.sum()) for p in run.populations.values())} spikes", flush=True)


def samples(number: int) -> Any:
    """Some pictures."""
    return np.random.default_rng(0).normal(size=(number, *SHAPE[1:])).astype(np.float32)


def from_model(path: Path, steps: int) -> None:
    """Make, convert, run and save."""
    stages, conversion = _made(steps, scale_firing_rates=RATE)
    stages.do("save", lambda: conversion.save(path))


def calibrated(path: Path, steps: int) -> None:
    """Make, convert with a rule and run."""
    rule = sw.MinimumError(steps=steps, spikes_per_step=1)
    _made(steps, scale_firing_rates=rule, calibration=samples(IMAGES))


def _made(steps: int, **choices: Any) -> tuple[Stages, sw.Conversion]:
    """The stages of a network that is made, converted and run, and its conversion."""
    import torch
    import torchvision

    stages = Stages()
    torch.manual_seed(0)
    model = stages.do("model", lambda: torchvision.models.vgg16(weights=None).eval())
    conversion = stages.do(
        "convert",
        lambda: sw.convert(model, example_input=torch.zeros(SHAPE), spiking=True, **choices),
    )
    run = stages.do("run", lambda: conversion.run(samples(1), steps, progress=False))
    stages.end()
    print_spikes(run)
    return stages, conversion


def from_file(path: Path, steps: int) -> None:
    """Load and run."""
    stages = Stages()
    conversion = stages.do("load", lambda: sw.load(path))
    run = stages.do("run", lambda: conversion.run(samples(1), steps, progress=False))
    stages.end()
    print_spikes(run)


KINDS = {"model": from_model, "file": from_file, "model with a rule": calibrated}


def main() -> None:
    """Run from the command line."""
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("--steps", type=int, default=4)
    p.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    how = p.parse_args()
    if how.child:
        KINDS[how.child[0]](Path(how.child[1]), how.steps)
        return
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            print(f"from a {kind}", flush=True)
            command = [sys.executable, "-m", "benchmarks.weight_copies", "--steps", str(how.steps)]
            command += ["--child", kind, str(Path(folder) / "vgg16.npz")]
            subprocess.run(command, cwd=ROOT, env=thread_environment(1), check=True)


if __name__ == "__main__":
    main()
