"""A stand-in for a reader's Python: it does a job as a reader with given semantics would.

    python fake_reader.py HOW ... FOLDER

`HOW` is JSON: semantics by name, or what goes wrong.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np


def main(how: dict, folder: Path) -> None:
    """Do the job of a folder."""
    if how.get("fails") == "hangs":
        time.sleep(60)
    if how.get("fails") == "crashes":
        os._exit(3)
    if how.get("fails") == "garbage":
        (folder / "result.json").write_text("{")
        return
    if how.get("fails") == "refuses":
        said = {"stage": "read", "error": "ValueError: no IF", "versions": {"fake": "1.2"}}
        (folder / "result.json").write_text(json.dumps(said))
        return
    work(how, folder)


def work(how: dict, folder: Path) -> None:
    """Simulate the file under the semantics."""
    import nir
    from benchmarks.nir.semantics import ReaderSemantics
    from benchmarks.nir.simulate import simulate
    from benchmarks.nir.wiring import wiring_of

    job = json.loads((folder / "job.json").read_text())
    x = np.load(folder / "x.npy")
    x = x if job["timed"] else np.repeat(x[:, None], job["steps"], axis=1)
    trace = simulate(wiring_of(nir.read(job["path"])), ReaderSemantics(**how), x, dt=job["dt"])
    arrays = {"output": trace.output.mean(1)}
    for name, spikes in trace.spikes.items():
        arrays |= {f"counts/{name}": spikes.sum(1), f"spikes/{name}": spikes[: job["kept"]]}
    np.savez(folder / "result.npz", **arrays)
    said = {"stage": "done", "versions": {"fake": "1.2"}, "notes": ["of a test"]}
    (folder / "result.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), Path(sys.argv[-1]))
