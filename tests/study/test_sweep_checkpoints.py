"""A sweep that was stopped goes on; a folder that holds anything else is left alone."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import models
import spikewright as sw
from spikewright.errors import SimulationError
from spikewright.evaluation import sharded
from spikewright.evaluation.work import ShardEvaluator

GRAPH = models.mlp()
X = models.inputs(GRAPH, 14, seed=1)
Y = np.random.default_rng(2).integers(0, 3, 14)
SHARDS = 4  # of each setting


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four shards, the last of two samples."""
    monkeypatch.setattr(sharded, "_MOST", 4)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the shards that were computed; at `_STOP[0]` of them the work ends."""
    found: list[int] = []
    original = ShardEvaluator.__call__

    def spy(self: ShardEvaluator, shard: Any, *more: Any) -> Any:
        if len(found) == _STOP[0]:
            raise KeyboardInterrupt
        found.append(shard.index)
        return original(self, shard, *more)

    monkeypatch.setattr(ShardEvaluator, "__call__", spy)
    monkeypatch.setitem(_STOP, 0, -1)
    return found


_STOP = {0: -1}


def swept(folder: Path | None, **more: Any) -> sw.results.StudyResult:
    """Three settings."""
    given = {"scales": [100, 300, 500], "steps": [2, 5], "progress": False, **more}
    x, y = given.pop("x", X), given.pop("y", Y)
    return sw.sweep(GRAPH, x, y, checkpoint=folder, **given)


def test_what_is_finished_is_not_done_again(tmp_path: Path, done: list[int]) -> None:
    """A second call computes nothing, and gives the same."""
    expected = swept(None)
    first = swept(tmp_path / "new" / "folder")
    done.clear()
    second = swept(tmp_path / "new" / "folder")

    assert done == []
    assert first.records == second.records == expected.records
    assert first.call == second.call


@pytest.mark.parametrize("stop", [1, 5, 11])
def test_it_goes_on_where_it_was_stopped(tmp_path: Path, done: list[int], stop: int) -> None:
    """Inside the first setting, at a border, in the last: only what is missing is done."""
    expected = swept(None)
    done.clear()
    _STOP[0] = stop
    with pytest.raises(KeyboardInterrupt):
        swept(tmp_path)
    assert len(done) == stop
    _STOP[0] = -1
    found = swept(tmp_path)

    assert len(done) == 3 * SHARDS
    assert found.records == expected.records


def test_another_combination_is_added(tmp_path: Path, done: list[int]) -> None:
    """What both sweeps have in common is there already, whatever its order."""
    swept(tmp_path)
    done.clear()
    found = swept(tmp_path, scales=[700, 300, 100])

    assert len(done) == SHARDS
    assert found.records == swept(None, scales=[700, 300, 100]).records


def test_other_data_and_settings_are_kept_apart(tmp_path: Path, done: list[int]) -> None:
    """Nothing of one sweep is taken for another's."""
    swept(tmp_path)
    for more in ({"x": X + 1e-9}, {"y": 2 - Y}, {"steps": [2, 6]}, {"seed": 1}, {"y": None}):
        done.clear()
        found = swept(tmp_path, **more)
        assert len(done) == 3 * SHARDS
        assert found.records == swept(None, **more).records


def test_what_failed_is_tried_again(tmp_path: Path, done: list[int]) -> None:
    """A failure is no result: it may be mended."""
    found = swept(tmp_path, scales=[100, sw.TargetRate(50.0)])
    assert list(found.failed) == ["TargetRate(hz=50.0)"]
    done.clear()
    found = swept(tmp_path, scales=[100, sw.TargetRate(50.0)], calibration=X)

    assert found.failed == {}
    assert len(done) == SHARDS


@pytest.mark.parametrize("name", ["notes.txt", "evaluation.json", "0123456789abcdeg"])
def test_a_folder_of_anything_else_is_left_alone(tmp_path: Path, name: str) -> None:
    """It is named, and nothing is written beside it."""
    (tmp_path / name).write_text("mine")
    with pytest.raises(SimulationError, match=f"holds '{name}', which is no sweep's"):
        swept(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == [name]


PROGRAM = """
import sys, time
sys.path.insert(0, {tests!r})
import numpy as np
import models, spikewright as sw
from spikewright.evaluation import sharded
from spikewright.evaluation.work import ShardEvaluator
sharded._MOST = 4
original = ShardEvaluator.__call__
done = []
def slow(self, shard, *more):
    print(shard.index, flush=True)
    done.append(shard)
    time.sleep({pause} if len(done) > {shards} + 2 else 0)
    return original(self, shard, *more)
ShardEvaluator.__call__ = slow
graph = models.mlp()
x = models.inputs(graph, 14, seed=1)
y = np.random.default_rng(2).integers(0, 3, 14)
found = sw.sweep(graph, x, y, scales=[100, 300, 500], steps=[2, 5], checkpoint={folder!r})
print("values", [r.value for r in found.records])
"""


def _started(folder: Path, pause: float) -> subprocess.Popen[str]:
    program = PROGRAM.format(
        tests=str(Path(__file__).parents[1]), folder=str(folder), pause=pause, shards=SHARDS
    )
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_killed_sweep_goes_on(tmp_path: Path) -> None:
    """SIGKILL in the second setting; a new process does the rest, and the records are the same."""
    folder = tmp_path / "kept"
    killed = _started(folder, 600.0)  # within the second setting, until the kill
    deadline = time.monotonic() + 120
    while len(list(folder.glob("*/shard-*.safetensors"))) < SHARDS + 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    kept = len(list(folder.glob("*/shard-*.safetensors")))
    assert SHARDS < kept < 3 * SHARDS

    goes_on = _started(folder, 0.0)
    printed, _ = goes_on.communicate(timeout=120)
    *again, values = printed.splitlines()
    assert goes_on.returncode == 0
    assert len(again) == 3 * SHARDS - kept
    assert values == f"values {[r.value for r in swept(None).records]}"
