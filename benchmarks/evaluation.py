"""Evaluation of a data set: its time, and that a cluster which loses a worker gives the same.

    python -m benchmarks.evaluation MODEL --data path/to/mnist.npz [--images 10000] [--steps 30]

MODEL is any file that `spikewright convert` takes; the data file holds x_test and y_test (or x and
y), samples of the model's input, up to axes of length one. First everything is evaluated in this
process, then on a Dask cluster of two processes on this machine, one of which is killed (SIGKILL)
as soon as half of the shards are done. Records must be equal to the last digit.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from spikewright.records import select


def main() -> None:
    """Measure and print; exits with an error where records differ or no worker was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--scale", type=float, default=10.0)
    given = parser.parse_args()
    conversion = sw.convert(given.model, spiking=True, scale_firing_rates=given.scale)
    x, y = images(given.data, given.images, conversion)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        here = conversion.evaluate(x, y, given.steps, checkpoint=folder)
        print(f"{here!r} in this process: {time.perf_counter() - start:.1f} s", flush=True)
        shards = len(list(Path(folder).glob("shard-*")))
    print_records(here)
    start = time.perf_counter()
    there, done = with_a_worker_killed(conversion, x, y, shards // 2, steps=given.steps)
    seconds = time.perf_counter() - start
    print(f"on two Dask workers, one killed after {done} of {shards} shards: {seconds:.1f} s")
    if there.records != here.records:
        raise SystemExit("records differ")
    print(f"all {len(here.records)} records are equal to the last digit")


def images(path: Path, count: int, conversion: sw.Conversion) -> tuple[NDArray, NDArray]:
    """The first images and labels of a file, in the shape of the model's input."""
    with np.load(path) as data:
        test = "x_test" if "x_test" in data else "x"
        x, y = data[test][:count], data[test.replace("x", "y", 1)][:count]
    (node,) = conversion.inputs.values()
    return x.reshape(len(x), *node.shape_out), y


def print_records(found: sw.Evaluation) -> None:
    """The main records of the last step, with their intervals."""
    steps = found.settings["steps"]
    records = select(found.records, "source accuracy")
    for name in ("accuracy", "accuracy drop", "agreement"):
        records += select(found.records, name, readout="mean", steps=steps)
    for record in records:
        low, high = record.interval or (record.value, record.value)
        print(f"  {record.name:16s} {record.value:8.2%}  ({low:.2%} to {high:.2%})")
    (spikes,) = select(found.records, "spikes per sample", steps=steps, layer=None)
    print(f"  spikes per image {spikes.value:,.0f}", flush=True)


def with_a_worker_killed(
    conversion: sw.Conversion, x: Any, y: Any, after: int, **settings: Any
) -> tuple[sw.Evaluation, int]:
    """The evaluation on two processes, one of which dies, and after how many shards it did.

    It is killed as soon as `after` shards are done. Raises `RuntimeError` where it was not.
    """
    import distributed

    with (
        tempfile.TemporaryDirectory() as folder,
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        killer = _Killer(min(client.run(os.getpid).values()), Path(folder), after)
        killer.start()
        found = conversion.evaluate(x, y, **settings, executor=client, checkpoint=folder)
        killer.stop()
        if killer.done is None:
            raise RuntimeError("everything was done before a worker could be killed")
        return found, killer.done


class _Killer(threading.Thread):
    """Kills a process once a folder holds some shards."""

    def __init__(self, process: int, folder: Path, after: int) -> None:
        super().__init__(daemon=True)
        self._process, self._folder, self._after = process, folder, after
        self._stopped = threading.Event()
        self.done: int | None = None

    def run(self) -> None:
        while not self._stopped.wait(0.01):
            done = len(list(self._folder.glob("shard-*")))
            if done >= self._after:
                os.kill(self._process, signal.SIGKILL)
                self.done = done
                return

    def stop(self) -> None:
        """Kill nothing any more."""
        self._stopped.set()
        self.join()


if __name__ == "__main__":
    main()
