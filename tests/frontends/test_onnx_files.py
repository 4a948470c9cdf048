"""ONNX files and the inputs of models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.external_data_helper import set_external_data
from onnx_helpers import NEWEST, agrees, close, feed_of, model, node, random, reference

import spikewright as sw
import spikewright.frontends as frontends
from spikewright.errors import DamagedFileError, GraphError, MissingExtraError, ReadError
from spikewright.frontends.onnx import read
from spikewright.graph import evaluate


def stateful(batch: Any, states: list[Any]) -> onnx.ModelProto:
    """A step of a network with two states side by side, which come first in their input."""
    nodes = [
        node("Gather", "state zero", "h", "hidden", axis=0),
        node("Gather", "state one", "c", "cell", axis=0),
        node("MatMul", "x w", "g", "gates"),
        node("Add", "g h", "sum"),
        node("Tanh", "sum", "new"),
        node("Mul", "new c", "y", "product"),
        node("Unsqueeze", "new axes", "n1"),
        node("Unsqueeze", "y axes", "y1"),
        node("Concat", "n1 y1", "states", "states", axis=0),
    ]
    weights = {
        "zero": np.array(0), "one": np.array(1), "axes": np.array([0]), "w": random(4, 3),
    }  # fmt: skip
    return model(nodes, {"x": [batch, 4], "state": states}, ["y", "states"], weights)


@pytest.mark.parametrize(
    ("batch", "states"),
    [("n", [2, "n", 3]), (1, [2, 1, 3]), ("n", [2, "rows", 3]), (None, [2, None, 3])],
)
def test_the_name_of_the_batch_axis_says_where_it_is(batch: Any, states: list[Any]) -> None:
    """It is fed with the batch first, and runs as the file has it; outputs have it first too."""
    source = agrees(stateful(batch, states), independent=False)
    assert source.graph.shapes["state"] == (2, 3)
    made = source.graph.shapes[source.graph.outputs["states"]]
    assert made == ((2, 1, 3) if batch == 1 else (2, 3))  # of one sample nothing is set apart
    feed = feed_of(source)
    values = evaluate(source.graph, feed)
    h, c = feed["state"][:, 0], feed["state"][:, 1]
    new = np.tanh(feed["x"] @ random(4, 3) + h)
    close(values["y"], new * c)
    close(values["states"], np.stack([new, new * c], 1).reshape(-1, *made))
    assert sw.convert(stateful(batch, states)).verify()


def test_one_sample_without_any_batch_axis() -> None:
    """In a file of one sample an input may have no axis for it at all."""
    nodes = [node("MatMul", "x w", "g"), node("Add", "g bias", "y", "it")]
    proto = model(nodes, {"x": [1, 4], "bias": [2, 3]}, ["y"], {"w": random(4, 3)})
    source = agrees(proto, independent=False)
    assert source.graph.shapes["bias"] == (2, 3)


def test_inputs_that_share_no_batch_are_refused() -> None:
    """Two sizes that are fixed and differ, and no name that says which is the batch."""
    with pytest.raises(ReadError, match=r"different first axes, {'x': 5, 'state': 2}"):
        read(stateful(5, [2, 5, 3]))


def rated() -> onnx.ModelProto:
    """Two networks, one for each sampling rate, of which a number without axes chooses."""

    def branch(function: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(function, TensorProto.FLOAT, None)
        return helper.make_graph([node(function, "x", function)], function, [], [out])

    nodes = [
        node("Equal", "rate fast", "quick"),
        node("If", "quick", "y", "choice", then_branch=branch("Relu"), else_branch=branch("Tanh")),
    ]
    proto = model(nodes, {"x": ["n", 4]}, ["y"], {"fast": np.array(16000)})
    proto.graph.input.append(helper.make_tensor_value_info("rate", TensorProto.INT64, []))
    return proto


@pytest.mark.parametrize(("rate", "function"), [(16000, "relu"), (8000, "tanh")])
def test_a_number_for_all_samples_is_a_constant(rate: int, function: str) -> None:
    """Its value is that of the example, and it is no input any more."""
    source = read(rated(), {"x": random(1, 4), "rate": rate})
    assert source.graph.inputs == ("x",)
    assert source.graph[source.graph.outputs["y"]].layer.function == function
    x = {"x": random(3, 4)}
    close(evaluate(source.graph, x)["y"], source.call(x)["y"])
    with pytest.raises(ReadError, match=r"'rate' has no axes.*example_input={'rate': ...}"):
        read(rated())


def small(opset: int = 18) -> onnx.ModelProto:
    """A model of two layers."""
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], name="dense"),
        helper.make_node("Relu", ["h"], ["y"], name="relu"),
    ]
    return model(nodes, {"x": ["n", 5]}, ["y"], {"w": random(5, 4), "b": random(4)}, opset)


def test_a_path_is_read(tmp_path: Path) -> None:
    """A path, as text or as a Path, gives what the model in memory gives."""
    path = tmp_path / "small.onnx"
    onnx.save(small(), path)
    for source in (read(path), read(str(path)), frontends.read(path), frontends.read(small())):
        feed = feed_of(source)
        close(evaluate(source.graph, feed)["y"], reference(small(), feed)["y"])


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"PK\x03\x04 a zip", bytes(range(256)), b"\x00" * 64]
)
def test_files_that_are_no_onnx(tmp_path: Path, content: bytes) -> None:
    """A file of something else is damaged, and its path is named."""
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"other\.onnx"):
        read(path)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(kept=st.floats(0, 0.999))
def test_truncated_files(tmp_path: Path, kept: float) -> None:
    """Wherever a file is cut off, it is damaged."""
    data = small().SerializeToString()
    path = tmp_path / "cut.onnx"
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(DamagedFileError, match=r"cut\.onnx"):
        read(path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(position=st.floats(0, 0.999), value=st.integers(0, 255))
def test_changed_bytes_never_crash(tmp_path: Path, position: float, value: int) -> None:
    """Any byte changed gives a model that is read, or one of the documented errors."""
    data = bytearray(small().SerializeToString())
    data[int(len(data) * position)] = value
    path = tmp_path / "changed.onnx"
    path.write_bytes(bytes(data))
    try:
        read(path)
    except (ReadError, GraphError) as error:
        assert str(error)


def broken(kind: str) -> onnx.ModelProto:
    """A model that breaks a rule of the standard."""
    proto = small()
    if kind == "circle":
        proto.graph.node[0].input[0] = proto.graph.node[-1].output[0]
    elif kind == "short data":
        proto.graph.initializer[0].raw_data = proto.graph.initializer[0].raw_data[:-4]
    elif kind == "unknown operator":
        proto.graph.node[1].op_type = "NoSuchOperator"
    elif kind == "no operator set":
        del proto.opset_import[:]
    elif kind == "missing value":
        proto.graph.node[0].input[0] = "nowhere"
    return proto


@pytest.mark.parametrize(
    "kind", ["circle", "short data", "unknown operator", "no operator set", "missing value"]
)
def test_invalid_models_are_damaged(kind: str) -> None:
    """What ONNX's checker refuses is damaged, with the checker's reason and the model's name."""
    reason = r"model 'small': (not a valid ONNX model\. \S|.*cannot be decoded)"
    with pytest.raises(DamagedFileError, match=reason):
        read(broken(kind))


@pytest.mark.parametrize("opset", [1, 6])
def test_old_operator_sets_are_refused(opset: int) -> None:
    """Below 7 the reason is the version, and what converts it is named."""
    with pytest.raises(ReadError, match=rf"version {opset}; 7 is the oldest.*version_converter"):
        read(small(opset))


@pytest.mark.parametrize("opset", [7, 8, 9, 10, 12, 15, 21, NEWEST])
def test_operator_sets_from_7_on_are_read(opset: int) -> None:
    """Every operator set from 9 to the installed one's is read."""
    agrees(small(opset))


def test_a_future_operator_set_is_refused() -> None:
    """An operator set that the installed onnx does not know is refused with both versions."""
    with pytest.raises(ReadError, match=rf"version {NEWEST + 1}, the installed onnx .*{NEWEST}"):
        read(small(NEWEST + 1))


def save_external(folder: Path, **entries: Any) -> Path:
    """A model whose weights are in `weights.bin` beside it; entries override where."""
    proto = small()
    weight = proto.graph.initializer[0]
    (folder / "weights.bin").write_bytes(b"\0" * 16 + weight.raw_data)
    where = {"location": "weights.bin", "offset": 16, "length": len(weight.raw_data), **entries}
    set_external_data(weight, **where)
    weight.ClearField("raw_data")
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    return folder / "model.onnx"


def test_data_beside_the_model(tmp_path: Path) -> None:
    """Weights in a file of their own are read, and evaluated."""
    source = read(save_external(tmp_path))
    feed = feed_of(source)
    expected = reference(small(), feed)["y"]
    close(evaluate(source.graph, feed)["y"], expected)
    close(source.activations(feed)["relu"], expected)


def test_data_saved_by_onnx(tmp_path: Path) -> None:
    """What onnx writes with save_as_external_data is read, from a folder below too."""
    (tmp_path / "data").mkdir()
    onnx.save(small(), tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0,
              location="data/m.bin")  # fmt: skip
    source = read(tmp_path / "m.onnx")
    np.testing.assert_array_equal(source.graph["dense"].layer.arrays()["weight"], random(5, 4).T)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "gone.bin"}, r"'w' is missing: there is no .*gone\.bin"),
        ({"offset": 20}, "at bytes 20 to 100 of weights.bin, which has 96: .*truncated"),
        ({"offset": -8}, "at bytes -8"),
        ({"location": "../weights.bin"}, "outside the model's folder"),
        ({"location": "/etc/hostname"}, "'/etc/hostname', outside the model's folder"),
        ({"location": ""}, "outside the model's folder"),
        ({"location": "a\0b"}, r"'a\\x00b', which is no name of a file"),
        ({"location": "a" * 300}, "which is no name of a file"),
        ({"length": 40}, "not a valid ONNX model|cannot be decoded"),
    ],
)
def test_data_that_is_not_there(tmp_path: Path, entries: dict[str, Any], message: str) -> None:
    """Missing, truncated and misplaced data is damaged; nothing outside the folder is opened."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "weights.bin").write_bytes(b"\0" * 200)
    path = save_external(tmp_path / "inner", **entries)
    with pytest.raises(DamagedFileError, match=message) as caught:
        read(path)
    assert "model.onnx" in str(caught.value)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    """A symbolic link is followed before the folder is compared."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "secret.bin").write_bytes(b"\0" * 200)
    (tmp_path / "inner" / "link.bin").symlink_to(tmp_path / "secret.bin")
    path = save_external(tmp_path / "inner", location="link.bin", offset=0)
    with pytest.raises(DamagedFileError, match="outside the model's folder"):
        read(path)


def test_an_offset_that_is_no_number(tmp_path: Path) -> None:
    """Offsets are text in the file; what is no number is damaged."""
    proto = onnx.load(save_external(tmp_path), load_external_data=False)
    for entry in proto.graph.initializer[0].external_data:
        if entry.key == "offset":
            entry.value = "soon"
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(DamagedFileError, match="no readable offset"):
        read(tmp_path / "model.onnx")


def test_a_model_in_memory_without_its_data(tmp_path: Path) -> None:
    """A ModelProto loaded without its external data cannot be read, and the path is asked for."""
    proto = onnx.load(save_external(tmp_path), load_external_data=False)
    with pytest.raises(ReadError, match=r"1 tensors, 'w' first.*Give the path"):
        read(proto)


def test_without_onnx_the_install_sentence_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where onnx is not installed, reading a file says how to install it."""
    onnx.save(small(), tmp_path / "small.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'spikewright\[onnx\]'"):
        frontends.read(tmp_path / "small.onnx")
