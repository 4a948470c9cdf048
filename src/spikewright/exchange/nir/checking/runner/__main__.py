"""A job in, what one reader makes of it out.

    python -m runner FOLDER

`FOLDER` holds `job.json` and `x.npy`; `result.json` and `result.npz` are written into it. Whatever
goes wrong in the reader is a sentence in `result.json`, with the stage in which it did.
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from .models import MODELS

LONGEST = 400  # characters of an error


def main(folder: Path) -> None:
    """Do the job of a folder."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    _limit_memory(job["memory"])
    warnings.simplefilter("ignore")  # of libraries; they are many and not ours
    result: dict[str, Any] = {"stage": "import"}
    try:
        model = MODELS[job["reader"]]()
        result.update(stage="read", versions=_versions(job["packages"]))
        model.read(job["path"], job["dt"], tuple(job["neurons"]))
        result["stage"] = "run"
        if model.run is not None:  # a linter runs nothing
            arrays: dict[str, Any] = _run(model, np.load(folder / "x.npy"), job)
            np.savez(folder / "result.npz", **arrays)
        result.update(stage="done", notes=list(model.notes))
    except BaseException as error:  # a reader may raise anything, SystemExit too
        result["error"] = _sentence(error)
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def _run(model: Any, x: np.ndarray, job: dict[str, Any]) -> dict[str, np.ndarray]:
    """Counts of every layer, mean outputs, and every step's spikes of the first samples."""
    steps, kept = job["steps"], job["kept"]
    parts: dict[str, list[np.ndarray]] = {}
    for first in range(0, len(x), job["batch"]):
        part = x[first : first + job["batch"]]
        if not job["timed"]:
            part = np.repeat(part[:, None], steps, axis=1)
        output, spikes = model.run(part)
        parts.setdefault("output", []).append(output.mean(1, dtype=np.float64))
        for name, sent in spikes.items():
            parts.setdefault(f"counts/{name}", []).append(sent.sum(1, dtype=np.float64))
            if first < kept:
                parts.setdefault(f"spikes/{name}", []).append(sent[: kept - first])
    return {name: np.concatenate(found) for name, found in parts.items()}


def _versions(packages: list[str]) -> dict[str, str]:
    """Versions of the packages, by their metadata or by what their modules say."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except Exception:  # installed without metadata of that name
            module = sys.modules.get(package.replace("-", "_"))
            found[package] = str(getattr(module, "__version__", ""))
    return found


def _sentence(error: BaseException) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"[:LONGEST]


def _limit_memory(most: int) -> None:
    """Bound the memory that the process may have of its own, where the system can."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
