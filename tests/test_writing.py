"""Files are written whole or not at all, and what stops them names the path that was given."""

from __future__ import annotations

import ast
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import models
import spikewright as sw
from report.report_pages import evaluated
from spikewright import demo, graph, network
from spikewright._base import storage as _storage
from spikewright._base.writing import make_folder, replace_file
from spikewright.engines.decoder_cache import DecoderCache
from spikewright.evaluation.checkpoint import Checkpoint
from spikewright.measure import Evaluation
from spikewright.network.solvers import Solution
from spikewright.report import figures, write_html

LONG = "n" * 250
SETTINGS = {"samples": 3, "steps": 8, "dt": 0.001, "readouts": ["mean"]}


def _statistics(path: Path) -> None:
    model = models.mlp()
    sw.convert(model).calibrate(models.inputs(model)).save(path)


def _network(path: Path) -> None:
    with sw.Network() as net:
        sw.Ensemble(3, 1)
    network.save(net, path)


def _figure(path: Path) -> None:
    info = figures.response_curves_info(np.arange(4.0), np.ones((4, 2)))
    figures.save(figures.draw_curves(info), info, path.with_name(f"{path.name}.svg"))


WRITERS: dict[str, Callable[[Path], Any]] = {
    "conversion": lambda path: sw.convert(models.mlp()).save(path),
    "network": _network,
    "graph": lambda path: graph.save(models.mlp(), path),
    "statistics": _statistics,
    "evaluation": lambda path: Evaluation(tuple(evaluated()), SETTINGS).save(path),
    "page": lambda path: write_html(path, evaluated()),
    "bytes": lambda path: replace_file(path, b"content"),
}
"""Everything that writes a file under the name that it is given."""
FOLDERS: dict[str, Callable[[Path], Any]] = {
    "folder": make_folder,
    "checkpoint": lambda path: Checkpoint(path, {"steps": 3}),
}
"""Everything that makes a folder."""


def refusal(write: Callable[[Path], Any], path: Path) -> str:
    """What is said of a path that cannot be written."""
    with pytest.raises(OSError) as caught:
        write(path)
    return str(caught.value)


@pytest.mark.parametrize("writer", WRITERS)
def test_long_names_are_names(writer: str, tmp_path: Path) -> None:
    """As long as the system takes them: a temporary file needs no longer one."""
    WRITERS[writer](tmp_path / LONG)

    assert [p.name for p in tmp_path.iterdir()] == [LONG]


@pytest.mark.parametrize("writer", WRITERS)
def test_what_cannot_be_written_is_said_of_the_path_given(writer: str, tmp_path: Path) -> None:
    """A folder, no folder, too long a name, a pipe, a name that no file has: path and reason."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, reason in {
        "folder": "is a folder; name a file in it",
        "none/file": "its folder does not exist",
        "pipe": "is no file",
        "m" * 300: "File name too long",
    }.items():
        path = tmp_path / name
        said = refusal(WRITERS[writer], path)
        assert said.startswith(f"{path}: ")
        assert reason in said
    null = refusal(WRITERS[writer], tmp_path / "a\0b")
    assert "null" in null and "a\\x00b" in null
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "pipe"]


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_changes_nothing(
    writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older file stays, and the error names it and no temporary file."""
    path = tmp_path / "file"
    WRITERS[writer](path)
    old = path.read_bytes()
    monkeypatch.setattr("spikewright._base.writing.os.fdopen", Full)

    assert refusal(WRITERS[writer], path) == f"{path}: cannot be written (No space left)"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == old


class Full:
    """A file of which half is written before the disk is full."""

    def __init__(self, handle: int, mode: str) -> None:
        self.file = open(handle, mode)  # noqa: SIM115

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *args: object) -> None:
        self.file.close()

    def write(self, content: bytes) -> None:
        self.file.write(content[: len(content) // 2])
        raise OSError(28, "No space left")


@pytest.mark.parametrize("maker", FOLDERS)
def test_a_folder_that_cannot_be_made_is_named(maker: str, tmp_path: Path) -> None:
    """A file in its place, or in that of a folder above it."""
    (tmp_path / "file").write_bytes(b"mine")
    for name in ("file", "file/folder", "m" * 300):
        assert refusal(FOLDERS[maker], tmp_path / name).startswith(f"{tmp_path / name}: ")

    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_picture_and_its_data_are_written_both_or_neither(tmp_path: Path) -> None:
    """Where the CSV cannot stand the picture is not written either."""
    (tmp_path / "picture.csv").mkdir()
    with pytest.raises(IsADirectoryError, match=r"picture\.csv: is a folder"):
        _figure(tmp_path / "picture")
    assert [p.name for p in tmp_path.iterdir()] == ["picture.csv"]

    (tmp_path / "picture.csv").rmdir()
    _figure(tmp_path / "picture")
    assert {p.name for p in tmp_path.iterdir()} == {"picture.csv", "picture.svg"}


def test_the_demonstration_writes_into_a_folder(tmp_path: Path) -> None:
    """A file in its place is left alone."""
    (tmp_path / "file").write_bytes(b"mine")
    for write in (demo.write_pictures, demo.write_report):
        with pytest.raises(FileExistsError, match="file: is a file, and a folder is needed"):
            write(None, tmp_path / "file")  # type: ignore[arg-type]

    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_cache_that_cannot_be_written_is_one_warning(tmp_path: Path) -> None:
    """It names the folder; decoders are kept in memory."""
    (tmp_path / "file").write_bytes(b"mine")
    cache = DecoderCache(tmp_path / "file")
    with pytest.warns(UserWarning, match="file: is a file, and a folder is needed"):
        cache.keep("key", Solution(np.ones((2, 3)), {}))

    assert cache.find("key", (2, 3)) is not None
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_study_leaves_other_files_alone(tmp_path: Path) -> None:
    """A folder, a folder that is not there, and a file that is no database."""
    (tmp_path / "file").write_bytes(b"mine")
    x = np.random.default_rng(0).normal(size=(60, 6))
    for name in (".", "none/study", "file"):
        with pytest.raises(sw.errors.TuningError, match=r"study at .* cannot be opened"):
            sw.tune(models.mlp(), x, np.arange(60) % 3, trials=1, study=tmp_path / name)

    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_writing_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    """After two writes there is one file, the second, with the permissions of a new file."""
    target = tmp_path / "file"
    replace_file(target, b"first")
    replace_file(target, b"second")
    (tmp_path / "other").touch()

    assert target.read_bytes() == b"second"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "other"]
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


@pytest.mark.parametrize("failing", ["replace", "chmod"])
def test_a_failure_leaves_the_old_file_and_no_other(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted at any step: the target is what it was, the temporary file is gone."""

    def fail(*args: Any) -> None:
        raise KeyboardInterrupt

    replace_file(tmp_path / "file", b"old")
    monkeypatch.setattr(Path, failing, fail)
    with pytest.raises(KeyboardInterrupt):
        replace_file(tmp_path / "file", b"new")

    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


# Who else writes files, and why that is no file of a user's.
ELSEWHERE = {
    "running/storage.py": "a file in a temporary folder, read at once",
    "exchange/nir/checking/process.py": "questions to a reader, in a temporary folder",
    "exchange/nir/checking/runner/__main__.py": "the reader's answers, in that folder",
    "cli/printing.py": "what cannot be printed goes nowhere",
}
_WRITING = {"write_text", "write_bytes", "mkstemp", "NamedTemporaryFile", "mkdir", "makedirs"}


def _writes(path: Path) -> bool:
    """Whether a file calls what writes files."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            modes = [a.value for a in node.args if isinstance(a, ast.Constant)]
            opens = name in ("open", "fdopen") and {"w", "wb", "a", "ab", "x", "xb"} & {*modes}
            if name in _WRITING or opens or ast.unparse(node.func) == "os.open":
                return True
    return False


def test_one_file_writes_all_others() -> None:
    """A new writer is atomic and clear by using it."""
    root = Path(sw.__file__).parent
    found = {path.relative_to(root).as_posix() for path in root.rglob("*.py") if _writes(path)}

    assert found == {"_base/writing.py", *ELSEWHERE}
    assert _storage.replace_file is replace_file
