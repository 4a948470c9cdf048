"""Software of vendors in environments of their own, in the folder `SPIKEWRIGHT_EMULATORS`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

FOLDER = os.environ.get("SPIKEWRIGHT_EMULATORS", "")


def made_by(name: str, script: Path, folder: Path, **arrays: Any) -> dict[str, NDArray]:
    """The arrays that a script makes of others with the Python of the environment `name`."""
    python = Path(FOLDER) / name / "bin/python"
    if not FOLDER or not python.exists():
        pytest.skip(f"no environment of {name} in the folder SPIKEWRIGHT_EMULATORS")
    np.savez(path := folder / "network.npz", **arrays)
    command = [str(python), str(script), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return dict(np.load(path))
