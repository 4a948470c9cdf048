"""An evaluation that was stopped goes on; a folder that holds anything else is left alone."""

from __future__ import annotations

import os
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
from spikewright._base import storage
from spikewright.errors import (
    DamagedFileError,
    ExistingFileError,
    FileError,
    NetworkError,
    SimulationError,
)
from spikewright.evaluation import sharded
from spikewright.evaluation.work import ShardEvaluator

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
    original = ShardEvaluator.__call__

    def spy(self: ShardEvaluator, shard: Any, *more: Any) -> Any:
        found.append(shard.index)
        return original(self, shard, *more)

    monkeypatch.setattr(ShardEvaluator, "__call__", spy)
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


def test_parts_of_earlier_versions_are_read(tmp_path: Path, done: list[int]) -> None:
    """In their files an array is named without a mark."""
    expected = evaluate(tmp_path)
    done.clear()
    for name in SHARDS:
        content, arrays = storage.read(tmp_path / name, "evaluation shard")
        old = {
            part: [[key, array["array"]] for key, array in content[part]]
            for part in ("samples", "sums")
        }
        assert old["samples"]
        storage.write(tmp_path / name, "evaluation shard", {**content, **old}, arrays)

    assert evaluate(tmp_path).records == expected.records
    assert done == []


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


def test_shards_that_are_missing_are_done(tmp_path: Path, done: list[int]) -> None:
    """Whichever they are."""
    expected = evaluate(tmp_path)
    for index in (1, 6):
        (tmp_path / SHARDS[index]).unlink()
    done.clear()

    assert evaluate(tmp_path).records == expected.records
    assert done == [1, 6]


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


@pytest.mark.parametrize("content", [b"", b"mine" * 99])
def test_what_is_no_shard_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """A file of another kind under a shard's name is refused by its name, and stays."""
    evaluate(tmp_path)
    path = tmp_path / SHARDS[3]
    path.write_bytes(content)
    with pytest.raises(ExistingFileError, match=SHARDS[3]):
        evaluate(tmp_path)

    assert path.read_bytes() == content


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


def test_what_changes_no_result_may_change(tmp_path: Path, done: list[int]) -> None:
    """Batch size, threads and the warnings that runs leave in the trace."""
    network = conversion(0.5)
    evaluate(tmp_path, network=network)
    assert network.trace.warnings
    done.clear()
    evaluate(tmp_path, network=network, batch_size=1, threads=1)

    assert done == []


def test_more_data_is_the_same_evaluation(tmp_path: Path, done: list[int]) -> None:
    """Shards that are full already stay; the last one was shorter, and is refused."""
    evaluate(tmp_path, x=X[:16], y=Y[:16])
    done.clear()
    found = evaluate(tmp_path)

    assert done == [4, 5, 6, 7]
    assert found.records == evaluate(None).records


@pytest.mark.parametrize("name", ["notes.txt", "weights.safetensors", "shard-1.safetensors"])
def test_folders_of_others_are_refused(tmp_path: Path, name: str) -> None:
    """By the name of the first thing that is no evaluation's, which stays as it was."""
    (tmp_path / name).write_text("mine")
    with pytest.raises(SimulationError, match=name.replace(".", r"\.")):
        evaluate(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_shards_of_nobody_are_refused(tmp_path: Path) -> None:
    """Without `evaluation.json` nobody knows whose they are; with a damaged one neither."""
    evaluate(tmp_path)
    about = tmp_path / "evaluation.json"
    about.write_text("[]")
    with pytest.raises(DamagedFileError, match=r"evaluation\.json"):
        evaluate(tmp_path)
    about.unlink()
    with pytest.raises(SimulationError, match=r"holds shards and no evaluation\.json"):
        evaluate(tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    """The error names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="file"):
        evaluate(tmp_path / "file")


def test_what_cannot_be_saved_cannot_be_kept(tmp_path: Path) -> None:
    """A network with Python functions has no content to tell it by; without a folder it runs."""
    network = conversion()
    with network.network:
        sw.Node(lambda t: [t])
    with pytest.raises(NetworkError, match="Python functions"):
        evaluate(tmp_path, network=network)
    found = evaluate(None, network=network, operations=False)
    assert found.records == evaluate(None, operations=False).records


PROGRAM = """
import sys, time
sys.path.insert(0, {tests!r})
import numpy as np
import models, spikewright as sw
from spikewright.evaluation import sharded
from spikewright.evaluation.work import ShardEvaluator
sharded._MOST = 4
original = ShardEvaluator.__call__
def slow(self, shard, *more):
    print(shard.index, flush=True)
    time.sleep({pause} if shard.index >= 4 else 0)
    return original(self, shard, *more)
ShardEvaluator.__call__ = slow
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
    killed = _started(folder, 600.0)  # before the fifth part, until the kill
    deadline = time.monotonic() + 120
    while not (folder / SHARDS[2]).exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    kept = {path.name for path in folder.iterdir()} & set(SHARDS)
    (folder / f".{SHARDS[5]}.abc").write_bytes(b"half a")  # as a kill while writing leaves it
    assert 3 <= len(kept) < 8

    goes_on = _started(folder, 0.0)
    printed, _ = goes_on.communicate(timeout=120)
    assert goes_on.returncode == 0
    again = {f"shard-{int(line):06d}.safetensors" for line in printed.split()}
    assert again == set(SHARDS) - kept
    assert sw.Evaluation.load(f"{folder}.json").records == evaluate(None).records


def test_nothing_of_an_unfinished_write_is_left(tmp_path: Path, monkeypatch: Any) -> None:
    """A disk that is full: the error is its own, and the folder holds whole files alone."""
    real = os.fdopen

    def full(*arguments: Any) -> Any:
        if len(list(tmp_path.glob("shard-*"))) == 2:
            os.close(arguments[0])
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr("spikewright._base.files.os.fdopen", full)
    with pytest.raises(OSError, match="No space left"):
        evaluate(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"evaluation.json", *SHARDS[:2]}
