"""The file format beneath all saved things: encoding, checking, and writing in one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import spikewright as sw
from spikewright._base import storage as _storage
from spikewright._base.arguments import frozen
from spikewright._base.codec import ADDED, RecordDecoder, RecordEncoder
from spikewright.errors import DamagedFileError
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input


@dataclass
class Thing:
    """Something that is saved."""

    name: str = "a"
    anything: Any = None


REGISTRY = {"Thing": Thing}


def _there_and_back(value: Any, path: Path) -> Any:
    encoder = RecordEncoder()
    _storage.write(path, "graph", encoder.encode(value), encoder.arrays)
    content, arrays = _storage.read(path, "graph")
    return RecordDecoder(arrays, [REGISTRY]).decode(content)


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
nested = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        | st.builds(Thing, anything=inner)
    ),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file that is written again and again."""
    return tmp_path_factory.mktemp("storage") / "file"


@settings(max_examples=66, deadline=None, derandomize=True)
@given(value=nested)
def test_plain_data_and_registered_classes_come_back(place: Path, value: Any) -> None:
    """Text, numbers, tuples, mappings and dataclasses, nested in any way, under any key."""
    assert _there_and_back(value, place) == value


@settings(max_examples=66, deadline=None, derandomize=True)
@given(
    array=hnp.arrays(
        hnp.boolean_dtypes() | hnp.integer_dtypes() | hnp.floating_dtypes(sizes=(16, 32, 64)),
        hnp.array_shapes(min_dims=0, min_side=0, max_side=4),
    )
)
def test_arrays_come_back_bit_for_bit(place: Path, array: NDArray) -> None:
    """Any shape, scalar and empty ones included, and any type of number, in native byte order."""
    (kept,) = _there_and_back((array,), place)
    native = array.astype(array.dtype.newbyteorder("="))

    assert (kept.dtype, kept.shape) == (native.dtype, native.shape)
    assert kept.tobytes() == native.tobytes()


def test_numpy_numbers_become_python_numbers() -> None:
    """A NumPy scalar in a field is saved as the number that it is."""
    encoded = RecordEncoder().encode((np.float32(0.5), np.int64(3), np.bool_(True)))

    assert encoded == [0.5, 3, True]
    assert [type(item) for item in encoded] == [float, int, bool]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (object(), "a object cannot be saved"),
        ({1, 2}, "a set cannot be saved"),
        (b"bytes", "a bytes cannot be saved"),
        (Thing, "a type cannot be saved"),
        (np.array([object()]), "an array of object"),
        (np.ones(2, complex), "an array of complex128"),
        (np.array(["text"]), "an array of <U4"),
    ],
)
def test_what_cannot_be_data_is_refused(value: Any, named: str) -> None:
    """Objects, classes and arrays of anything but numbers are a `TypeError` naming the type."""
    with pytest.raises(TypeError, match=named):
        RecordEncoder().encode({"inside": [value]})


def test_a_field_that_the_format_needs_for_itself_is_refused() -> None:
    """`type` names the class in a manifest, so no field can have that name."""

    @dataclass
    class Typed:
        type: str = "a"

    with pytest.raises(TypeError, match="Typed: a field named 'type'"):
        RecordEncoder().encode(Typed())


def test_only_registered_classes_are_rebuilt() -> None:
    """A name that the registry lacks is an error, whatever Python could import."""
    with pytest.raises(LookupError, match="Path is no kind of part"):
        RecordDecoder({}, [REGISTRY]).decode({"type": "Path", "args": "/"})


class Pair(NamedTuple):
    """A row: its fields in a list."""

    name: str
    value: float


class Base:
    """A kind that fields declare."""


@dataclass
class Kept(Base):
    """Of the declared kind."""

    size: int = 1


@dataclass
class Part:
    """A record within one."""

    of: int


@dataclass
class Other:
    """Another one, which has other entries."""

    to: int


@dataclass
class Record:
    """What the types of a record's fields may be."""

    part: Part | Other
    parts: Mapping[str, Part]
    kept: Base
    rows: tuple[Pair, ...]
    mixed: tuple[int | Part | NDArray | None, ...]
    array: NDArray
    plain: dict[str, Any]
    added: int = field(default=0, metadata=ADDED)


RECORD = Record(
    Other(2),
    {"type": Part(1)},
    Kept(3),
    (Pair("a", 0.5),),
    (1, Part(2), np.ones(3)),
    np.arange(2.0),
    {"x": [1, {"y": None}]},
)
DATA: dict[str, Any] = {
    "part": {"to": 2},
    "parts": {"type": {"of": 1}},
    "kept": {"type": "Kept", "size": 3},
    "rows": [["a", 0.5]],
    "mixed": [1, {"of": 2}, {"array": "a0"}],
    "array": {"array": "a1"},
    "plain": {"x": [1, {"y": None}]},
}
KINDS = [{"Kept": Kept, "Thing": Thing}]


def test_a_record_is_its_fields() -> None:
    """Only what is left open is marked; a default of a field that was added is not written."""
    encoder = RecordEncoder(KINDS)
    assert encoder.record(RECORD) == DATA
    made = RecordDecoder(encoder.arrays, KINDS).record(Record, DATA)
    np.testing.assert_array_equal(made.array, RECORD.array)
    np.testing.assert_array_equal(made.mixed[2], np.ones(3))
    made.array, made.mixed = RECORD.array, (*made.mixed[:2], RECORD.mixed[2])
    assert vars(made) == vars(RECORD)
    assert type(made.rows[0]) is Pair


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kept": {"type": "Thing"}}, "Thing stands where another kind of part is declared"),
        ({"kept": {"type": "Part", "of": 1}}, "Part is no kind of part"),
        ({"kept": {"type": "Kept", "size": "1"}}, "Kept.size holds '1', where it takes int"),
        ({"parts": {"a": {"of": None}}}, "parts.a.of holds None, where it takes int"),
        ({"parts": {"a": {}}}, "parts.a.of is missing"),
        ({"part": {"neither": 1}}, "part.of is missing"),
        ({"rows": [["a"]]}, "missing 1 required positional argument: 'value'"),
        ({"rows": [["a", "b"]]}, "Pair.value holds 'b', where it takes float"),
        ({"plain": [1]}, r"plain holds \(1,\)|plain holds \[1\]"),
    ],
)
def test_what_a_record_does_not_declare_is_named(changes: dict[str, Any], message: str) -> None:
    """A class of another kind, one that no registry has, and values of other types."""
    with pytest.raises((TypeError, LookupError), match=message):
        RecordDecoder({"a0": np.ones(3), "a1": RECORD.array}, KINDS).record(
            Record, {**DATA, **changes}
        )


def test_what_would_not_be_read_is_not_written() -> None:
    """A class that is not registered, and a value that its field does not declare."""
    for value, message in (
        (replace(RECORD, kept=type("Mine", (Kept,), {})()), "Mine is not registered"),
        (replace(RECORD, kept=Kept("1")), "Kept.size holds '1'"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=message):
            RecordEncoder(KINDS).record(value)


# --- reading ----------------------------------------------------------------------------------


def test_kind_and_format_are_checked_before_the_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of another kind or of a later format says what it is and what was expected."""
    path = tmp_path / "file"
    _storage.write(path, "network", {}, {})
    with pytest.raises(DamagedFileError, match="file: holds a 'network', a 'graph' was expected"):
        _storage.read(path, "graph")

    monkeypatch.setattr(_storage, "FORMAT", 2)
    with pytest.raises(DamagedFileError, match="format 1, this version reads format 2"):
        _storage.read(path, "network")


def test_the_checksum_covers_manifest_and_arrays(tmp_path: Path) -> None:
    """A changed byte of an array, an array too many and a changed manifest are all found."""
    path, array = tmp_path / "file", np.arange(4.0)
    _storage.write(path, "graph", {"x": 12345}, {"a": array})
    good = path.read_bytes()
    forgeries = [
        good.replace(np.float64(3.0).tobytes(), np.float64(2.0).tobytes()),
        good.replace(b"12345", b"12346"),
        good.replace(b'"F64"', b'"I64"'),
        good.replace(b'"a":', b'"b":'),
    ]

    for forged in forgeries:
        assert forged != good
        path.write_bytes(forged)
        with pytest.raises(DamagedFileError, match="does not match its checksum"):
            _storage.read(path, "graph")


def test_a_missing_file_is_not_a_damaged_one(tmp_path: Path) -> None:
    """The system's own error, with the path."""
    with pytest.raises(FileNotFoundError, match="nothing: no such file"):
        _storage.read(tmp_path / "nothing", "graph")


def test_files_are_safetensors_of_every_kind_of_number() -> None:
    """The library reads what is written here, and here it is read without a copy of its own."""
    kinds = [f"{letter}{size}" for letter in "iu" for size in (1, 2, 4, 8)] + [
        "f2",
        "f4",
        "f8",
        "?",
    ]
    shapes = [(), (3,), (2, 0), (5, 2)]
    rng = np.random.default_rng(0)
    arrays = {
        f"a{i}{j}": rng.integers(0, 2, shape).astype(kind)
        for i, kind in enumerate(kinds)
        for j, shape in enumerate(shapes)
    }
    found = safetensors.numpy.load(_storage.packed("graph", {"x": 1}, arrays))
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_a_conversion_s_file_holds_weights_once(tmp_path: Path) -> None:
    """Network and graphs have the same arrays, also once they are loaded."""
    rng = np.random.default_rng(0)
    weights = [frozen(rng.normal(size=shape)) for shape in ((40, 50), (3, 40))]
    nodes = (
        GraphNode("x", Input((50,))),
        GraphNode("fc", Affine(weights[0], rng.normal(size=40)), ("x",)),
        GraphNode("relu", Activation("relu"), ("fc",)),
        GraphNode("out", Affine(weights[1]), ("relu",)),
    )
    conversion = sw.convert(Graph(nodes, {"y": "out"}), spiking=True)
    path = tmp_path / "conversion"
    conversion.save(path)
    loaded = sw.load(path)
    _, arrays = _storage.read(path, "conversion")
    assert sum(array.nbytes for array in arrays.values()) < 1.2 * sum(w.nbytes for w in weights)
    transforms = [c.transform for c in loaded.network.all_connections]
    held = [t.matrix for t in transforms if isinstance(t, sw.transforms.Dense)]
    for weight, layer in zip(weights, ("fc", "out"), strict=True):
        read = loaded.graph[layer].layer.arrays()["weight"]
        np.testing.assert_array_equal(read, weight)
        assert any(np.shares_memory(read, matrix) for matrix in held)
