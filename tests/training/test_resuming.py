"""A training that was killed goes on where it was, and comes to the same end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import interrupted
import numpy as np
import pytest

from spikewright._base import storage
from spikewright.errors import DamagedFileError, TrainingError
from spikewright.training.history import TrainingCheckpoint


def arrays(result: Any) -> list[Any]:
    """All that was trained."""
    made = result.conversion
    populations = made.populations().values()
    return [
        *(array for node in made.graph for array in node.layer.arrays().values()),
        *(np.asarray(e.rate_scale) for e in populations),
        *(
            np.asarray(e.initial_voltage)
            for e in populations
            if not isinstance(e.initial_voltage, str)
        ),
    ]


@pytest.mark.parametrize("way", interrupted.WAYS)
def test_kill_and_resume_gives_the_same_weights(way: str, tmp_path: Path) -> None:
    """A killed process leaves two epochs; the same call does the others, to the last bit.

    With a budget, a shuffled loader and a rate that is chosen.
    """
    path = tmp_path / "training"
    command = [sys.executable, interrupted.__file__, str(path), way]
    assert subprocess.run(command, check=False, timeout=120).returncode == -signal.SIGKILL
    whole = interrupted.training(None, way)
    resumed = interrupted.training(path, way)
    assert [e.seconds for e in resumed.history[:2]] != [e.seconds for e in whole.history[:2]]
    assert [e.loss for e in resumed.history] == [e.loss for e in whole.history]
    assert [e.held_back for e in resumed.history] == [e.held_back for e in whole.history]
    assert resumed.kept == whole.kept
    for one, other in zip(arrays(resumed), arrays(whole), strict=True):
        np.testing.assert_array_equal(one, other)
    again = interrupted.training(path, way)
    assert again.history == resumed.history
    for one, other in zip(arrays(again), arrays(resumed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_of_another_call_is_refused_by_name(tmp_path: Path) -> None:
    """What differs is named with both values, and the file stays as it was."""
    path = tmp_path / "training"
    interrupted.training(path, "budget", epochs=1)
    before = path.read_bytes()
    for changes, message in (
        ({"learning_rate": 0.02}, r"differs in learning_rate \(there .*0.01.*0.02\)"),
        ({"spikes": 31.0}, r"differs in spikes \(there spikes is 30.0, here 31.0\)"),
        ({"validation": interrupted.samples(3, 100)}, "differs in samples held back"),
        ({"seed": 6}, "differs in seed"),
        ({"loss": "imitation"}, "differs in loss"),
    ):
        with pytest.raises(TrainingError, match=message):
            interrupted.training(path, "budget", **{"epochs": 1, **changes})
        assert path.read_bytes() == before


def test_a_checkpoint_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    """It states settings that are left out, and fields; other values than today's are refused."""
    path = tmp_path / "training"
    interrupted.training(path, "budget", epochs=1)
    content, kept = storage.read(path, "training")
    (epoch,) = content["state"]["map"]["history"]
    epoch["held_back"] |= {"joules": None, "energy_table": None}
    about = {**content["about"], "rates": {}, "optimiser": "adam", "patience": None}
    storage.write(path, "training", {**content, "about": about}, kept, overwrite=True)
    assert len(interrupted.training(path, "budget", epochs=1).history) == 1
    about = {**about, "optimiser": "sgd"}
    storage.write(path, "training", {**content, "about": about}, kept, overwrite=True)
    with pytest.raises(TrainingError, match="differs in optimiser"):
        interrupted.training(path, "budget", epochs=1)


def test_of_layers_the_first_that_differs_is_told() -> None:
    """A network has many layers; a message has both values of one of them, and its name."""
    layers = {str(n): "IntegrateAndFire()" for n in range(20)}
    there, here = {"neurons": layers, "seed": 0}, {"neurons": {**layers, "7": "LIF()"}, "seed": 1}
    assert storage.differing(there, here) == (
        "neurons, seed (there neurons of '7' is 'IntegrateAndFire()', here 'LIF()')"
    )
    assert storage.differing(there, there) == ""
    without = {"neurons": {"0": layers["0"]}, "seed": 0}
    assert "neurons of '1' is 'IntegrateAndFire()', here None" in storage.differing(there, without)
    assert storage.differing({"rates": {"0": None}}, {"rates": {}}) == (
        "rates (there rates is {'0': None}, here {})"
    )


def test_files_that_hold_no_training(tmp_path: Path) -> None:
    """Other, damaged and hostile files are refused, and stay as they are."""
    path = tmp_path / "training"
    for content in (b"", b"text", b"\x80\x04N."):
        path.write_bytes(content)
        with pytest.raises(DamagedFileError, match="training"):
            interrupted.training(path, "budget", epochs=1)
        assert path.read_bytes() == content
    path.unlink()
    interrupted.training(path, "budget", epochs=1)
    content, kept = storage.read(path, "training")
    for name in ("network", "optimiser", "history", "budget"):
        hostile = {**content["state"]["map"], name: {"map": {"0": 7}}}
        storage.write(path, "training", {**content, "state": {"map": hostile}}, kept)
        with pytest.raises(DamagedFileError, match="not describe the checkpoint of a training"):
            interrupted.training(path, "budget", epochs=1)
    with pytest.raises(FileNotFoundError, match="its folder does not exist"):
        interrupted.training(tmp_path / "no" / "training", "budget")


def test_a_write_that_fails_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of the epoch before stays, whole."""
    path = tmp_path / "training"
    interrupted.training(path, "budget", epochs=1)
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="cannot be written"):
        TrainingCheckpoint(path, {}).save({"a": 1})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_loss_that_is_not_finite_leaves_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The epochs before stay in the file."""
    from spikewright.training.gradients.validation import Validator

    path, calls, loss = tmp_path / "training", [], Validator.loss

    def spoiled(self: Any, *batch: Any) -> Any:
        calls.append(1)
        found, penalty = loss(self, *batch)
        return (found * float("nan") if len(calls) > 12 else found), penalty

    monkeypatch.setattr(Validator, "loss", spoiled)
    with pytest.raises(TrainingError, match=r"epoch [2-4]: the loss is nan"):
        interrupted.training(path, "budget")
    content, _ = storage.read(path, "training")
    assert len(content["state"]["map"]["history"]) >= 1
