"""The readers themselves: what is stated of each gives every spike that it sends.

python scripts/nir_readers.py FOLDER && SPIKEWRIGHT_NIR_READERS=FOLDER pytest -m nir_readers
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import spikewright as sw

pytest.importorskip("nir")

from nir_files import GRAPHS, samples, written

from spikewright.exchange.nir.checking import OURS, READERS

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


@pytest.mark.nir_readers
@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("name", READERS)
def test_every_spike_of_a_reader_is_given_again(name: str, graph: str, tmp_path: Path) -> None:
    """By NIR's equations under its stated semantics; spikes are ours where these are."""
    place = Path(FOLDER) / name
    if not FOLDER or not place.exists():
        pytest.skip(f"no environment of {name} in the folder SPIKEWRIGHT_NIR_READERS")
    row = sw.nir.check(written(graph, tmp_path), samples(graph), {name: place}, steps=STEPS)[name]

    if (name, graph) in REFUSED:
        assert row.outcome in ("refused", "failed") and re.search(REFUSED[name, graph], row.reason)
    elif READERS[name].semantics is None:
        assert row.outcome == "linted"
    else:
        assert (row.outcome, row.reproduced) == ("ran", 1.0), row.told()
        assert row.same == ((name, graph) in SAME)
        assert READERS[name].semantics != OURS or row.same
