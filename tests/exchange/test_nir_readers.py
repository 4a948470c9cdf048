"""The readers themselves: what is stated of each gives every spike that it sends.

python -m benchmarks.nir.environments FOLDER && SPIKEWRIGHT_NIR_READERS=FOLDER pytest -m nir_readers
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

import spikewright as sw

pytest.importorskip("nir")

from benchmarks.nir.checking import check
from benchmarks.nir.semantics import OURS, READERS
from nir_files import GRAPHS, samples, written

STEPS = 24
FOLDER = os.environ.get("SPIKEWRIGHT_NIR_READERS", "")
REFUSED = {
    ("snn-mlir", "residual"): "only linear-chain graphs are supported",
    ("snn-mlir", "branched"): "only linear-chain graphs are supported",
    ("snntorch", "recurrent"): "has no attribute 'items'",  # of its own making, by nodes' names
    ("sinabs", "synaptic"): "mat1 and mat2|its layers are others",  # it leaves the node out
    ("snntorch", "synaptic"): "r not supported in CubaLIF",  # it wants tau / dt
}
SAME = {("sinabs", "dense"), *(("nirtorch", graph) for graph in GRAPHS)}


def _place(name: str) -> Path:
    """The environment of a reader."""
    place = Path(FOLDER) / name
    if not FOLDER or not place.exists():
        pytest.skip(f"no environment of {name} in the folder SPIKEWRIGHT_NIR_READERS")
    return place


@pytest.mark.nir_readers
@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("name", READERS)
def test_every_spike_of_a_reader_is_given_again(name: str, graph: str, tmp_path: Path) -> None:
    """By NIR's equations under its stated semantics; spikes are ours where these are."""
    place = _place(name)
    row = check(written(graph, tmp_path), samples(graph), {name: place}, steps=STEPS)[name]

    if (name, graph) in REFUSED:
        assert row.outcome in ("refused", "failed") and re.search(REFUSED[name, graph], row.reason)
    elif READERS[name].semantics is None:
        assert row.outcome == "linted"
    else:
        assert (row.outcome, row.reproduced) == ("ran", 1.0), row.explanation()
        assert row.same == ((name, graph) in SAME)
        assert READERS[name].semantics != OURS or row.same


# The readers of leaky neurons, with their resets; Spyx has others of our spikes, by its own delay.
LEAKY = {"norse": "zero", "sinabs": "subtract", "spyx": "subtract"}
TIME = ("lif", "unscaled", "resists")


def _leaky(reset: str, behind: bool) -> sw.Network:
    """Two leaky populations, the first perhaps a current; voltages do not fall below -1."""
    rng, decays = np.random.default_rng(1), np.linspace(0.5, 0.9, 6)
    spiking = sw.DiscreteLIF(decays, reset, amplitude=1e-3)
    first = sw.DiscreteLI(decays[::-1].copy()) if behind else spiking
    with sw.Network() as net:
        x = sw.Node(np.zeros(4), label="x")
        options = {"gain": 1.0, "initial_voltage": "zero"}
        a = sw.Ensemble(6, None, neuron_type=first, bias=0.05, label="a", **options)
        b = sw.Ensemble(6, None, neuron_type=spiking, bias=0.0, label="b", **options)
        sw.Connection(x, a.neurons, None, rng.random((6, 4)) / 2)
        between = (
            sw.transforms.Scale(np.linspace(0.2, 0.4, 6)) if behind else rng.random((6, 6)) / 2
        )
        sw.Connection(a.neurons, b.neurons, None, between)
        sw.Probe(b.neurons, label="y")
    return net


@pytest.mark.nir_readers
@pytest.mark.parametrize("behind", [False, True], ids=["LIF", "current"])
@pytest.mark.parametrize("name", LEAKY)
def test_leaky_neurons_have_their_time_in_a_reader_of_another_rule(
    name: str, behind: bool, tmp_path: Path
) -> None:
    """In its dialect no spike is another because of time; by NIR's own rule some are."""
    place, net, rows = _place(name), _leaky(LEAKY[name], behind), {}
    x = np.random.default_rng(3).random((5, STEPS, 4)).astype(np.float32)
    for dialect in (name, "portable"):
        sw.nir.save(net, tmp_path / "net.nir", dialect)
        found = check(tmp_path / "net.nir", x, {name: place}, reset=LEAKY[name])
        rows[dialect] = found[name]
    own, plain = rows[name], rows["portable"]
    semantics = READERS[name].semantics or OURS
    reasons = [r for r in own.why if r.startswith(tuple(semantics.describe(c) for c in TIME))]

    assert (own.outcome, own.reproduced, reasons) == ("ran", 1.0, []), own.explanation()
    assert own.same or name == "spyx", own.explanation()
    assert all(layer.here > 5 for layer in own.layers)
    assert not plain.same  # sinabs leaves such a node out, and fails
