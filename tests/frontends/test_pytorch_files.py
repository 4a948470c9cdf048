"""`.pt2` files: read as data; damaged and hostile ones are refused without running anything."""

from __future__ import annotations

import io
import json
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytorch_helpers import Of, check_values, randomised
from torch import nn

from spikewright.errors import DamagedFileError, ReadError, UnsupportedLayerError
from spikewright.frontends import read
from spikewright.graph import evaluate, to_text

MODEL = "archive/models/model.json"
WEIGHTS = "archive/data/weights/model_weights_config.json"
CONSTANTS = "archive/data/constants/model_constants_config.json"
EXAMPLE = "archive/data/sample_inputs/model.pt"


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3)
        self.relu, self.head = nn.ReLU(inplace=True), nn.Linear(9, 2)
        self.register_buffer("shift", torch.ones(2), persistent=False)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        y = self.relu(self.bn(self.conv(x)))
        return {"logits": self.head(y.view(x.size(0), -1)) + self.shift, "features": y}


def _program() -> Any:
    model = randomised(_Network()).eval()
    free = ({0: torch.export.Dim("batch")},)
    return torch.export.export(model, (torch.zeros(2, 2, 5),), dynamic_shapes=free)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that torch.export.save wrote."""
    path = tmp_path_factory.mktemp("programs") / "archive.pt2"
    torch.export.save(_program(), path)
    return path


Change = Callable[[dict[str, bytes]], object]


def _changed(saved: Path, target: Path, change: Change) -> Path:
    """A copy of the file, with its members changed."""
    with zipfile.ZipFile(saved) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    with zipfile.ZipFile(target, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return target


def _in_json(member: str, change: Callable[[Any], object]) -> Change:
    def apply(members: dict[str, bytes]) -> None:
        document = json.loads(members[member])
        change(document)
        members[member] = json.dumps(document).encode()

    return apply


def test_saved_programs_read_like_their_modules(saved: Path) -> None:
    """Names, weights, values: a file gives the graph that its module gives."""
    source = read(saved)
    module = read(randomised(_Network()), np.zeros((2, 2, 5)))
    assert to_text(source.graph) == to_text(module.graph)
    assert {"conv", "bn", "relu", "head"} <= {node.name for node in source.graph}
    check_values(source)
    x = {"x": np.linspace(-1, 1, 30).reshape(3, 2, 5)}
    for name, value in evaluate(source.graph, x).items():
        np.testing.assert_array_equal(value, evaluate(module.graph, x)[name])


def test_files_of_the_older_layout_are_read(saved: Path, tmp_path: Path) -> None:
    """PyTorch before 2.8 saved the same program in other members."""
    from torch._export.serde.schema import SCHEMA_VERSION
    from torch._export.serde.serialize import serialize

    parts = serialize(_program())
    path = tmp_path / "old.pt2"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("version", ".".join(map(str, SCHEMA_VERSION)))
        file.writestr("serialized_exported_program.json", parts.exported_program)
        file.writestr("serialized_state_dict.pt", parts.state_dict)
        file.writestr("serialized_constants.pt", parts.constants)
        file.writestr("serialized_example_inputs.pt", parts.example_inputs)
    assert to_text(read(path).graph) == to_text(read(saved).graph)


def test_refusals_in_files_have_their_place(tmp_path: Path) -> None:
    """A layer without a reading is named with its line, from the file alone."""
    path = tmp_path / "steps.pt2"
    model = Of(lambda m, x: m.gate(torch.floor(x)), gate=nn.GELU())
    torch.export.save(torch.export.export(model, (torch.zeros(2, 3),)), path)
    with pytest.raises(UnsupportedLayerError, match=r"'floor' \(floor.*pytorch_helpers.py:\d+"):
        read(path)


@settings(max_examples=16, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_truncated_and_flipped_files(saved: Path, data: st.DataObject) -> None:
    """Any cut or changed byte gives the network unharmed or an error of the library, no other."""
    content = bytearray(saved.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[:place]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    path = saved.with_name("damaged.pt2")
    path.write_bytes(content)
    try:
        read(path)
    except ReadError as error:
        assert "damaged.pt2" in str(error) or isinstance(error, UnsupportedLayerError)


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip file", bytes(1000)])
def test_files_of_another_kind(tmp_path: Path, content: bytes) -> None:
    """What is no archive at all is named as such."""
    path = tmp_path / "other.pt2"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"other.pt2: not a file that torch.export.save"):
        read(path)


class _Bomb:
    """An object whose unpickling would leave a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return open, (str(self.trace), "w")


def _pickled(bomb: _Bomb) -> bytes:
    buffer = io.BytesIO()
    torch.save(bomb, buffer)
    return buffer.getvalue()


def _node(document: Any) -> Any:
    """The convolution."""
    return next(n for n in document["graph_module"]["graph"]["nodes"] if "conv1d" in n["target"])


def _graph(document: Any) -> Any:
    return document["graph_module"]["graph"]


def _renamed(document: Any, name: str) -> None:
    """Call the first input by another name everywhere."""
    text = json.dumps(document).replace('"p_conv_weight"', json.dumps(name))
    document.clear()
    document.update(json.loads(text))


def _attacks(code: str) -> dict[str, Change]:
    """Files in which `code` would run, in `torch.export.load` or in running the program."""
    expression = {"expr_str": code, "hint": {"as_int": 2}}
    structure = json.dumps([1, {"type": "builtins.dict", "children_spec": [], "context": "[]"}])
    enum = json.dumps({"__enum__": True, "fqn": "antigravity:x", "name": "y"})
    factory = {"default_factory_module": "antigravity", "default_factory_name": "x"}

    def spec(kind: str, context: Any) -> Callable[[Any], object]:
        protocol, tree = json.loads(structure)
        tree |= {"type": kind, "context": context}
        return lambda d: d["graph_module"]["module_call_graph"][0]["signature"].update(
            out_spec=json.dumps([protocol, tree])
        )

    def target(name: str) -> Change:
        return _in_json(MODEL, lambda d: _node(d).update(target=name))

    def payload(member: str, name: str, **entries: Any) -> Change:
        return _in_json(member, lambda d: d["config"][name].update(entries))

    return {
        "size": _in_json(
            MODEL,
            lambda d: _graph(d)["tensor_values"]["x"].update(sizes=[{"as_expr": expression}]),
        ),
        "operator": target("torch.os.system"),
        "operator by namespace": target("torch.ops.load_library.__func__.__globals__"),
        "operator as argument": _in_json(
            MODEL, lambda d: _node(d)["inputs"].append(
                {"name": "x", "arg": {"as_operator": "torch.os.system"}, "kind": 1}
            )
        ),
        "name of an input": _in_json(MODEL, lambda d: _renamed(d, f"a={code}")),
        "name of a node": _in_json(MODEL, lambda d: _node(d).update(name=f"a; {code}")),
        "name of a weight": _in_json(
            MODEL, lambda d: d["graph_module"]["signature"]["input_specs"][0]["parameter"].update(
                parameter_name=f"conv.weight'); {code}"
            )
        ),
        "field": _in_json(MODEL, lambda d: _graph(d)["tensor_values"].update({f"x\n{code}": {}})),
        "module of an enumeration": _in_json(MODEL, spec("builtins.dict", enum)),
        "module of a default": _in_json(
            MODEL, spec("collections.defaultdict", json.dumps({**factory, "dict_context": []}))
        ),
        "class of the outputs": _in_json(MODEL, spec("builtins.tuple", json.dumps({"a": code}))),
        "object among the inputs": _in_json(
            MODEL, lambda d: d["graph_module"]["signature"]["input_specs"].__setitem__(
                0, {"custom_obj": {"arg": {"name": "a", "class_fqn": "b"}, "custom_obj_name": "c"}}
            )
        ),
        "pickled weight": payload(WEIGHTS, "conv.weight", use_pickle=True),
        "weight elsewhere": payload(WEIGHTS, "conv.weight", path_name="../sample_inputs/model.pt"),
        "object as constant": payload(CONSTANTS, "shift", path_name="custom_obj_0"),
        "pickle as constant": payload(CONSTANTS, "shift", path_name="opaque_obj_0"),
    }  # fmt: skip


@pytest.mark.parametrize("attack", list(_attacks("")))
def test_files_that_would_run_code_are_refused(saved: Path, tmp_path: Path, attack: str) -> None:
    """Code in sizes, names, operators, structures and pickles is found before PyTorch sees it."""
    trace = tmp_path / "trace"
    code = f"__import__('pathlib').Path({str(trace)!r}).touch()"
    path = _changed(saved, tmp_path / "hostile.pt2", _attacks(code)[attack])
    with pytest.raises(DamagedFileError, match=r"hostile.pt2: .*files must be data"):
        read(path)
    assert not trace.exists() and "antigravity" not in sys.modules


def test_code_that_a_program_does_not_need_is_left_out(saved: Path, tmp_path: Path) -> None:
    """Guards, pickled example inputs and compiled libraries are never looked at."""
    trace = tmp_path / "trace"
    code = f"open({str(trace)!r}, 'w')"

    def change(members: dict[str, bytes]) -> None:
        _in_json(MODEL, lambda d: d.update(guards_code=[code]))(members)
        _in_json(MODEL, lambda d: _node(d)["metadata"].update(custom=code))(members)
        members[EXAMPLE] = _pickled(_Bomb(trace))
        members["archive/data/aotinductor/model/a.so"] = b"\x7fELF"
        members["archive/extra/notes.txt"] = code.encode()

    source = read(_changed(saved, tmp_path / "odd.pt2", change))
    check_values(source)
    assert to_text(source.graph) == to_text(read(saved).graph)
    assert not trace.exists()


def test_pickles_of_the_older_layouts_hold_tensors_only(saved: Path, tmp_path: Path) -> None:
    """A pickle in the place of the weights is refused unless it holds nothing but tensors."""
    trace = tmp_path / "trace"
    for member in ("archive/data/weights/model.pt", "archive/data/constants/model.pt"):
        for content in (_pickled(_Bomb(trace)), pickle.dumps(_Bomb(trace))):
            path = _changed(
                saved, tmp_path / "pickle.pt2", lambda m, k=member, v=content: m.update({k: v})
            )
            with pytest.raises(DamagedFileError, match="holds more than tensors"):
                read(path)
    assert not trace.exists()


def test_operators_of_unknown_libraries(saved: Path, tmp_path: Path) -> None:
    """An operator that no imported library registers is named; nothing says the file is damaged."""
    change = _in_json(MODEL, lambda d: _node(d).update(target="torch.ops.mine.relu.default"))
    with pytest.raises(ReadError, match=r"mine.relu.default.*Import its library") as caught:
        read(_changed(saved, tmp_path / "custom.pt2", change))
    assert not isinstance(caught.value, DamagedFileError)


def _meta(document: Any) -> Any:
    return document["config"]["conv.weight"]["tensor_meta"]


def _extent(size: int, stride: int) -> Any:
    return {"sizes": [{"as_int": size}], "strides": [{"as_int": stride}]}


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.pop(MODEL),
        lambda m: m.pop(WEIGHTS),
        lambda m: m.pop("archive/data/weights/weight_0"),
        lambda m: m.update({MODEL: b"[]"}),
        lambda m: m.update({MODEL: b"{}"}),
        lambda m: m.update({MODEL: b"[" * 100_000}),
        lambda m: m.update({MODEL: b"\xff\xfe"}),
        lambda m: m.update({WEIGHTS: b'{"config": {"conv.weight": {}}}'}),
        lambda m: m.update({"archive/data/weights/weight_0": b""}),
        lambda m: m.update({"archive/archive_version": b"99"}),
        _in_json(MODEL, lambda d: d["schema_version"].update(major=99)),
        _in_json(MODEL, lambda d: d.pop("graph_module")),
        _in_json(MODEL, lambda d: _graph(d)["nodes"].remove(_node(d))),
        _in_json(MODEL, lambda d: _graph(d)["outputs"].pop()),
        _in_json(MODEL, lambda d: _node(d)["inputs"].pop(0)),
        _in_json(MODEL, lambda d: _node(d).update(target="torch.ops.aten.relu.default")),
        _in_json(WEIGHTS, lambda d: d["config"].pop("conv.weight")),
        _in_json(WEIGHTS, lambda d: _meta(d)["sizes"].pop()),
        _in_json(WEIGHTS, lambda d: _meta(d).update(_extent(10**12, 0))),
        _in_json(WEIGHTS, lambda d: _meta(d).update(_extent(10**6, 1))),
        _in_json(WEIGHTS, lambda d: _meta(d).update(_extent(-2, 1))),
        _in_json(WEIGHTS, lambda d: _meta(d).update(dtype=99)),
    ],
)  # fmt: skip
def test_incomplete_and_inconsistent_files(
    saved: Path, tmp_path: Path, change: Change, capfd: pytest.CaptureFixture[str]
) -> None:
    """A missing or contradictory part is an error of the library that names the file.

    What PyTorch says of it stays off the screen.
    """
    with pytest.raises(ReadError, match=r"part.pt2"):
        read(_changed(saved, tmp_path / "part.pt2", change))
    assert capfd.readouterr() == ("", "")


def test_compressed_and_doubled_members(saved: Path, tmp_path: Path) -> None:
    """PyTorch never compresses, and never writes a name twice: such archives are refused."""
    path = tmp_path / "zipped.pt2"
    with zipfile.ZipFile(saved) as file, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as copy:
        for name in file.namelist():
            copy.writestr(name, file.read(name))
    with pytest.raises(DamagedFileError, match="is compressed"):
        read(path)
    path.write_bytes(saved.read_bytes())
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as file:
        file.writestr(MODEL, b"{}")
    with pytest.raises(DamagedFileError, match="two members of one name"):
        read(path)


def test_free_height_and_width_are_those_of_the_example(tmp_path: Path) -> None:
    """A network has fixed sizes: a file with free ones is read for the example's, or refused."""
    path, free = tmp_path / "free.pt2", torch.export.Dim
    model = randomised(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)))
    dims = ({0: free("batch"), 2: free("height", min=4), 3: free("width", min=4)},)
    program = torch.export.export(model.eval(), (torch.zeros(2, 1, 8, 9),), dynamic_shapes=dims)
    torch.export.save(program, path)
    with pytest.raises(ReadError, match=r"free size on axis 2.*example_input=x"):
        read(path)
    for source in (read(path, np.zeros((2, 1, 6, 7))), read(program, np.zeros((1, 1, 6, 7)))):
        assert source.graph.shapes["input"] == (1, 6, 7)
        check_values(source)
