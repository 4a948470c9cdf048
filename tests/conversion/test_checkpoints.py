"""An evaluation that was stopped goes on; a folder that holds anything else is left alone."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import models
import spikewright as sw
from spikewright.errors import (
    SimulationError,
)
from spikewright.evaluation import sharded
from spikewright.evaluation.work import Work

GRAPH = models.mlp()
X = models.inputs(GRAPH, 30, seed=1)
Y = np.random.default_rng(2).integers(0, 3, 30)
SHARDS = [f"shard-{index:06d}.safetensors" for index in range(8)]


def conversion(scale: float = 300.0) -> sw.Conversion:
    """A spiking network."""
    return sw.convert(GRAPH, spiking=True, scale_firing_rates=scale)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight shards, the last of two samples."""
    monkeypatch.setattr(sharded, "_MOST", 4)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the shards that were computed."""
    found: list[int] = []
    original = Work.__call__

    def spy(self: Work, shard: Any, *more: Any) -> Any:
        found.append(shard.index)
        return original(self, shard, *more)

    monkeypatch.setattr(Work, "__call__", spy)
    return found


def evaluate(folder: Path | None, **more: Any) -> sw.Evaluation:
    """Eight steps of everything."""
    given = {"steps": 8, "at": [3], "thresholds": [0.5], **more}
    network = given.pop("network", None) or conversion()
    x, y = given.pop("x", X), given.pop("y", Y)
    return network.evaluate(x, y, checkpoint=folder, **given)


def test_what_is_finished_is_not_done_again(tmp_path: Path, done: list[int]) -> None:
    """A second call computes nothing, and gives the same."""
    expected = evaluate(None)
    done.clear()
    first = evaluate(tmp_path / "new" / "folder")
    second = evaluate(tmp_path / "new" / "folder")

    assert done == list(range(8))
    assert first.records == second.records == expected.records
    for key, rows in expected.samples.items():
        np.testing.assert_array_equal(second.samples[key], rows)
    names = {path.name for path in (tmp_path / "new" / "folder").iterdir()}
    assert names == {"evaluation.json", *SHARDS}


def test_it_goes_on_where_it_was_stopped(tmp_path: Path, done: list[int]) -> None:
    """Data that ends in an error in the middle; then all of it, in other batches."""

    def failing() -> Iterator[tuple[Any, Any]]:
        yield X[:18], Y[:18]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path, x=failing(), y=None)
    assert done == [0, 1, 2, 3]
    found = evaluate(tmp_path, x=iter([(X[:7], Y[:7]), (X[7:], Y[7:])]), y=None, batch_size=2)
    assert done == list(range(8))
    assert found.records == evaluate(None).records


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_damaged_shards_are_done_again(tmp_path: Path, done: list[int], damage: str) -> None:
    """With a warning that names the file."""
    expected = evaluate(tmp_path)
    path = tmp_path / SHARDS[3]
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes({"truncated": content[:200], "flipped": content}[damage])
    done.clear()
    with pytest.warns(UserWarning, match=rf"{SHARDS[3]}.*again"):
        found = evaluate(tmp_path)

    assert found.records == expected.records
    assert done == [3]
    assert evaluate(tmp_path).records == expected.records
    assert done == [3]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"steps": 9}, "steps"),
        ({"dt": 0.002}, "dt"),
        ({"at": [4]}, "at"),
        ({"seed": 1}, "seed"),
        ({"thresholds": [0.6]}, "thresholds"),
        ({"readouts": ["mean"]}, "readouts"),
        ({"precision": "float64"}, "precision"),
        ({"encoder": sw.encoders.Regular(500.0)}, "encoder"),
        ({"network": conversion(301.0)}, "conversion"),
        ({"x": X + 1e-9}, r"shard-000000\.safetensors: was made of other data"),
        ({"y": 2 - Y}, r"shard-000000\.safetensors: was made of other data"),
        ({"y": None}, r"shard-000000\.safetensors: was made of other data"),
    ],
)
def test_another_evaluation_is_refused(tmp_path: Path, changed: dict[str, Any], named: str) -> None:
    """By the name of what differs; nothing in the folder changes."""
    evaluate(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(SimulationError, match=named):
        evaluate(tmp_path, **changed)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["notes.txt", "weights.safetensors", "shard-1.safetensors"])
def test_folders_of_others_are_refused(tmp_path: Path, name: str) -> None:
    """By the name of the first thing that is no evaluation's, which stays as it was."""
    (tmp_path / name).write_text("mine")
    with pytest.raises(SimulationError, match=name.replace(".", r"\.")):
        evaluate(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


PROGRAM = """
import sys, time
sys.path.insert(0, {tests!r})
import numpy as np
import models, spikewright as sw
from spikewright.evaluation import sharded
from spikewright.evaluation.work import Work
sharded._MOST = 4
original = Work.__call__
def slow(self, shard, *more):
    print(shard.index, flush=True)
    time.sleep({pause})
    return original(self, shard, *more)
Work.__call__ = slow
graph = models.mlp()
x = models.inputs(graph, 30, seed=1)
y = np.random.default_rng(2).integers(0, 3, 30)
conversion = sw.convert(graph, spiking=True, scale_firing_rates=300.0)
found = conversion.evaluate(x, y, 8, at=[3], thresholds=[0.5], checkpoint={folder!r})
found.save({folder!r} + ".json")
"""


def _started(folder: Path, pause: float) -> subprocess.Popen[str]:
    program = PROGRAM.format(tests=str(Path(__file__).parents[1]), folder=str(folder), pause=pause)
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_killed_process_goes_on(tmp_path: Path) -> None:
    """SIGKILL in the middle; a new process does the rest, and the records are those of one."""
    folder = tmp_path / "kept"
    killed = _started(folder, 0.3)
    deadline = time.monotonic() + 60
    while not (folder / SHARDS[2]).exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    kept = {path.name for path in folder.iterdir()} & set(SHARDS)
    (folder / f".{SHARDS[5]}.abc").write_bytes(b"half a")  # as a kill while writing leaves it
    assert 3 <= len(kept) < 8

    goes_on = _started(folder, 0.0)
    printed, _ = goes_on.communicate(timeout=60)
    assert goes_on.returncode == 0
    again = {f"shard-{int(line):06d}.safetensors" for line in printed.split()}
    assert again == set(SHARDS) - kept
    assert sw.Evaluation.load(f"{folder}.json").records == evaluate(None).records
