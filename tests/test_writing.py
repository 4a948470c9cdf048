"""Files are written whole or not at all, and what stops them names the path that was given."""

from __future__ import annotations

import ast
import inspect
import os
import re
import stat
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import models
import spikewright as sw
from report.report_pages import evaluated
from spikewright import demo, graph, network
from spikewright._base import storage as _storage
from spikewright._base.files import KINDS, FileKind, make_folder, write_file
from spikewright.engines.decoder_cache import DecoderCache
from spikewright.errors import ExistingFileError, FileError
from spikewright.evaluation.checkpoint import Checkpoint
from spikewright.measure import Evaluation
from spikewright.network.solvers import Solution
from spikewright.report import figures, write_html
from spikewright.report.figures.picture import is_picture

LONG = "n" * 250

ANY = FileKind("anything", lambda path: True)
SETTINGS = {"samples": 3, "steps": 8, "dt": 0.001, "readouts": ["mean"]}


def _statistics(path: Path, **more: Any) -> None:
    model = models.mlp()
    sw.convert(model).calibrate(models.inputs(model)).save(path, **more)


def _network(path: Path, **more: Any) -> None:
    with sw.Network() as net:
        sw.Ensemble(3, 1)
    network.save(net, path, **more)


def _figure(path: Path, **more: Any) -> None:
    info = figures.response_curves_info(np.arange(4.0), np.ones((4, 2)))
    figures.save(figures.draw(info), info, path, **more)


def _spiking() -> sw.Conversion:
    return sw.convert(models.mlp(), spiking=True, scale_firing_rates=128.0)


WRITERS: dict[str, Callable[..., Any]] = {
    "a saved conversion": lambda path, **more: sw.convert(models.mlp()).save(path, **more),
    "a saved network": _network,
    "a saved graph": lambda path, **more: graph.save(models.mlp(), path, **more),
    "statistics for calibration": _statistics,
    "a saved evaluation": lambda path, **more: Evaluation(tuple(evaluated()), SETTINGS).save(
        path, **more
    ),
    "a report": lambda path, **more: write_html(path, evaluated(), **more),
    "a picture that Spikewright drew": _figure,
    "a NIR file that Spikewright wrote": lambda path, **more: sw.nir.save(_spiking(), path, **more),
    "a time step that Spikewright wrote": lambda path, **more: sw.onnx.save_step(
        _spiking(), path, **more
    ),
}
"""Everything that writes a file under the name that it is given, by the kind of file."""
NAMED = {name: writer for name, writer in WRITERS.items() if writer is not _figure}
"""Those that write one file, under any name."""
KEPT = {
    "the checkpoint of a training": "checked by `Checkpoint.load`: a training goes on from it",
    "a part of an evaluation": "in a folder, see `Checkpoint`",
    "the settings of an evaluation": "the same",
    "stored decoders": "in the cache, under names of its own",
    "a model with trained weights": "`spikewright train --write-back`: it replaces nothing unasked",
}
"""Kinds that no function writes under a name that it is given, each with its reason."""
FOLDERS: dict[str, Callable[[Path], Any]] = {
    "folder": make_folder,
    "checkpoint": lambda path: Checkpoint(path, {"steps": 3}),
}
"""Everything that makes a folder."""


def test_every_kind_of_file_has_a_writer_here() -> None:
    """A new kind is tested the day it is registered."""
    for module in _modules():
        import_module(module)

    assert set(KINDS) == {*WRITERS, *KEPT}


_SAVES = re.compile(r"file_kind\(|def (save|write)\w*\([^)]*\b(path|folder)\b")


def _modules() -> list[str]:
    """Every module that registers a kind of file, or has a function that saves one."""
    root = Path(sw.__file__).parent
    found = [
        path.relative_to(root) for path in root.rglob("*.py") if _SAVES.search(path.read_text())
    ]
    return [".".join(("spikewright", *path.with_suffix("").parts)) for path in found]


def test_whatever_writes_a_file_can_be_told_to_replace_one() -> None:
    """Every public function that saves or writes to a path takes `overwrite`, False by default."""
    found = {}
    for module in map(import_module, _modules()):
        owners = [module, *(v for v in vars(module).values() if inspect.isclass(v))]
        for owner in owners:
            for name, value in vars(owner).items():
                if not (inspect.isfunction(value) and value.__module__ == module.__name__):
                    continue
                given = inspect.signature(value).parameters
                public = not name.startswith("_") and not module.__name__.startswith(OWN)
                if public and name.startswith(("save", "write")) and {"path", "folder"} & {*given}:
                    found[f"{module.__name__}.{value.__qualname__}"] = given.get("overwrite")

    assert len(found) > 8
    assert [name for name, p in found.items() if p is None or p.default is not False] == []


OWN = ("spikewright._base.files", "spikewright.testing", "spikewright.cli")
"""What asks for a kind, and what commands write, which have `--force`."""


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("content", [b"notes of mine\n", b""])
def test_a_file_of_another_kind_stays(writer: str, content: bytes, tmp_path: Path) -> None:
    """Byte for byte; the error names it and the next move, `overwrite=True` replaces it."""
    path = tmp_path / "file.png"
    path.write_bytes(content)
    with pytest.raises(ExistingFileError) as caught:
        WRITERS[writer](path)

    assert str(caught.value) == (
        f"{path}: exists and is not {writer}, so it was left alone. Choose another name, or "
        "replace it with overwrite=True"
    )
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    WRITERS[writer](path, overwrite=True)
    assert KINDS[writer].recognises(path)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_of_the_same_kind_is_replaced(writer: str, tmp_path: Path) -> None:
    """Without being told to; writers of all other kinds leave it alone and say what it is."""
    path = tmp_path / "file.png"
    WRITERS[writer](path)
    WRITERS[writer](path)
    content = path.read_bytes()
    for other in set(WRITERS) - {writer}:
        with pytest.raises(ExistingFileError, match=f"exists and is {writer}, not {other}"):
            WRITERS[other](path)

    assert path.read_bytes() == content


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_data_beside_a_picture_stay_unless_they_are_its_own(suffix: str, tmp_path: Path) -> None:
    """Pictures are known by their mark, their data by their columns beside a marked picture."""
    picture, data = tmp_path / f"a.{suffix}", tmp_path / "a.csv"
    _figure(picture)
    _figure(picture)
    own = data.read_bytes()
    for content in (b"time,mine\n1,2\n", own.replace(b"x0", b"x1", 1)):
        data.write_bytes(content)
        with pytest.raises(ExistingFileError, match=r"a\.csv: exists and is not the data"):
            _figure(picture)
        assert data.read_bytes() == content
    data.write_bytes(own)
    picture.unlink()
    with pytest.raises(ExistingFileError, match=r"a\.csv: exists and is not the data"):
        _figure(picture)
    assert not picture.exists()
    _figure(picture, overwrite=True)
    assert is_picture(picture)


def test_a_nir_file_of_another_writer_stays(tmp_path: Path) -> None:
    """It is a user's own, although it is of the same format."""
    import nir

    path = tmp_path / "theirs.nir"
    nodes = {"input": nir.Input(np.array([2])), "output": nir.Output(np.array([2]))}
    nir.write(path, nir.NIRGraph(nodes, [("input", "output")]))
    content = path.read_bytes()
    with pytest.raises(ExistingFileError, match=r"theirs\.nir: exists and is not a NIR file that"):
        sw.nir.save(_spiking(), path)

    assert path.read_bytes() == content


def refusal(write: Callable[[Path], Any], path: Path) -> str:
    """What is said of a path that cannot be written."""
    with pytest.raises(OSError) as caught:
        write(path)
    return str(caught.value)


@pytest.mark.parametrize("writer", NAMED)
def test_long_names_are_names(writer: str, tmp_path: Path) -> None:
    """As long as the system takes them: a temporary file needs no longer one."""
    WRITERS[writer](tmp_path / LONG)

    assert [p.name for p in tmp_path.iterdir()] == [LONG]


@pytest.mark.parametrize("writer", NAMED)
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
    assert "NUL" in null and "a\\x00b" in null
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "pipe"]


@pytest.mark.parametrize("writer", NAMED)
def test_a_full_disk_changes_nothing(
    writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older file stays, and the error names it and no temporary file."""
    path = tmp_path / "file"
    WRITERS[writer](path)
    old = path.read_bytes()
    monkeypatch.setattr("spikewright._base.files.os.fdopen", Full)

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

    def writelines(self, parts: Iterable[bytes]) -> None:
        content = b"".join(parts)
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
        _figure(tmp_path / "picture.svg")
    assert [p.name for p in tmp_path.iterdir()] == ["picture.csv"]

    (tmp_path / "picture.csv").rmdir()
    _figure(tmp_path / "picture.svg")
    assert {p.name for p in tmp_path.iterdir()} == {"picture.csv", "picture.svg"}


def test_the_demonstration_writes_into_a_folder(tmp_path: Path) -> None:
    """A file in its place is left alone."""
    (tmp_path / "file").write_bytes(b"mine")
    for write in (demo.write_pictures, demo.write_report):
        with pytest.raises(FileError, match="file: is a file, and a folder is needed"):
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
    write_file(target, b"first", ANY)
    write_file(target, b"second", ANY)
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

    write_file(tmp_path / "file", b"old", ANY)
    monkeypatch.setattr(Path, failing, fail)
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "file", b"new", ANY)

    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


# Who else writes files, and why that is no file of a user's.
ELSEWHERE = {
    "frontends/keras/loading.py": "weights of an archive, unpacked into a temporary folder",
    "running/storage.py": "a file in a temporary folder, read at once",
    "cli/output.py": "what cannot be printed goes nowhere",
}
_WRITING = {"write_text", "write_bytes", "mkstemp", "NamedTemporaryFile", "mkdir", "makedirs"}


def _writes(path: Path) -> bool:
    """Whether a file calls what writes files."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            modes = [a.value for a in node.args if isinstance(a, ast.Constant)]
            opens = name in ("open", "fdopen") and {"w", "wb", "a", "ab", "x", "xb"} & {*modes}
            reads = "O_RDONLY" in ast.unparse(node)
            if name in _WRITING or opens or (ast.unparse(node.func) == "os.open" and not reads):
                return True
    return False


def test_one_file_writes_all_others() -> None:
    """A new writer is atomic and clear by using it."""
    root = Path(sw.__file__).parent
    found = {path.relative_to(root).as_posix() for path in root.rglob("*.py") if _writes(path)}

    assert found == {"_base/files.py", *ELSEWHERE}
    assert _storage.write_file is write_file
