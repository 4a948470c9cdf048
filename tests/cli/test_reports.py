"""`--report`: a page about what a command measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import spikewright as sw
from cli.runs import invoke
from report.report_pages import Tag, parse
from spikewright import demo

MODEL = str(demo.MODEL)


def sections(path: Path) -> tuple[Tag, list[str]]:
    """A page, and which sections it has."""
    page = parse(path.read_text(encoding="utf-8"))
    return page, [s.attributes["aria-labelledby"] for s in page.all("section")]


def test_a_run_is_reported(tmp_path: Path, data: str) -> None:
    """Accuracy, rates and a sample; the command is there as it was typed."""
    path = tmp_path / "a page.html"
    options = ["--spiking", "--scale", "10", "--report", str(path)]
    result = invoke("run", MODEL, "--data", data, "--steps", "16", *options)
    page, found = sections(path)

    assert found == ["accuracy", "rates", "sample", "trace", "reproduce"]
    assert f"Report: {path}" in result.stderr
    lines = [code.text for code in page.all("code")]
    command = f"spikewright run {MODEL} --data {data} --steps 16 --spiking --scale 10"
    assert lines[0] == f"{command} --report '{path}'"
    assert lines[1] == (
        f"import spikewright as sw\n\nsw.convert({MODEL!r}, spiking=True, "
        "scale_firing_rates=10.0, initial_voltage='half')"
    )
    facts = page.all("section", **{"aria-labelledby": "reproduce"})[0].text
    assert "digits.onnx, SHA-256 " in facts and "seed0" in facts


def test_a_saved_network_is_reported_with_what_makes_it(tmp_path: Path, data: str) -> None:
    """It is loaded, and made again where options changed it; the lines give that network."""
    saved, page = str(tmp_path / "network"), tmp_path / "page.html"
    sw.convert(MODEL, spiking=True, synapse=0.01).save(saved)
    asked = ("run", saved, "--data", data, "--steps", "4", "--report", str(page))
    for options, line in (((), ""), (("--scale", "10"), "spiking=True, scale_firing_rates=10.0")):
        invoke(*asked, *options)
        code = sections(page)[0].all("code")[1].text.splitlines()[-1]
        assert code == f"sw.load({saved!r})" + (f".replace({line})" if line else "")


def test_an_evaluation_is_reported_with_all_that_there_is(tmp_path: Path, data: str) -> None:
    """Accuracy over time and against spikes, rates, a sample, a diagnosis, energy."""
    path = tmp_path / "page.html"
    options = ["--spiking", "--scale", "5", "--report", str(path)]
    invoke("evaluate", MODEL, "--data", data, "--steps", "8", *options)

    assert sections(path)[1] == [
        "accuracy", "trade-off", "rates", "sample", "diagnosis", "energy", "trace", "reproduce",
    ]  # fmt: skip


def test_a_rate_network_has_no_spikes_to_report(tmp_path: Path, data: str) -> None:
    """What does not spike has no raster and no diagnosis, and the sentence does not say spiking."""
    path = tmp_path / "page.html"
    invoke("run", MODEL, "--data", data, "--steps", "2", "--rate", "--report", str(path))
    page, found = sections(path)

    assert found == ["accuracy", "rates", "trace", "reproduce"]
    assert page.all("p")[0].text == "100.0 % of samples are right, after 2 steps."
    assert "After 2 steps of 1 ms the network answers" in page.all("p")[1].text


def test_a_diagnosis_is_reported(tmp_path: Path, data: str) -> None:
    """Error by layer, proposals, a sample; JSON on standard output stays one document."""
    path = tmp_path / "page.html"
    options = ["--scale", "2", "--report", str(path), "--json"]
    result = invoke("diagnose", MODEL, "--data", data, "--steps", "16", *options)
    page, found = sections(path)

    assert found == ["sample", "diagnosis", "trace", "reproduce"]
    assert result.stdout.startswith("{") and result.stdout.rstrip().endswith("}")
    assert any(c.text == "What to change, the best first" for c in page.all("caption"))


@pytest.mark.parametrize("command", ["run", "evaluate", "diagnose"])
def test_what_is_no_report_is_left_alone_before_anything_is_run(
    tmp_path: Path, data: str, command: str
) -> None:
    """The mistake is told at once: the model is not even opened."""
    path = tmp_path / "mine.txt"
    path.write_text("mine")
    options = ["--data", data, "--steps", "4", "--report", str(path)]
    result = invoke(command, "missing.onnx", *options, code=2)

    assert "mine.txt: exists and is not a report, so it was left alone" in result.stderr
    assert path.read_text() == "mine"


def test_input_that_is_encoded_has_no_sample(tmp_path: Path, data: str) -> None:
    """Spikes in the input have no activation of the source to stand beside."""
    path = tmp_path / "page.html"
    options = ["--spiking", "--encoder", "poisson:50", "--report", str(path)]
    invoke("evaluate", MODEL, "--data", data, "--steps", "8", *options)

    assert not {"sample", "diagnosis"} & set(sections(path)[1])


@pytest.mark.slow
def test_a_search_is_reported(tmp_path: Path) -> None:
    """What was searched and what was held back, with the lines that make the network again."""
    path = tmp_path / "page.html"
    x, y = demo.held_out()
    np.savez(tmp_path / "digits.npz", x=x, y=y)
    options = ["--trials", "10", "--timeout", "120", "--report", str(path)]
    invoke("tune", MODEL, "--data", str(tmp_path / "digits.npz"), *options)
    page, found = sections(path)

    assert found == [
        "accuracy", "trade-off", "rates", "sample", "diagnosis", "energy", "trace", "reproduce"
    ]  # fmt: skip
    assert "360 samples of digits.npz, some of which were searched on" in page.all("body")[0].text
    assert "conversion = sw.convert(" in page.all("code")[1].text
    assert "of samples are right" in page.all("p")[0].text
