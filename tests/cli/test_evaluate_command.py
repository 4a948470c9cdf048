"""`spikewright evaluate`: the library's records, as tables and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result

import spikewright as sw
from spikewright import demo
from spikewright.cli import main
from spikewright.measure.energy import TABLES

MODEL = str(demo.MODEL)
OPTIONS = ("--steps", "20", "--spiking", "--scale", "20")


def run(*arguments: str, code: int = 0) -> Result:
    """The command, which ends with this code."""
    result = CliRunner().invoke(main, ["evaluate", MODEL, *arguments])
    assert result.exit_code == code, result.output
    return result


def library(**more: Any) -> sw.Evaluation:
    """The same call of the library."""
    x, y = demo.held_out(40)
    conversion = sw.convert(MODEL, spiking=True, scale_firing_rates=20.0)
    return conversion.evaluate(x, y, 20, **more)


def plain(found: sw.Evaluation) -> Any:
    """What JSON makes of an evaluation."""
    return json.loads(json.dumps(found.as_dict()))


def test_it_is_the_librarys_call(data: str, tmp_path: Path) -> None:
    """Every record, with --json and in the file."""
    more = ("--at", "5", "--threshold", "0.9", "--batch-size", "7", "-o", str(tmp_path / "e.json"))
    found = json.loads(run("--data", data, *OPTIONS, *more, "--json").stdout)
    expected = library(at=[5], thresholds=[0.9])

    assert {k: found[k] for k in ("settings", "records")} == plain(expected)
    assert sw.Evaluation.load(tmp_path / "e.json").records == expected.records


def test_it_prints_tables(data: str) -> None:
    """Accuracy at powers of two, layers, spikes and energy."""
    lines = run("--data", data, *OPTIONS, "--threshold", "0.9").stdout.splitlines()
    rows = [line.split() for line in lines]

    assert any("40 samples, 20 steps of 1 ms" in line for line in lines)
    for readout in ("mean", "last"):
        steps = [row[1] for row in rows if len(row) > 12 and row[0] == readout]
        assert steps == ["1", "2", "4", "8", "16", "20"]
    for layer in ("relu1", "relu2"):
        assert [len(row) for row in rows if row and row[0] == layer] == [7]
    assert any(line.startswith("source accuracy ") for line in lines)
    assert any(line.endswith(" spikes per sample") for line in lines)
    assert any("source," in line and "quantised twin" in line for line in lines)
    assert sum(line.split()[:1] == [name] for line in lines for name in TABLES) >= 3
    assert any(line.strip() == "Leaving early" for line in lines)


def test_regression_prints_errors(tmp_path: Path) -> None:
    """Targets in place of labels."""
    x, _ = demo.held_out(10)
    np.savez(tmp_path / "values.npz", x=x, y=np.zeros((10, 10)))
    text = run("--data", str(tmp_path / "values.npz"), "--steps", "4").stdout

    assert "mean absolute" in text
    assert "agreement" not in text


def test_it_goes_on_from_a_checkpoint(data: str, tmp_path: Path) -> None:
    """The second call reads what the first one kept."""
    kept = ("--checkpoint", str(tmp_path / "kept"))
    first = run("--data", data, *OPTIONS, *kept, "--json").stdout

    assert (tmp_path / "kept" / "evaluation.json").exists()
    assert run("--data", data, *OPTIONS, *kept, "--json").stdout == first
    refused = run("--data", data, "--steps", "21", "--spiking", *kept, code=2)
    assert "another evaluation" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_cluster_is_named_by_its_address(data: str) -> None:
    """The workers of a Dask scheduler give the same records."""
    import distributed

    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        where = ("--executor", "dask", "--address", cluster.scheduler_address)
        found = json.loads(run("--data", data, *OPTIONS, *where, "--json").stdout)

    assert found["records"] == plain(library())["records"]


def test_an_address_alone_is_a_mistake(data: str) -> None:
    """It says what it is for."""
    assert "executor" in run("--data", data, *OPTIONS, "--address", "tcp://x:1", code=2).stderr
