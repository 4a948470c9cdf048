"""One reader in a process of its own, within bounds; and this project's own run of a file."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.nir.semantics import Reader
from benchmarks.nir.wiring import NirWiring
from spikewright.network import Ensemble, Probe
from spikewright.simulator import Simulator

_RUNNER = Path(__file__).with_name("runner.py")
_START = "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
_BATCH = 32
_LONGEST = 300  # characters of what a process said last


@dataclass(frozen=True, eq=False)
class ReaderJob:
    """A file, its neurons, samples `(batch, steps, *shape)` or `(batch, *shape)`, and the run.

    Every step's spikes of the first `kept` samples come back; of the others only counts. A reader
    may take so many `seconds`, and bytes of `memory` of its own.
    """

    path: Path
    neurons: tuple[str, ...]
    x: NDArray
    steps: int
    timed: bool
    dt: float
    kept: int
    seconds: float = 300.0
    memory: int = 8 << 30


@dataclass(frozen=True, eq=False)
class ReaderOutput:
    """A reader's answer to a job, or the reason why there is none; `stage` is where it stopped.

    `counts` are `(batch, *shape)`, `spikes` `(kept, steps, *shape)`, `output` means over steps.
    """

    stage: str
    reason: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    counts: Mapping[str, NDArray] = field(default_factory=dict)
    spikes: Mapping[str, NDArray] = field(default_factory=dict)
    output: NDArray | None = None


def ask(reader: Reader, python: Path, job: ReaderJob) -> ReaderOutput:
    """Let a reader's Python do a job; whatever becomes of it is an answer."""
    with tempfile.TemporaryDirectory(prefix="spikewright-nir-") as name:
        folder = Path(name)
        _write(folder, reader, job)
        command = [str(python), "-c", _START, str(_RUNNER), str(folder)]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=job.seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return ReaderOutput("run", f"not done in {job.seconds:g} s")
        except OSError as error:
            return ReaderOutput("import", f"{python}: {error.strerror}")
        return _read(folder, done)


def _write(folder: Path, reader: Reader, job: ReaderJob) -> None:
    np.save(folder / "x.npy", np.asarray(job.x, np.float32))
    document = {
        "reader": reader.name,
        "packages": [reader.package, "nir", "nirtorch"],
        "path": str(job.path.resolve()),
        "neurons": job.neurons,
        "steps": job.steps,
        "timed": job.timed,
        "dt": job.dt,
        "kept": job.kept,
        "batch": _BATCH,
        "memory": job.memory,
    }
    (folder / "job.json").write_text(json.dumps(document), encoding="utf-8")


def _environment() -> dict[str, str]:
    """The environment without this Python's own paths, and with one thread for every library."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return {**kept, "OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu", "PYTHONDONTWRITEBYTECODE": "1"}


def _read(folder: Path, done: subprocess.CompletedProcess[bytes]) -> ReaderOutput:
    """The answer in a folder, or the reason why there is none."""
    if not (folder / "result.json").exists():
        return ReaderOutput(
            "run", f"its process ended with exit code {done.returncode}{_last(done)}"
        )
    try:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        stage, reason = str(result["stage"]), str(result.get("error", ""))
        versions, notes = dict(result.get("versions", {})), tuple(map(str, result.get("notes", ())))
        if stage != "done" or not (folder / "result.npz").exists():
            return ReaderOutput(stage, reason, versions, notes)
        with np.load(folder / "result.npz", allow_pickle=False) as arrays:
            parts = {key: arrays[key] for key in arrays.files}
    except Exception as error:  # whatever a process that was cut off has left behind
        return ReaderOutput("run", f"its answer cannot be read ({error})")
    return ReaderOutput(
        stage=stage,
        reason=reason,
        versions=versions,
        notes=notes,
        counts=_of("counts/", parts),
        spikes=_of("spikes/", parts),
        output=parts["output"],
    )


def _last(done: subprocess.CompletedProcess[bytes]) -> str:
    """The last line that a process printed, behind a colon."""
    last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    return f": {last[:_LONGEST]}" if last else ""


def _of(prefix: str, parts: Mapping[str, Any]) -> dict[str, NDArray]:
    return {k.removeprefix(prefix): v for k, v in parts.items() if k.startswith(prefix)}


_BATCH_HERE = 64


def run_here(network: Any, wiring: NirWiring, job: ReaderJob) -> ReaderOutput:
    """Counts of every layer and mean outputs of a file's network, as `load` reads it."""
    (given,), (taken,) = network.inputs.values(), network.outputs.values()
    with network:
        output = Probe(taken)
        layers = {
            name: Probe(_layer(network.layers, name, wiring.nodes[name]).neurons, "spike_count")
            for name in wiring.spiking
        }
    parts: dict[str, list[NDArray]] = {name: [] for name in layers}
    outputs = []
    for first in range(0, len(job.x), _BATCH_HERE):
        x = np.asarray(job.x[first : first + _BATCH_HERE], np.float64)
        simulator = Simulator(
            network, job.dt, batch_size=len(x), precision="float64", progress=False
        )
        simulator.run_steps(job.steps, {given: x})
        outputs.append(simulator.data[output].mean(1))
        for name, probe in layers.items():
            parts[name].append(simulator.data[probe].sum(1))
    counts = {name: np.concatenate(found) for name, found in parts.items()}
    return ReaderOutput("done", counts=counts, output=np.concatenate(outputs))


def _layer(layers: dict[str, Ensemble], name: str, node: Any) -> Ensemble:
    """The neurons of a node, which have the name of the layer that its metadata name."""
    return layers[name] if name in layers else layers[node.metadata["layer"]]
