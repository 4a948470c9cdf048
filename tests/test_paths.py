"""Paths and addresses that lead nowhere: one error of the project's, whoever opens or writes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest

import models
import spikewright as sw
from spikewright import graph, network
from spikewright._base.archives import read_npz
from spikewright._base.files import file_at
from spikewright.chips import profile
from spikewright.errors import (
    FileError,
    FolderError,
    MissingFileError,
    SimulationError,
    SpikewrightError,
)
from spikewright.exchange import nir
from spikewright.frontends.live import live
from spikewright.measure import Evaluation
from spikewright.report import write_html

MODEL = models.mlp()


def _network() -> sw.Network:
    with sw.Network() as net:
        sw.Probe(sw.Node([1.0]))
    return net


def _evaluated(place: Any) -> None:
    conversion = sw.convert(MODEL, spiking=True)
    labels = np.zeros(4, int)
    conversion.evaluate(models.inputs(MODEL, 4), labels, 2, checkpoint=place, progress=False)


OPENERS: dict[str, Callable[[Any], Any]] = {
    "convert": sw.convert,
    "load": sw.load,
    "network.load": network.load,
    "graph.load": graph.load,
    "Statistics.load": sw.Statistics.load,
    "Evaluation.load": Evaluation.load,
    "nir.load": nir.load,
    "npz": read_npz,
    "profile": profile,
    "live": lambda place: live(Path(place)) if isinstance(place, str) else file_at(place),
}
WRITERS: dict[str, Callable[[Any], Any]] = {
    "Conversion.save": lambda place: sw.convert(MODEL, spiking=True).save(place),
    "network.save": lambda place: network.save(_network(), place),
    "graph.save": lambda place: graph.save(MODEL, place),
    "write_html": lambda place: write_html(place, []),
    "nir.save": lambda place: nir.save(sw.convert(MODEL, spiking=True), place),
    "evaluate": _evaluated,
    "decoder cache": lambda place: sw.DecoderCache(place) if place is not None else file_at(place),
}
NO_PATHS: list[Any] = [
    *(None, 3, 1.5, True, b"x", [], {}, ("a",), object(), float("nan")),
    *("", "\0", "a\0b.onnx", "\ud800.onnx"),
]
NOWHERE = [
    *("x" * 5000 + ending for ending in ("", ".onnx", ".keras", ".pt2", ".npz", ".toml")),
    *("a/" * 3000, "/dev/zero", ".", "/", "/nowhere/at/all.onnx", "/etc/passwd/x.keras"),
]


@pytest.mark.parametrize("name", [*OPENERS, *WRITERS])
def test_what_is_no_path_is_said(name: str) -> None:
    """None, numbers, bytes, NULs and halves of characters: an error of the project's, printable."""
    for place in NO_PATHS:
        if (name, place) in (("evaluate", None),):
            continue  # no checkpoint is asked for
        with pytest.raises(SpikewrightError) as caught:
            {**OPENERS, **WRITERS}[name](place)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 900


@pytest.mark.parametrize("name", OPENERS)
def test_a_path_that_leads_nowhere_is_said(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too long, a device, a folder, links in a circle: nothing raw, and nothing read for ever."""
    monkeypatch.chdir(tmp_path)
    (circle := tmp_path / "circle.onnx").symlink_to(circle)
    for place in (*NOWHERE, circle, tmp_path):
        with pytest.raises(SpikewrightError) as caught:
            OPENERS[name](place)
        assert len(str(caught.value)) < 1500


@pytest.mark.parametrize("name", WRITERS)
def test_a_path_that_cannot_be_written_is_said(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names too long for the system, and folders that are files."""
    monkeypatch.chdir(tmp_path)
    if name == "decoder cache":
        return  # what it cannot write it keeps in memory, and warns
    for place in ("x" * 5000, "/etc/passwd/x"):
        with pytest.raises(FileError) as caught:
            WRITERS[name](place)
        assert len(str(caught.value)) < 900


SAID = (
    "no such file",
    "already exists",
    "database is locked",
    "Permission denied",
    "Is a directory",
)


@pytest.mark.parametrize("word", SAID)
def test_the_words_of_a_path_decide_nothing(word: str, tmp_path: Path) -> None:
    """The type of an error says what happened, also in a folder that is called like another one."""
    (folder := tmp_path / word).mkdir()
    with pytest.raises(FolderError, match="is a folder"):
        file_at(folder)
    with pytest.raises(MissingFileError, match="no such file"):
        file_at(folder / "x")
    (broken := folder / "x.onnx").write_bytes(b"no model")
    with pytest.raises(sw.errors.DamagedFileError, match="not an ONNX model"):
        sw.convert(broken)
    (file := folder / "x.sw").write_bytes(b"no network")
    with pytest.raises(sw.errors.DamagedFileError, match="not a readable Spikewright file"):
        sw.load(file)


@pytest.mark.parametrize("word", SAID)
def test_a_study_is_not_waited_for_because_of_its_folder(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not a database is said at once, whatever words its path has in it."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    (folder := tmp_path / word).mkdir()
    (study := folder / "study.db").write_bytes(b"no database" * 100)
    x, y = models.inputs(MODEL, 40), np.arange(40) % 3
    with pytest.raises(sw.errors.TuningError, match="cannot be opened"):
        sw.tune(MODEL, x, y, study=study, trials=1, progress=False)
    assert waits == []


def test_a_file_that_may_not_be_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the system's reason."""

    def refused(*arguments: Any, **settings: Any) -> Any:
        raise PermissionError(13, "not for you")

    (file := tmp_path / "secret.onnx").write_bytes(b"x")
    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(FileError, match=r"secret\.onnx: cannot be read \(not for you\)"):
        sw.convert(file)


ADDRESSES = [
    "nonsense",
    "",
    "tcp://",
    "tcp://:1",
    "tcp://127.0.0.1:1",
    "http://[",
    "inproc://x",
    "\0",
]


@pytest.mark.parametrize("address", [*ADDRESSES, 3, b"x", "x" * 5000, "a\x1b[2Jb"])
def test_an_address_that_nobody_answers_is_said(address: Any) -> None:
    """The cluster, the address and what to give in its place."""
    conversion = sw.convert(MODEL, spiking=True)
    x, y = models.inputs(MODEL, 4), np.zeros(4, int)
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "500ms"}),
        pytest.raises(SimulationError, match=r"Dask.*tcp://10\.0\.0\.5:8786") as caught,
    ):
        conversion.evaluate(x, y, 2, executor="dask", address=address, progress=False)
    assert str(caught.value).isprintable()
