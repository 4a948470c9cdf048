"""Damaged and hostile files, each used in a process of its own with limits of time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

SECONDS = 25
"""Processor time that using one file may take."""

BYTES = 6 << 30
"""Addresses that using one file may take."""

_WORKER = """
import json, os, resource, sys, traceback
{setup}
for line in sys.stdin:
    path = json.loads(line)
    end, start = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds}))
        resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            {use}
            told = "used", ""
        except Exception as error:
            own = type(error).__module__ == "spikewright.errors"
            told = type(error).__name__, str(error) if own else traceback.format_exc()
            told = (told[0] if own else "raw " + told[0], told[1])
        os.write(start, json.dumps(told).encode()[:60000])
        os._exit(0)
    os.close(start)
    with os.fdopen(end, "rb") as told:
        found = told.read().decode()
    ended = os.waitpid(child, 0)[1]
    print(found or json.dumps(["killed", f"ended with {{ended}}"]), flush=True)
"""


class Verdict(NamedTuple):
    """What became of a file: "used", the kind of an error of ours, "raw ..." or "killed"."""

    kind: str
    message: str

    @property
    def good(self) -> bool:
        """Whether it was used, or refused by an error of ours, within the limits."""
        return not self.kind.startswith(("raw", "killed"))


def verdicts(
    setup: str, use: str, paths: Sequence[Path], seconds: int = SECONDS, memory: int = BYTES
) -> list[Verdict]:
    """Run `use`, a statement about `path`, for every file; `setup` imports what it needs."""
    if sys.platform == "win32":
        pytest.skip("a file is used in a process that is forked and bounded by rlimits")
    code = _WORKER.format(setup=setup, use=use, seconds=seconds, memory=memory)
    done = subprocess.run(
        [sys.executable, "-c", code],
        input="".join(f"{json.dumps(str(path))}\n" for path in paths),
        capture_output=True,
        text=True,
        timeout=60 + 2 * seconds * len(paths),
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [Verdict(*json.loads(line)) for line in done.stdout.splitlines() if line[:1] == "["]
