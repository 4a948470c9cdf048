"""docs/own_layers.md: the neuron type and the synapse of one's own run, and mean what it says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripts import page_pictures
from scripts.pages import DOCS

import spikewright as sw
from spikewright import engines

SECTIONS = ("A neuron type of your own", "A synapse of your own")


def section(title: str) -> str:
    """The text of a section."""
    text = (DOCS / "own_layers.md").read_text(encoding="utf-8")
    return next(part for part in text.split("\n## ") if part.startswith(f"{title}\n"))


def names_of(title: str) -> dict[str, Any]:
    """The names that a section's example leaves, and under "" what it prints."""
    found: dict[str, Any] = {"__name__": "documented"}
    stream = io.StringIO()
    (code,) = re.findall(r"^```python\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)
    with contextlib.redirect_stdout(stream):
        exec(compile(code, "own_layers.md", "exec", dont_inherit=True), found)
    return {**found, "": stream.getvalue()}


@pytest.mark.parametrize("title", SECTIONS)
def test_an_example_prints_what_stands_below_it(title: str) -> None:
    """Each by itself."""
    (printed,) = re.findall(r"^```text\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)
    assert names_of(title)[""] == printed


def test_the_picture_is_that_of_the_neurons(tmp_path: Path) -> None:
    """Drawn anew, it looks like the one that is kept."""
    figure = names_of(SECTIONS[0])["figure"]
    drawn = page_pictures.save(Path("own_layers.md"), figure, tmp_path)
    kept = page_pictures.PICTURES / drawn.name
    assert page_pictures.difference(kept, drawn) < 0.015


@pytest.mark.parametrize("title", SECTIONS)
def test_an_example_runs_on_every_engine(title: str) -> None:
    """With the same result, also for a batch: nothing in it depends on how it is run."""
    net = names_of(title)["net"]
    data = {}
    for engine in engines.available():
        with sw.Simulator(net, engine=engine, precision="float64", progress=False) as sim:
            sim.run(0.2)
            data[engine] = [sim.data[probe] for probe in net.probes]
    with sw.Simulator(net, batch_size=2, precision="float64", progress=False) as sim:
        sim.run(0.2)
        data["batch"] = [sim.data[probe][1] for probe in net.probes]
    for found in data.values():
        for one, other in zip(found, data["reference"], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-9)
