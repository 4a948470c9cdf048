"""docs/own_layers.md: the neuron type and the synapse of one's own run, and mean what it says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from pages import DOCS
from spikewright import engines
from spikewright.engines.python_steps import pure
from spikewright.errors import NetworkError

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


def test_the_neuron_type_may_have_a_value_for_each_neuron_and_is_saved() -> None:
    """Read with `xp.constant`; a registered class goes into files."""
    kind = names_of(SECTIONS[0])["Tiring"]
    assert pure(kind(), "step")
    page = section(SECTIONS[0])
    assert "xp.constant(self.tau)" in page and "network.neurons.register" in page

    class Each(kind):  # type: ignore[misc, valid-type]
        def step(self, xp: Any, current: Any, state: Any, clock: Any) -> Any:
            return xp.where(current > xp.constant(np.array([1.0, 2.0, 3.0])), 1.0, 0.0)

    for engine in engines.available():
        with sw.Network() as net:
            cells = sw.Ensemble(3, None, neuron_type=Each(), gain=1.0, bias=2.5)
            probe = sw.Probe(cells.neurons, "spike_count")
        with sw.Simulator(net, engine=engine, progress=False) as sim:
            sim.run_steps(1)
        assert sim.data[probe].tolist() == [[1, 1, 0]], engine
    with sw.Network() as net:
        sw.Ensemble(3, 1, neuron_type=Each())
    with pytest.raises(NetworkError, match=r"Each: its neurons differ, .* give gain= and bias="):
        sw.Simulator(net, progress=False)


def test_a_registered_type_is_saved(tmp_path: Path) -> None:
    """As the page says; it is taken out again."""
    from spikewright.network.neurons import base, register

    kind = names_of(SECTIONS[0])["Tiring"]
    try:
        register(kind)
        with sw.Network(seed=0) as net:
            sw.Ensemble(3, 1, neuron_type=kind(rise=0.25, initial_state={"raised": 0.5}))
        sw.network.save(net, tmp_path / "net.spike")
        found = sw.network.load(tmp_path / "net.spike").ensembles[0].neuron_type
        assert found == kind(rise=0.25, initial_state={"raised": 0.5})
    finally:
        base._registry.pop("Tiring", None)
