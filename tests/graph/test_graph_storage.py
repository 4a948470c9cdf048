"""Graphs in files: bit for bit there and back, and nothing but a clear error for a bad file."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright._base import storage as _storage
from spikewright.errors import DamagedFileError, FolderError, MissingFileError
from spikewright.graph import Graph, GraphNode, evaluate, load, save, to_text
from spikewright.graph.layers import Activation, Affine, Constant, Input, Take
from spikewright.graph.storage import FORMAT
from spikewright.testing.layers import LayerExample, layer_examples


def _graph() -> Graph:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(4, 3)).astype(np.float32)
    nodes = (
        GraphNode("x", Input((3,)), source="x", source_kind="InputLayer"),
        GraphNode("dense", Affine(weight, rng.normal(size=4)), ("x",), "dense", "Dense"),
        GraphNode("act", Activation("leaky_relu", {"negative_slope": 1e-05}), ("dense",), "dense"),
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
        return Graph((GraphNode("a", example.layer),), {"y": "a"})
    inputs = [GraphNode(f"x{i}", Input(shape)) for i, shape in enumerate(example.shapes)]
    node = GraphNode("a", example.layer, tuple(n.name for n in inputs), "a", example.id)
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
    graph = Graph((GraphNode("x", Input((3,))), GraphNode("a", Affine(array), ("x",))), {"y": "a"})
    save(graph, tmp_path / "graph.sw")
    kept = load(tmp_path / "graph.sw")["a"].layer.arrays()["weight"]

    np.testing.assert_array_equal(kept, array)
    assert kept.dtype == array.dtype.newbyteorder("=")


def test_special_values_and_names_survive(tmp_path: Path) -> None:
    """NaN, infinities, negative zero, and names of any script with any punctuation."""
    weight = np.array([[np.nan, -np.inf, -0.0]])
    name = "層/ß \"b\"\n'c'\\"
    graph = Graph(
        (GraphNode("x", Input((3,))), GraphNode(name, Affine(weight), ("x",))), {name: name}
    )
    save(graph, tmp_path / "graph.sw")

    assert _same(load(tmp_path / "graph.sw"), graph)


def test_saving_twice_writes_the_same_bytes(tmp_path: Path) -> None:
    """A file depends on the graph alone, so that it can be compared by its hash."""
    save(_graph(), tmp_path / "a")
    save(load(tmp_path / "a"), tmp_path / "b")

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_loaded_graph_computes_the_same(tmp_path: Path) -> None:
    """Values are equal to the last bit."""
    x = {"x": np.random.default_rng(1).normal(size=(5, 3))}
    save(_graph(), tmp_path / "graph.sw")

    loaded = evaluate(load(tmp_path / "graph.sw"), x)
    np.testing.assert_array_equal(loaded["ȳ"], evaluate(_graph(), x)["ȳ"])


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


def test_a_file_cut_short_anywhere_is_damaged(place: Path, intact: bytes) -> None:
    """Every prefix of a good file is refused."""
    for length in range(len(intact)):
        (place / "cut").write_bytes(intact[:length])
        with pytest.raises(DamagedFileError, match="cut"):
            load(place / "cut")


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


@settings(max_examples=200, deadline=None, derandomize=True)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused(place: Path, content: bytes) -> None:
    """Files that were never Spikewright's."""
    (place / "bytes").write_bytes(content)

    with pytest.raises(DamagedFileError):
        load(place / "bytes")


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


def _forge(place: Path, change: Any) -> Path:
    """A file with a right checksum whose manifest was changed by `change(manifest)`."""
    manifest, arrays = FORMAT.encoded(_graph())
    changed = change(copy.deepcopy(manifest))
    content = manifest if changed is None else changed
    _storage.write(place / "forged", "graph", content, arrays)
    return place / "forged"


def _set(*path: Any) -> Any:
    """A change that puts the last of `path` where the others lead."""

    def change(manifest: Any) -> Any:
        *way, last, value = path
        at = manifest
        for key in way:
            at = at[key]
        at[last] = value
        return manifest

    return change


FORGED = {
    "not a mapping": lambda m: [],
    "no nodes": lambda m: {"outputs": m["outputs"], "aliases": {}},
    "nodes is a number": _set("nodes", 3),
    "a node is text": _set("nodes", 1, "dense"),
    "a node is a layer": lambda m: {**m, "nodes": [m["nodes"][0]["layer"]]},
    "unknown kind": _set("nodes", 1, "layer", "type", "Exec"),
    "kind of Python": _set("nodes", 1, "layer", "type", "os.system"),
    "kind is a list": _set("nodes", 1, "layer", "type", []),
    "a layer is a node": lambda m: _set("nodes", 1, "layer", m["nodes"][0])(m),
    "a layer is a number": _set("nodes", 1, "layer", 7),
    "unknown field": _set("nodes", 1, "layer", "color", 1),
    "array that is not there": _set("nodes", 1, "layer", "weight", {"array": "a99"}),
    "array by number": _set("nodes", 1, "layer", "weight", {"array": 0}),
    "array by list": _set("nodes", 1, "layer", "weight", {"array": []}),
    "weights are text": _set("nodes", 1, "layer", "weight", "W"),
    "weights are numbers": _set("nodes", 1, "layer", "weight", [[1.0]]),
    "bias is a truth value": _set("nodes", 1, "layer", "bias", True),
    "name is a number": _set("nodes", 1, "name", 5),
    "name is null": _set("nodes", 0, "name", None),
    "source is a list": _set("nodes", 0, "source", []),
    "inputs is text": _set("nodes", 1, "inputs", "x"),
    "inputs are numbers": _set("nodes", 1, "inputs", [0]),
    "cycle": _set("nodes", 1, "inputs", ["act"]),
    "shape is text": _set("nodes", 0, "layer", "shape", "abc"),
    "shape holds a fraction": _set("nodes", 0, "layer", "shape", [3.0]),
    "shape holds a truth value": _set("nodes", 0, "layer", "shape", [True]),
    "shape is negative": _set("nodes", 0, "layer", "shape", [-3]),
    "function is a number": _set("nodes", 2, "layer", "function", 1),
    "function is unknown": _set("nodes", 2, "layer", "function", "__import__"),
    "parameters is a list": _set("nodes", 2, "layer", "parameters", []),
    "parameter is text": _set("nodes", 2, "layer", "parameters", {"map": {"negative_slope": ""}}),
    "outputs is a list": _set("outputs", []),
    "outputs is empty": _set("outputs", {}),
    "outputs are numbers": _set("outputs", {"y": 1}),
    "outputs are lists": _set("outputs", {"y": []}),
    "output that is not there": _set("outputs", {"y": "q"}),
    "aliases is null": _set("aliases", None),
    "alias to nowhere": _set("aliases", {"a": "q"}),
    "stride of zero": _set("nodes", 1, "layer", {
        "type": "MaxPool", "size": [1], "stride": [0], "padding": [[0, 0]], "dilation": [1],
        "ceil_mode": False, "channels_last": False}),
    "infinite axis": _set("nodes", 2, "layer", {
        "type": "Activation", "function": "softmax",
        "parameters": {"map": {"axis": float("inf")}}}),
    "deep nesting": lambda m: _set("nodes", 0, "layer", "shape", _deep(150))(m),
    "deep nesting of maps": lambda m: _set("nodes", 0, "source", _deep_map(300))(m),
}  # fmt: skip


def _deep(levels: int) -> list:
    nested: list = []
    for _ in range(levels):
        nested = [nested]
    return nested


def _deep_map(levels: int) -> dict:
    nested: dict = {"map": {}}
    for _ in range(levels):
        nested = {"map": {"a": nested}}
    return nested


def test_a_forged_file_without_a_change_loads(place: Path) -> None:
    """The forgeries below are refused for their change, not for being forged."""
    assert _same(load(_forge(place, lambda manifest: manifest)), _graph())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["array", "map", "type", "a0", "x"]), inner, max_size=2)
    ),
    max_leaves=5,
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(data=st.data(), value=json_values)
def test_any_value_anywhere_in_a_manifest_is_refused_or_makes_a_graph(
    place: Path, data: st.DataObject, value: Any
) -> None:
    """Replace any part of a manifest by any JSON value: a graph, or `DamagedFileError`."""
    manifest, arrays = FORMAT.encoded(_graph())
    way = data.draw(st.sampled_from(list(_paths(manifest))))
    _set(*way, value)(manifest)
    _storage.write(place / "any", "graph", manifest, arrays)

    try:
        graph = load(place / "any")
    except DamagedFileError:
        return
    assert to_text(graph)


def _paths(value: Any, way: tuple = ()) -> Any:
    """The way to every part of nested lists and mappings."""
    if way:
        yield way
    children = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        children = enumerate(value)
    yield from itertools.chain.from_iterable(_paths(item, (*way, key)) for key, item in children)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    """What a file holds is checked before anything is rebuilt."""
    _storage.write(tmp_path / "n", "network", {}, {})

    with pytest.raises(DamagedFileError, match="holds a 'network', a 'graph' was expected"):
        load(tmp_path / "n")


def test_a_missing_file_is_missing_not_damaged(tmp_path: Path) -> None:
    """No file, or a folder, is an error with the path that says which."""
    for path, error in ((tmp_path / "nothing", MissingFileError), (tmp_path, FolderError)):
        with pytest.raises(error, match=str(path)):
            load(path)


def test_a_graph_that_cannot_be_saved_leaves_no_file(tmp_path: Path) -> None:
    """Objects and complex numbers are refused before anything is written."""
    for weight in (np.array([[object()] * 3]), np.ones((1, 3), complex)):
        graph = Graph(
            (GraphNode("x", Input((3,))), GraphNode("a", Affine(weight), ("x",))), {"y": "a"}
        )
        with pytest.raises(TypeError, match="cannot be saved"):
            save(graph, tmp_path / "graph.sw")

    assert list(tmp_path.iterdir()) == []


def test_infinite_parameters_survive(tmp_path: Path) -> None:
    """A clip without an upper bound, a class token, indices of whole numbers."""
    nodes = (
        GraphNode("x", Input((3,))),
        GraphNode("a", Activation("clip", {"minimum": -1.0, "maximum": float("inf")}), ("x",)),
        GraphNode("c", Constant(np.arange(3.0))),
        GraphNode("t", Take(np.array([2, -1]), 0), ("c",)),
    )
    graph = Graph(nodes, {"y": "a", "z": "t"})
    save(graph, tmp_path / "graph.sw")
    loaded = load(tmp_path / "graph.sw")

    assert _same(loaded, graph)
    assert loaded["t"].layer.arrays()["indices"].dtype == np.array([2]).dtype
