"""Studies that several processes share, and that one of them is killed in."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from spikewright import demo

pytestmark = pytest.mark.slow
TRIALS = 30


STOPPING = """
import time
from spikewright.study.search.search import Search
measured = Search._try
def stopped(self, trial):
    if trial.number == 10:
        time.sleep(600)
    return measured(self, trial)
Search._try = stopped
"""
"""A worker that stops within its eleventh trial, to be killed there."""
TOGETHER = """
import os, time
from pathlib import Path
import spikewright.study.search.tune
folder = Path({folder!r})
(folder / f"{{os.getpid()}}.started").touch()
while len(list(folder.glob("*.started"))) < 2:
    time.sleep(0.01)
"""
"""A worker that begins once another one does: a busy machine starts one much later."""


def command(folder: Path, first: str = "") -> list[str]:
    """`spikewright tune` on 400 digits, with its study in the folder; `first` is run before."""
    data = folder / "digits.npz"
    if not data.exists():
        digits = load_digits()
        np.savez(data, x=digits.images[:400, None].astype(np.float32), y=digits.target[:400])
    return [
        sys.executable, "-c", f"{first}\nfrom spikewright.cli import main; main()",
        "tune", str(demo.MODEL), "--data", str(data), "--max-drop", "0.02",
        "--study", str(folder / "study.db"), "--trials", str(TRIALS), "--timeout", "600", "--json",
    ]  # fmt: skip


def finished(folder: Path, states: str = "'COMPLETE', 'PRUNED'") -> dict[int, str]:
    """Keys of the trials that are finished, by number, as the database has them."""
    path = folder / "study.db"
    if not path.exists():
        return {}
    query = (
        "select trials.number, trial_user_attributes.value_json from trials "
        "join trial_user_attributes using (trial_id) "
        f"where trials.state in ({states}) and trial_user_attributes.key = 'key'"
    )
    try:
        with sqlite3.connect(path) as connection:
            return dict(connection.execute(query).fetchall())
    except sqlite3.OperationalError:
        return {}  # it is being made


def states(folder: Path) -> dict[str, int]:
    """How many trials there are by state."""
    with sqlite3.connect(folder / "study.db") as connection:
        query = "select state, count(*) from trials group by state"
        return dict(connection.execute(query).fetchall())


def test_a_killed_search_goes_on_and_loses_nothing(tmp_path: Path) -> None:
    """SIGKILL in the middle, the same command again: same study, every trial still there."""
    first = subprocess.Popen(command(tmp_path, STOPPING), stdout=subprocess.DEVNULL)
    until = time.monotonic() + 300
    while len(finished(tmp_path)) < 8 and time.monotonic() < until:
        time.sleep(0.1)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    before = finished(tmp_path)
    assert 8 <= len(before) < TRIALS

    done = subprocess.run(command(tmp_path), capture_output=True, text=True, check=True)

    after = finished(tmp_path)
    assert before.items() <= after.items()
    assert len(after) == len(set(after.values())) == TRIALS
    assert states(tmp_path).get("RUNNING", 0) == 0
    assert (
        sum(json.loads(done.stdout)["trials"].get(s, 0) for s in ("COMPLETE", "PRUNED")) >= TRIALS
    )


def test_workers_share_a_study(tmp_path: Path) -> None:
    """Started twice, both try settings of one study, and none is measured twice."""
    together = TOGETHER.format(folder=str(tmp_path))
    workers = [
        subprocess.Popen(command(tmp_path, together), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for worker in workers:
        output, _ = worker.communicate(timeout=600)
        assert worker.returncode == 0
        assert json.loads(output)["best"]["spikes"] > 0

    with sqlite3.connect(tmp_path / "study.db") as connection:
        query = "select distinct value_json from trial_user_attributes where key = 'worker'"
        assert len(connection.execute(query).fetchall()) == 2
    assert TRIALS <= len(finished(tmp_path)) <= TRIALS + 2
    measured = finished(tmp_path, "'COMPLETE'")
    assert len(set(measured.values())) == len(measured) >= TRIALS / 3
