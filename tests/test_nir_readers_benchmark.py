"""The tables of NIR's readers are made of checks."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("nir")

from benchmarks.nir_readers import page


def _row(reader: str, **more: Any) -> dict[str, Any]:
    row = {
        "reader": reader,
        "outcome": "ran",
        "versions": {reader: "1.2"},
        "explanation": "hard reset",
    }
    layers = [{"there": 3.0, "same": 0.5}, {"there": 5.0, "same": 1.0}]
    values = {"layers": layers, "reproduced": 1.0, "deviation": 0.25, "accuracy": 0.9}
    return {**row, **values, **more}


def test_a_row_says_what_became_of_a_reader() -> None:
    """One that ran, one with outputs of another node, one of a second file, one refusal."""
    refused = {
        "reader": "snn-mlir",
        "outcome": "refused",
        "versions": None,
        "explanation": "no loops",
    }
    rows = [
        _row("a"),
        _row("b", deviation=None, accuracy=None),
        _row("c", second="floor 1"),
        refused,
    ]
    here = {"spikes": {"n": 4.0, "m": 6.0}, "accuracy": 0.95}
    text = page({"dense": {"here": here, "source": 0.975, "readers": rows}})

    assert "### dense\n\n784-128-64-10" in text
    assert "| here | 10 | | | | 95.0%, source 97.5% | |" in text
    assert "| a 1.2 | 8 | 75.0% | 100.0% | 25.0% | 90.0% | hard reset |" in text
    assert "| b 1.2 | 8 | 75.0% | 100.0% |  |  | hard reset |" in text
    assert "| c 1.2, floor 1 | 8 |" in text
    assert "| snn-mlir | refused | | | | | no loops |" in text
