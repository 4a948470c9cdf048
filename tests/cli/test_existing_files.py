"""No command replaces a file of another kind: it names the file and says how, before any work."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from spikewright import demo
from spikewright.cli import main
from spikewright.cli.files import OutputPath

NOTES = b"notes of mine\n"
READ = {"model", "data", "validation", "train_data"}
"""Parameters that name what a command reads."""

MODEL, STEPS = str(demo.MODEL), ("--steps", "2")
RUNS: dict[str, tuple[str, ...]] = {
    "convert": (MODEL, "--spiking", "--calibration", "DATA"),
    "demo": ("--limit", "8", *STEPS),
    "diagnose": (MODEL, "--data", "DATA", *STEPS),
    "evaluate": (MODEL, "--data", "DATA", *STEPS),
    "run": (MODEL, "--data", "DATA", *STEPS),
    "sweep": (MODEL, "--data", "DATA", *STEPS, "--scale", "10,20"),
    "train": (MODEL, "--data", "DATA", *STEPS, "--epochs", "1"),
    "tune": (MODEL, "--data", "DATA", "--trials", "1", "--timeout", "120"),
}
"""A short run of every command that writes files."""
NEVER = "write_back"
"""Models are a user's own: only --force replaces one."""


WRITTEN = [
    (name, parameter)
    for name, command in main.commands.items()
    for parameter in command.params
    if isinstance(parameter.type, OutputPath)
]
NAMES = [f"{name} {parameter.opts[-1]}" for name, parameter in WRITTEN]


def invoke(*arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(main, arguments)


def targets(name: str, folder: Path) -> dict[str, tuple[click.Parameter, list[Path]]]:
    """What every option of a command writes, under names in a folder."""
    found = {}
    for parameter in (p for n, p in WRITTEN if n == name):
        path = folder / {"step": "step.onnx", "write_back": "model.onnx"}.get(
            str(parameter.name), f"{parameter.name}.png"
        )
        files = [path]
        if parameter.name == "picture":
            files.append(path.with_suffix(".csv"))
        if not getattr(parameter.type, "file_okay", True):
            path = folder / "made"
            pictures = ("accuracy_and_spikes.png", "raster.png", "raster.csv")
            files = [path / name for name in ("accuracy_and_spikes.csv", "report.html", *pictures)]
        found[str(path)] = parameter, files
    return found


def options(found: dict[str, tuple[click.Parameter, list[Path]]]) -> list[str]:
    """The options that name the places of `targets`."""
    return [text for path, (p, _) in found.items() for text in (p.opts[-1], path)]


def test_every_path_is_read_or_checked_before_it_is_written() -> None:
    """A new option that names a file is one of the two; what writes has --force."""
    for name, command in main.commands.items():
        for parameter in command.params:
            if isinstance(parameter.type, click.Path):
                known = parameter.name in READ
                assert isinstance(parameter.type, OutputPath) != known, (name, parameter.name)
        writes = any(isinstance(p.type, OutputPath) for p in command.params)
        assert writes == any("--force" in p.opts for p in command.params), name
    assert {name for name, _ in WRITTEN} == {*RUNS}


@pytest.mark.parametrize("index", range(len(WRITTEN)), ids=NAMES)
def test_a_file_of_another_kind_stays(index: int, tmp_path: Path) -> None:
    """Before anything is read or computed: the file is named, with --force, and is what it was."""
    name, parameter = WRITTEN[index]
    for path, (other, files) in targets(name, tmp_path).items():
        for file in files if other is parameter else ():
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(NOTES)
            found = invoke(name, parameter.opts[-1], path)

            assert found.exit_code == 2
            assert found.stderr.startswith(f"Error: {file}: exists and is not ")
            assert "so it was left alone. Choose another name, or replace it with --force" in (
                found.stderr
            )
            assert file.read_bytes() == NOTES
            forced = invoke(name, parameter.opts[-1], path, "--force", "--no-such-option")
            assert str(file) not in forced.stderr
            assert file.read_bytes() == NOTES
            file.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_force_replaces_and_the_same_kind_is_replaced_without(
    name: str, data: str, tmp_path: Path
) -> None:
    """All that one run writes takes the place of notes with --force, and of itself without."""
    folder = tmp_path / "folder"
    folder.mkdir()
    found = targets(name, folder)
    files = [file for _, several in found.values() for file in several]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(NOTES)
    other = folder / "other.txt"
    other.write_bytes(NOTES)
    run = [text.replace("DATA", data) for text in (name, *RUNS[name])]
    first = invoke(*run, *options(found), "--force")
    assert first.exit_code == 0, first.output
    assert all(file.read_bytes() != NOTES for file in files)

    again = {path: value for path, value in found.items() if value[0].name != NEVER}
    second = invoke(*run, *options(again))
    assert second.exit_code == 0, second.output
    if len(again) < len(found):
        refused = invoke(*run, *options(found))
        assert refused.exit_code == 2 and "model.onnx: exists and is not" in refused.stderr
    assert other.read_bytes() == NOTES
    assert {p.name for p in folder.rglob("*") if p.is_file()} == {
        "other.txt", *(file.name for file in files),
    }  # fmt: skip


def test_a_model_is_replaced_by_no_trained_one(data: str, tmp_path: Path) -> None:
    """`--write-back` onto the model that is read is refused, and the model stays."""
    model = tmp_path / "model.onnx"
    model.write_bytes(demo.MODEL.read_bytes())
    run = ("train", str(model), "--data", data, *STEPS, "--epochs", "1")
    found = invoke(*run, "-o", str(tmp_path / "net.sw"), "--write-back", str(model))

    assert found.exit_code == 2
    assert f"{model}: exists and is not a model with trained weights" in found.stderr
    assert model.read_bytes() == demo.MODEL.read_bytes()
    assert not (tmp_path / "net.sw").exists()


def test_a_checkpoint_goes_on_from_its_own_file_alone(data: str, tmp_path: Path) -> None:
    """Another file under its name stays, in a training and in an evaluation's folder."""
    notes, folder = tmp_path / "notes", tmp_path / "folder"
    notes.write_bytes(NOTES)
    folder.mkdir()
    (folder / "notes.txt").write_bytes(NOTES)
    out = ("-o", str(tmp_path / "net.sw"))
    trained = ("train", MODEL, "--data", data, *STEPS, "--epochs", "1", *out)
    for run, place in (
        ((*trained, "--checkpoint", str(notes)), str(notes)),
        (("evaluate", *RUNS["evaluate"], "--checkpoint", str(folder)), "notes.txt"),
        (("sweep", *RUNS["sweep"], "--checkpoint", str(folder)), "notes.txt"),
    ):
        found = invoke(*(text.replace("DATA", data) for text in run), "--force")
        assert found.exit_code == 2 and place in found.stderr

    assert notes.read_bytes() == (folder / "notes.txt").read_bytes() == NOTES
