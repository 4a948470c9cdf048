"""Graphs in files: bit for bit there and back, and nothing but a clear error for a bad file."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.errors import DamagedFileError
from spikewright.graph import Graph, Node, load, save, to_text
from spikewright.graph.layers import Activation, Affine, Input
from spikewright.testing.layers import LayerExample, layer_examples


def _graph() -> Graph:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(4, 3)).astype(np.float32)
    nodes = (
        Node("x", Input((3,)), source="x", source_kind="InputLayer"),
        Node("dense", Affine(weight, rng.normal(size=4)), ("x",), "dense", "Dense"),
        Node("act", Activation("leaky_relu", {"negative_slope": 1e-05}), ("dense",), "dense"),
    )
    return Graph(nodes, {"ȳ": "act"}, {"dropout": "act"})


def _same(a: Graph, b: Graph) -> bool:
    """Whether two graphs are equal to the last bit."""
    if to_text(a) != to_text(b) or dict(a.outputs) != dict(b.outputs) or a.aliases != b.aliases:
        return False
    for one, other in zip(a, b, strict=True):
        if (one.source, one.source_kind) != (other.source, other.source_kind):
            return False
        for name, array in one.layer.arrays().items():
            kept = other.layer.arrays()[name]
            if array.dtype != kept.dtype or array.tobytes() != kept.tobytes():
                return False
    return True


def _around(example: LayerExample) -> Graph:
    """The graph of one layer on inputs of its own."""
    if isinstance(example.layer, Input):
        return Graph((Node("a", example.layer),), {"y": "a"})
    inputs = [Node(f"x{i}", Input(shape)) for i, shape in enumerate(example.shapes)]
    node = Node("a", example.layer, tuple(n.name for n in inputs), "a", example.id)
    return Graph((*inputs, node), {"y": "a"}, {"was": "a"})


@pytest.mark.parametrize("example", layer_examples(), ids=lambda example: example.id)
def test_every_layer_survives_a_file(example: LayerExample, tmp_path: Path) -> None:
    """Parameters, options, names, outputs and aliases come back, arrays bit for bit."""
    graph = _around(example)
    save(graph, tmp_path / "graph.sw")

    assert _same(load(tmp_path / "graph.sw"), graph)


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.arange(12.0).reshape(4, 3)),
        np.arange(24.0).reshape(4, 6)[:, ::2],
        np.arange(12, dtype=">f4").reshape(4, 3),
        np.arange(12, dtype=np.int16).reshape(4, 3),
        np.arange(12, dtype=np.float16).reshape(4, 3),
    ],
    ids=["fortran", "strided", "big-endian", "int16", "float16"],
)
def test_arrays_of_any_layout_keep_their_values(array: np.ndarray, tmp_path: Path) -> None:
    """Memory order and byte order may change, values and shapes may not."""
    graph = Graph((Node("x", Input((3,))), Node("a", Affine(array), ("x",))), {"y": "a"})
    save(graph, tmp_path / "graph.sw")
    kept = load(tmp_path / "graph.sw")["a"].layer.arrays()["weight"]

    np.testing.assert_array_equal(kept, array)
    assert kept.dtype == array.dtype.newbyteorder("=")


# --- damage ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all the damaged files of this module."""
    return tmp_path_factory.mktemp("damaged")


@pytest.fixture(scope="module")
def intact(place: Path) -> bytes:
    """The bytes of a good file."""
    save(_graph(), place / "intact")
    return (place / "intact").read_bytes()


@settings(max_examples=133, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_flipped_bit_never_goes_unnoticed(
    place: Path, intact: bytes, data: st.DataObject
) -> None:
    """One flipped bit is refused, unless the file still means the same to the last bit."""
    position = data.draw(st.integers(0, 8 * len(intact) - 1))
    flipped = bytearray(intact)
    flipped[position // 8] ^= 1 << position % 8
    (place / "flipped").write_bytes(flipped)

    try:
        graph = load(place / "flipped")
    except DamagedFileError as error:
        assert "flipped" in str(error)
    else:
        assert _same(graph, _graph())


def _safetensors(header: Any, payload: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + payload


def _tensor(dtype: str, size: int) -> bytes:
    """A file of one array of that type, whose manifest names it."""
    entry = {"dtype": dtype, "shape": [1], "data_offsets": [0, size]}
    text = json.dumps({"format": 1, "what": "graph", "content": {}, "crc32": 0})
    return _safetensors({"__metadata__": {"spikewright": text}, "a0": entry}, b"\0" * size)


HOSTILE = {
    "empty": b"",
    "pickle": pickle.dumps({"nodes": []}),
    "huge header": struct.pack("<Q", 2**63 - 1) + b"{}",
    "long header": struct.pack("<Q", 90_000_000) + b"{}",
    "no metadata": _safetensors({}),
    "foreign metadata": _safetensors({"__metadata__": {"format": "pt"}}),
    "manifest is no JSON": _safetensors({"__metadata__": {"spikewright": "{"}}),
    "manifest is a list": _safetensors({"__metadata__": {"spikewright": "[]"}}),
    "manifest is deep": _safetensors({"__metadata__": {"spikewright": "[" * 99_999}}),
    "manifest of a long number": _safetensors({"__metadata__": {"spikewright": "9" * 9999}}),
    "header is deep": _safetensors(b'{"a":' * 20_000),
    "offsets overlap": _safetensors(
        {n: {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]} for n in "ab"}, b"\0" * 8
    ),
    "negative shape": _safetensors(
        {"a": {"dtype": "F64", "shape": [-1], "data_offsets": [0, 8]}}, b"\0" * 8
    ),
    "shape that overflows": _safetensors(
        {"a": {"dtype": "F64", "shape": [2**62, 8], "data_offsets": [0, 8]}}, b"\0" * 8
    ),
    **{f"array of {kind}": _tensor(kind, size) for kind, size in
       [("BF16", 2), ("F8_E4M3", 1), ("F8_E5M2", 1), ("C64", 8), ("X99", 1)]},
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused(case: str, place: Path) -> None:
    """Crafted headers and manifests raise `DamagedFileError` that names the file."""
    (place / "hostile").write_bytes(HOSTILE[case])

    with pytest.raises(DamagedFileError, match="hostile"):
        load(place / "hostile")


def test_a_graph_that_cannot_be_saved_leaves_no_file(tmp_path: Path) -> None:
    """Objects and complex numbers are refused before anything is written."""
    for weight in (np.array([[object()] * 3]), np.ones((1, 3), complex)):
        graph = Graph((Node("x", Input((3,))), Node("a", Affine(weight), ("x",))), {"y": "a"})
        with pytest.raises(TypeError, match="cannot be saved"):
            save(graph, tmp_path / "graph.sw")

    assert list(tmp_path.iterdir()) == []
