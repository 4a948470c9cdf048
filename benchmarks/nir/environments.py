"""Makes an environment for every reader of NIR, so that `benchmarks/nir_readers.py` can ask it.

    python -m benchmarks.nir.environments FOLDER [READER...]

Each is a virtual environment `FOLDER/READER` with what `READERS` says it needs, and nothing of
this project: readers want versions of nir that exclude each other. One that cannot be installed is
named at the end, and the others are made all the same.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.nir.semantics import READERS

LONGEST = 1800  # seconds for one of them


def make(folder: Path, requirements: tuple[str, ...]) -> str:
    """Make an environment; returns why it could not be made, or nothing."""
    venv.create(folder, with_pip=True, clear=True)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    command = [str(python), "-m", "pip", "install", "--quiet", *requirements]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired:
        return f"not done in {LONGEST} s"
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""


def main() -> None:
    """Make those that are named, or all; exits with 1 where one could not be made."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("readers", nargs="*", choices=[*READERS, []], default=[])
    given = parser.parse_args()
    failed = False
    for name in given.readers or READERS:
        reason = make(given.folder / name, READERS[name].requirements)
        print(f"{name}: {reason or 'installed'}", flush=True)
        failed |= bool(reason)
    sys.exit(failed)


if __name__ == "__main__":
    main()
