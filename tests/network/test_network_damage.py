"""Damaged and hostile files of networks: always the clear error, never anything half-made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

import spikewright as sw
from spikewright._base import storage as _storage
from spikewright._base.windows import Windows
from spikewright.errors import DamagedFileError
from spikewright.network import load, storage


def manifest(net: sw.Network) -> tuple[Any, dict[str, NDArray]]:
    """A network as plain data and arrays."""
    encoder = _storage.Encoder()
    content, _ = storage.to_manifest(net, encoder)
    return json.loads(json.dumps(content)), encoder.arrays


# Damage


def small_network() -> sw.Network:
    """One of each object, in a small file."""
    with sw.Network(label="small", seed=1) as net:
        stimulus = sw.Node([1.0, 2.0], label="in")
        ensemble = sw.Ensemble(
            2, neuron_type=sw.RunningMeanSpiking(sw.Tanh(1.0)), gain=1.0, bias=0.5
        )
        sw.Connection(stimulus[:], ensemble.neurons[[1, 0]], 0.01, 2.0)
        with sw.Network():
            pool = sw.Node(
                sw.MaxPool(Windows((2,), (1,), ((0, 0),), (1,))), size_in=(1, 2), label="pool"
            )
            sw.Connection(ensemble.neurons, pool, sw.Alpha(0.01), sw.Reshape((1, 2)))
        sw.Probe(pool, sample_every=0.01, synapse=0.1)
    return net


def test_other_files_are_told_apart(tmp_path: Path) -> None:
    """A missing file, one that is none of ours, and one that holds something else."""
    with pytest.raises(FileNotFoundError, match="none"):
        load(tmp_path / "none.sw")
    (tmp_path / "text.sw").write_text("hello")
    with pytest.raises(DamagedFileError, match="not a readable Spikewright file"):
        load(tmp_path / "text.sw")
    _storage.write(tmp_path / "other.sw", "graph", {}, {})
    with pytest.raises(
        DamagedFileError,
        match=r"holds a 'graph', a 'network' was expected\. Read it with spik",
    ):
        load(tmp_path / "other.sw")


SMALL = manifest(small_network())


def test_deep_nesting_is_an_error_and_no_crash() -> None:
    """Networks in networks without end, and transforms in transforms."""
    content: Any = {**SMALL[0], "networks": []}
    for _ in range(20_000):
        content = {
            "label": None, "seed": None, "nodes": [], "ensembles": [], "connections": [],
            "probes": [], "networks": [content],
        }  # fmt: skip
    with pytest.raises(DamagedFileError, match="RecursionError"):
        storage.from_manifest(content, SMALL[1], "deep.sw")
