"""`spikewright diagnose`: the library's diagnosis, printed or as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

import spikewright as sw
from spikewright import demo
from spikewright.cli import main

STEPS = 24


def invoke(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["diagnose", *arguments])


def test_it_prints_what_the_library_says(data: str) -> None:
    """Spiking unless told otherwise; every option of `convert` goes through."""
    result = invoke(str(demo.MODEL), "--data", data, "--steps", str(STEPS), "--scale", "1")
    conversion = sw.convert(demo.MODEL, spiking=True, scale_firing_rates=1)
    found = conversion.diagnose(*demo.held_out(40), STEPS, progress=False)

    assert result.exit_code == 0
    assert result.stdout == f"Spiking network of digits.onnx, 768 neurons\n{found}\n"


def test_json_is_one_document(data: str) -> None:
    """Layers, proposals with arguments and what they gave when run, records."""
    given = ("--data", data, "--steps", str(STEPS), "--scale", "relu1=1", "--scale", "relu2=50")
    document = json.loads(invoke(str(demo.MODEL), *given, "--verify", "--json").stdout)

    assert document["layers"] == ["relu1", "relu2"]
    assert document["proposals"][0]["measured"]["gain"] > 0
    scales = [p["arguments"].get("scale_firing_rates") for p in document["proposals"]]
    assert any(isinstance(s, dict) and s["relu1"] > 1 and s["relu2"] == 50 for s in scales)
    assert {"gap", "accuracy drop"} <= {record["name"] for record in document["records"]}


def test_a_saved_network_is_diagnosed_as_its_model_is(data: str, tmp_path: Path) -> None:
    """With the same proposals, and under options as well."""
    path = str(tmp_path / "network.swt")
    sw.convert(demo.MODEL, spiking=True).save(path)
    given = ("--data", data, "--steps", str(STEPS))

    for options in (("--scale", "1"), ("--scale", "2")):
        found = invoke(path, *given, *options).stdout.partition("\n")
        assert "negative spikes" in found[2] or "raise the scale" in found[2]
        assert found[0] == "Spiking network of network.swt, 768 neurons"
        assert found[2] == invoke(str(demo.MODEL), *given, *options).stdout.partition("\n")[2]


def test_a_rate_network_is_refused(data: str) -> None:
    """With what to do."""
    refused = invoke(str(demo.MODEL), "--data", data, "--steps", "4", "--rate")

    assert refused.exit_code == 2
    assert "nothing to diagnose" in refused.stderr
