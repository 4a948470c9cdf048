"""`spikewright sweep`: the library's sweep as a table, a picture, a page, JSON."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import spikewright as sw
from spikewright import demo
from spikewright.cli import main

MODEL = str(demo.MODEL)
GIVEN = ["--scale", "20,100", "--steps", "4,8", "--within", "0.05"]


def run(data: str, *arguments: str) -> Result:
    """The command."""
    return CliRunner().invoke(main, ["sweep", MODEL, "--data", data, *arguments])


def library(**more: Any) -> sw.results.StudyResult:
    """The same in Python."""
    x, y = demo.held_out(40)
    given = {"scales": [20.0, 100.0], "steps": [4, 8], "within": 0.05, **more}
    return sw.sweep(demo.MODEL, x, y, **given, progress=False)


def test_it_ends_in_the_cheapest_setting_and_its_call(data: str) -> None:
    """The table of all settings, rates of layers, a sentence, and the lines that make it."""
    found, expected = run(data, *GIVEN), library()

    assert found.exit_code == 0, found.output
    lines = [line.strip() for line in found.stdout.splitlines()]
    program = expected.call.splitlines()
    assert lines[-len(program) :] == [line.strip() for line in program]
    assert expected.conclusion in " ".join(found.stdout.split())
    assert lines[0] == "digits.onnx"
    assert "40 samples, steps of 1 ms, source accuracy" in lines[1]
    assert [line.split()[:2] for line in lines if line.startswith(("20 ", "100 "))] == [
        ["20", "4"], ["20", "8"], ["100", "4"], ["100", "8"],
    ]  # fmt: skip
    assert sum("chosen" in line for line in lines) == 1
    assert any(line.startswith("relu1 ") for line in lines)


def test_json_is_the_sweep_as_plain_data(data: str) -> None:
    """One document and nothing else."""
    found = run(data, *GIVEN, "--synapse", "none,0.002", "--json")

    assert json.loads(found.stdout) == json.loads(
        json.dumps(library(synapse=[None, 0.002]).as_dict())
    )


def test_options_become_arguments(data: str) -> None:
    """Rules for steps of `--dt`, repeated; what is the same for all settings."""
    rule = ["--scale", "minimum-error:8,per=layer", "--scale", "50", "--calibration", data]
    more = ["--max-spikes-per-step", "1", "--initial-voltage", "zero", "--dt", "0.002"]
    more += ["--minimise", "latency", "--energy-table", "45nm-int8", "--steps", "8"]
    found = json.loads(run(data, *rule, *more, "--json", "--within", "0.5").stdout)
    x, _ = demo.held_out(40)
    expected = library(
        scales=[sw.MinimumError(8, dt=0.002, per="layer"), 50], steps=8, dt=0.002, calibration=x,
        max_spikes_per_step=1, initial_voltage="zero", minimise="latency", within=0.5,
        energy_table="45nm-int8",
    )  # fmt: skip

    assert found["records"] == json.loads(json.dumps([r.as_dict() for r in expected.records]))
    assert found["best"] == json.loads(json.dumps(expected.as_dict()["best"]))


def test_a_setting_that_fails_is_listed(data: str) -> None:
    """With a row of its own and its reason; the exit code says that the sweep was done."""
    found = run(data, "--scale", "20", "--scale", "target-rate:200", "--steps", "8")

    assert found.exit_code == 0
    assert "failed: TargetRate(hz=200.0): " in found.stdout
    assert "calibration" in found.stdout


def test_picture_and_page(data: str, tmp_path: Path) -> None:
    """A picture with its data beside it; a page with the sweep's own section and the call."""
    picture, page = tmp_path / "a.png", tmp_path / "a.html"
    found = run(data, *GIVEN, "--picture", str(picture), "--report", str(page))
    text = page.read_text(encoding="utf-8")

    assert found.exit_code == 0, found.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    with picture.with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 2 and {row["scale"] for row in rows} == {"20.0", "100.0"}
    assert "What the firing-rate scale does" in text and "What accuracy costs" in text
    assert library().call.splitlines()[0].partition("(")[0] in text
    assert library().conclusion.partition(" points")[0] in text


def test_where_nothing_is_near_the_nearest_is_shown(data: str, tmp_path: Path) -> None:
    """The page is about it."""
    page = tmp_path / "a.html"
    found = run(data, "--scale", "1", "--steps", "2", "--report", str(page))

    assert found.exit_code == 0, found.output
    assert "No setting here comes within 1 point" in found.stdout
    assert "No setting here comes within 1 point" in page.read_text(encoding="utf-8")


def test_it_goes_on_from_a_checkpoint(data: str, tmp_path: Path) -> None:
    """The same command again prints the same."""
    kept = ["--checkpoint", str(tmp_path / "kept"), "--json"]
    first, second = run(data, *GIVEN, *kept), run(data, *GIVEN, *kept)

    assert first.stdout == second.stdout
    assert len(list((tmp_path / "kept").iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scale", "fast"], "'fast' is neither a number nor a rule"),
        (["--scale", "1,,2"], "'' is neither a number nor a rule"),
        (["--synapse", "slow"], "'slow' is neither a number nor a synapse"),
        (["--steps", "0"], "'0' is not a whole number from 1"),
        (["--steps", "4,many"], "'many' is not a whole number from 1"),
        (["--within", "-1"], "--within"),
        (["--picture", "a.jpg"], "ends in none of .png, .svg and .pdf"),
        (["--picture", "nowhere/a.png"], "nowhere/a.png: its folder does not exist"),
        (["--spiking"], "No such option"),
        (["--energy-table", "free"], "no cost table is named 'free'"),
    ],
)
def test_mistakes_are_explained(data: str, arguments: list[str], message: str) -> None:
    """In one sentence, with exit code 2."""
    found = run(data, *arguments)

    assert found.exit_code == 2
    assert message in found.stderr.replace("\n", " ")


def test_a_pictures_data_replaces_nothing(data: str, tmp_path: Path) -> None:
    """A CSV that is not of an older picture is left alone, and that is said before the work."""
    mine = tmp_path / "a.csv"
    mine.write_text("mine")
    found = run(data, *GIVEN, "--picture", str(tmp_path / "a.png"))

    assert found.exit_code == 2
    assert "a.csv: exists and is not the data of a picture" in found.stderr
    assert mine.read_text() == "mine" and not (tmp_path / "a.png").exists()


def test_the_default_of_convert_is_a_row(data: str) -> None:
    """It is there without --scale, and with --reference; a sentence names the samples."""
    without = run(data, "--steps", "8", "--json")
    assert without.exit_code == 0, without.output
    rows = json.loads(without.stdout)["table"]
    assert [row["scale"] for row in rows] == ["default", 1.0, 2.0, 5.0, 10.0, 50.0]
    scales = [row["scale"] for row in json.loads(run(data, *GIVEN, "--json").stdout)["table"]]
    assert "default" not in scales
    told = run(data, *GIVEN, "--reference", "--calibration", data)
    assert "default: signed digits in 8 steps of a layer" in told.stdout
    assert "Chosen on the calibration samples." in " ".join(told.stdout.split())
