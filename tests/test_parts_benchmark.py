"""The benchmarks beside Nengo: each part of the registries has its network in either library."""

from __future__ import annotations

import pytest

import spikewright as sw
from spikewright.network.learning import LEARNING_RULES
from spikewright.network.neurons import NEURON_TYPES
from spikewright.network.processes import PROCESSES
from spikewright.network.synapses import SYNAPSES

nengo = pytest.importorskip("nengo")
parts = pytest.importorskip("benchmarks.parts")
step = pytest.importorskip("benchmarks.step")

REGISTRIES = {
    "neurons": NEURON_TYPES,
    "rule": LEARNING_RULES,
    "synapse": SYNAPSES,
    "process": PROCESSES,
}
MISSING = {"GridLIF", "WindowMean", "PoissonSpikes"}
"""Some that Nengo lacks."""


@pytest.mark.parametrize("kind", parts.KINDS)
def test_every_part_has_a_network(kind: str) -> None:
    """In Spikewright's words always, in Nengo's where it has the part."""
    found = {part.name: part for part in parts.KINDS[kind]()}
    assert set(REGISTRIES[kind]) <= set(found)
    lacking = set()
    for part in found.values():
        assert part.build(sw).all_probes
        try:
            assert part.build(nengo).all_probes
        except AttributeError:
            lacking.add(part.name)
    assert MISSING & set(found) <= lacking < set(found)


def test_a_part_is_measured() -> None:
    """A row: both times, their ratio, and the kernel or the reason."""
    found = {part.name: part for part in parts.synapses()}
    name, theirs, ours, faster, kernel = parts.measure(found["Triangle"], 5)
    assert (name, kernel) == ("Triangle", "native")
    assert float(theirs) > 0 < float(ours)
    assert faster.endswith(" x")
    lacking = parts.measure(found["WindowMean"], 5)
    assert lacking[1] == lacking[3] == "-"
    assert "no native kernel" in lacking[4]


def test_single_steps_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row a model, in all three simulators."""
    monkeypatch.setattr(step, "STEPS", 5)
    lines = step.table(1, 5, (1,)).splitlines()
    assert lines[0] == "| us a step | Nengo | NengoSimulator | Simulator |"
    assert len(lines) == 4
    assert lines[2].startswith("| 1 ensemble behind a constant | ")
