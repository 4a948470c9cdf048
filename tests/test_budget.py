"""Small files that ask for much: refused by the one budget of the file, before it is taken."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch._subclasses import FakeTensorMode

import spikewright as sw
from spikewright import graph, network
from spikewright._base import storage as _storage
from spikewright._base.archives import read_npz
from spikewright._base.budget import BYTES, NODES, Budget
from spikewright._base.hdf5 import look_through
from spikewright.errors import DamagedFileError, ReadError, UnsupportedLayerError
from spikewright.exchange import nir

OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("d", 1)]


def onnx_file(path: Path, nodes: list[Any], functions: Any = (), weights: Any = ()) -> Path:
    """A model from x `(n, 3)` to y."""
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3])] for name in ("x", "y")
    ]
    made = helper.make_model(
        helper.make_graph(nodes, "g", *ends, list(weights)),
        functions=list(functions), opset_imports=OPSETS, ir_version=9,
    )  # fmt: skip
    path.write_bytes(made.SerializeToString())
    return path


def nested(path: Path, depth: int = 30) -> Path:
    """Functions, each of which calls the next one twice."""
    functions = []
    for level in range(depth):
        pairs = [("a", "t"), ("t", "b")]
        nodes = [helper.make_node(f"f{level + 1}", [a], [b], domain="d") for a, b in pairs]
        if level == depth - 1:
            nodes = [helper.make_node("Relu", ["a"], ["b"])]
        functions.append(helper.make_function("d", f"f{level}", ["a"], ["b"], nodes, OPSETS))
    return onnx_file(path, [helper.make_node("f0", ["x"], ["y"], domain="d")], functions)


def in_a_branch(path: Path) -> Path:
    """The same functions, called in a branch of a function: what they become counts as well."""
    made = onnx.load(nested(path))
    inner = helper.make_graph(
        [helper.make_node("f1", ["a"], ["t"], domain="d")], "then",
        [], [helper.make_tensor_value_info("t", TensorProto.FLOAT, None)],
    )  # fmt: skip
    go = helper.make_node("Constant", [], ["go"], value=numpy_helper.from_array(np.array(True)))
    branch = helper.make_node("If", ["go"], ["b"], then_branch=inner, else_branch=inner)
    del made.functions[0].node[:]
    made.functions[0].node.extend([go, branch])
    path.write_bytes(made.SerializeToString())
    return path


def loops(path: Path, depth: int = 3) -> Path:
    """Loops inside of each other, each of a thousand runs."""
    inner = [helper.make_node("Relu", ["v0"], ["w0"])]
    for k in range(depth):
        on = helper.make_node("Identity", [f"c{k}"], [f"on{k}"])
        kinds = (TensorProto.INT64, []), (TensorProto.BOOL, []), (TensorProto.FLOAT, None)
        inputs = zip((f"i{k}", f"c{k}", f"v{k}"), kinds, strict=True)
        outputs = zip((f"on{k}", f"w{k}"), kinds[1:], strict=True)
        ends = [
            [helper.make_tensor_value_info(n, *kind) for n, kind in side]
            for side in (inputs, outputs)
        ]
        body = helper.make_graph([on, *inner], "body", *ends)
        given = ["times", "", "x" if k == depth - 1 else f"v{k + 1}"]
        made = "y" if k == depth - 1 else f"w{k + 1}"
        inner = [helper.make_node("Loop", given, [made], body=body)]
    times = numpy_helper.from_array(np.array(1000), "times")
    return onnx_file(path, inner, weights=[times])


def constants(path: Path) -> Path:
    """A hundred constants, each within any limit of its own."""
    shape = numpy_helper.from_array(np.array([2**24]), "shape")
    nodes = [helper.make_node("ConstantOfShape", ["shape"], [f"c{k}"], f"c{k}") for k in range(100)]
    sums = [helper.make_node("ReduceSum", [f"c{k}"], [f"s{k}"], keepdims=0) for k in range(100)]
    total = helper.make_node("Sum", [f"s{k}" for k in range(100)], ["s"])
    add = helper.make_node("Add", ["x", "s"], ["y"])
    return onnx_file(path, [*nodes, *sums, total, add], weights=[shape])


def doubled(path: Path) -> Path:
    """Data that are joined with themselves forty times."""
    names = ["x", *(f"d{k}" for k in range(39)), "y"]
    joined = [
        helper.make_node("Concat", [one, one], [two], two, axis=1) for one, two in pairwise(names)
    ]
    return onnx_file(path, joined)


def beside(path: Path) -> Path:
    """A thousand tensors that are all the same 16 MiB of one file."""
    with (path.parent / "data").open("wb") as file:
        file.truncate(16 << 20)
    weights, nodes, last = [], [], "x"
    for k in range(1000):
        tensor = TensorProto(name=f"w{k}", data_type=TensorProto.FLOAT, dims=[4 << 20])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="data")
        weights.append(tensor)
        nodes.append(helper.make_node("Add", [last, f"w{k}"], [last := f"a{k}"]))
    nodes[-1].output[0] = "y"
    return onnx_file(path, nodes, weights=weights)


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip archive."""
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def array_of_zeros(size: int) -> bytes:
    """A member of an `.npz` file, of so many bytes."""
    np.save(stream := io.BytesIO(), np.zeros(size, np.uint8))
    return stream.getvalue()


def many_arrays(path: Path) -> Path:
    """Arrays of 10 MiB, each in 50 kB."""
    zeros = array_of_zeros(10 << 20)
    return archive(path, {f"a{k}.npy": zeros for k in range(12)})


def of_another_method(path: Path) -> Path:
    """An array in a method that makes a hundred times more of a byte than the usual one."""
    return archive(path, {"x.npy": array_of_zeros(1 << 20)}, zipfile.ZIP_LZMA)


def just_a_header(path: Path) -> Path:
    """62 bytes that say that 8 TiB follow."""
    text = b"{'descr':'f8','fortran_order':1>2,'shape':(2**40,)}\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    return path


def a_header_in_an_archive(path: Path) -> Path:
    """The same in an `.npz` file."""
    text = b"{'descr':'<f8','fortran_order':False,'shape':(1099511627776,)}\n"
    member = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    return archive(path, {"x.npy": member})


def chunks(path: Path) -> Path:
    """Datasets of 48 MiB each that are nowhere in the file."""
    with h5py.File(path, "w") as file:
        for k in range(100):
            file.create_dataset(f"d{k}", (12 << 20,), "f4", chunks=(1 << 20,))
    return path


def links(path: Path) -> Path:
    """Groups, each of which has the next one in it twice."""
    with h5py.File(path, "w") as file:
        inner = file.create_group("last")
        for _ in range(40):
            outer = file.create_group("next")
            outer["one"] = outer["other"] = inner
            del file["next"]
            inner = outer
        file["first"] = inner
    return path


def keras_file(path: Path) -> Path:
    """A description of 60 MiB of empty lists."""
    return archive(path, {"config.json": b"[" + b"[]," * (20 << 20) + b"0]"})


def saved_graph(path: Path) -> Path:
    """Half a million layers that take copies of one array of 16 MiB."""
    shared = {"array": "a0"}
    layer = {"type": "ScaleShift", "scale": shared, "shift": shared}
    x = {"type": "Node", "name": "x", "layer": {"type": "Input", "shape": [1 << 21]}, "inputs": []}
    nodes = [x]
    for k in range(1000):
        nodes.append({**x, "name": f"n{k}", "layer": layer, "inputs": [nodes[-1]["name"]]})
    content = {"nodes": nodes, "outputs": {"y": "n999"}, "aliases": {}}
    _storage.write(path, "graph", content, {"a0": np.ones(1 << 21)})
    return path


def saved_network(path: Path) -> Path:
    """Nodes that all hold one array."""
    with sw.Network() as net:
        for _ in range(1000):
            sw.Node(np.ones(4))
    content, arrays = network.storage.FORMAT.encoded(network.storage.described(net)[0])
    text = json.dumps(content)
    for name in arrays:
        text = text.replace(f'"{name}"', '"a0"')
    _storage.write(path, "network", json.loads(text), {"a0": np.ones(1 << 21)})
    return path


class _Doubled(torch.nn.Module):
    """Joins data with themselves forty times."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(40):
            x = torch.cat([x, x], 1)
        return x


def doubling_program(path: Path) -> Path:
    """A program that is exported without being run."""
    with FakeTensorMode():
        made = torch.export.export(_Doubled(), (torch.zeros(2, 3),))
    made = made.run_decompositions({})
    torch.export.save(made, path)
    return path


class _Full(torch.nn.Module):
    """Adds the mean of a constant that the program makes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.full((8, 3), 0.5).mean(0)


def program(path: Path) -> Path:
    """A program that makes a constant of 8 TiB."""
    made = torch.export.export(_Full(), (torch.zeros(2, 3),))
    torch.export.save(made, path)
    members = {}
    with zipfile.ZipFile(path) as file:
        for name in file.namelist():
            content = file.read(name)
            if name.endswith("models/model.json"):
                document = json.loads(content)
                _enlarge(document, 8, 2**40)
                content = json.dumps(document).encode()
            members[name] = content
    return archive(path, members, zipfile.ZIP_STORED)


def _enlarge(value: Any, old: int, new: int) -> None:
    """Another number in the arguments of `full`."""
    for node in value["graph_module"]["graph"]["nodes"]:
        if node["target"].endswith("full.default"):
            sizes = node["inputs"][0]["arg"]["as_ints"]
            sizes[sizes.index(old)] = new


SMALL: dict[str, tuple[Callable[[Path], Path], str, Callable[[Path], Any], str]] = {
    "functions": (nested, ".onnx", sw.convert, "1610612734 nodes.*READ_NODES"),
    "functions in a branch": (in_a_branch, ".onnx", sw.convert, "nodes.*READ_NODES"),
    "loops": (loops, ".onnx", sw.convert, "nodes.*READ_NODES"),
    "constants": (constants, ".onnx", sw.convert, "c[08].*values.*128 MiB.*READ_BYTES"),
    "values": (doubled, ".onnx", sw.convert, "one sample, the value of '(d38|y)'.*READ_BYTES"),
    "external data": (beside, ".onnx", sw.convert, "data of tensor 'w.*READ_BYTES"),
    "arrays": (many_arrays, ".npz", read_npz, "its member 'a.*READ_BYTES"),
    "another method": (of_another_method, ".npz", read_npz, "compressed in another way"),
    "a header": (just_a_header, ".npz", read_npz, "a single array"),
    "a header in an archive": (a_header_in_an_archive, ".npz", read_npz, "not the bytes of shape"),
    "chunks": (chunks, ".nir", nir.load, "claims .*READ_BYTES"),
    "links": (links, ".nir", nir.load, "more objects than it can hold"),
    "description": (keras_file, ".keras", sw.convert, "config.json.*READ_BYTES"),
    "graph": (saved_graph, ".graph", graph.load, "its array 'a0'.*READ_BYTES"),
    "network": (saved_network, ".network", network.load, "its array 'a0'.*READ_BYTES"),
    "doubling program": (doubling_program, ".pt2", sw.convert, "value of 'cat.*READ_BYTES"),
    "program": (program, ".pt2", sw.convert, "values, which take 24 TiB.*READ_BYTES"),
}  # fmt: skip


LOW = [(kind, "1e8") for kind in SMALL]
LONG = {"arrays", "loops", "network"}
"""Files of which much may be made within the usual limits: seconds, where a lower one shows it."""

USUAL = [pytest.param(kind, "", marks=[pytest.mark.slow]) for kind in SMALL if kind not in LONG]


@pytest.mark.parametrize(("kind", "limit"), [*LOW, *USUAL])
def test_a_small_file_makes_no_large_thing(
    kind: str, limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused by name before anything of that size is made, with the way to allow it."""
    monkeypatch.setenv("SPIKEWRIGHT_READ_BYTES", limit)
    monkeypatch.setenv("SPIKEWRIGHT_READ_NODES", limit and "1e3")
    make, suffix, use, message = SMALL[kind]
    path = make(tmp_path / f"small{suffix}")
    begin = time.process_time()
    with pytest.raises((DamagedFileError, UnsupportedLayerError), match=message) as caught:
        use(path)
    assert time.process_time() - begin < (30 if limit else 150)
    if isinstance(caught.value, DamagedFileError):
        assert str(path) in str(caught.value)


def test_functions_are_counted_and_not_written_out(tmp_path: Path) -> None:
    """In well under a second, where one of a thousand times the size would take hours."""
    path = nested(tmp_path / "nested.onnx")
    assert path.stat().st_size < 2000
    sw.graph  # noqa: B018  (imported before the clock starts)
    with pytest.raises(DamagedFileError):
        sw.convert(path)
    begin = time.process_time()
    with pytest.raises(DamagedFileError):
        sw.convert(path)
    assert time.process_time() - begin < 0.5


def test_functions_within_the_budget_are_read(tmp_path: Path) -> None:
    """Five levels are sixteen activations."""
    made = sw.convert(nested(tmp_path / "nested.onnx", 5))
    assert len(list(made.graph)) == 1 + 16


def test_the_environment_raises_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And lowers it; a word that is no number is an error."""
    path = nested(tmp_path / "nested.onnx", 5)
    monkeypatch.setenv("SPIKEWRIGHT_READ_NODES", "10")
    with pytest.raises(DamagedFileError, match="10 nodes in all"):
        sw.convert(path)
    monkeypatch.setenv("SPIKEWRIGHT_READ_NODES", "1e3")
    sw.convert(path)
    for wrong in ("many", "0", "nan", "1e999"):
        monkeypatch.setenv("SPIKEWRIGHT_READ_NODES", wrong)
        with pytest.raises(ReadError, match=f"SPIKEWRIGHT_READ_NODES='{wrong}' is no limit"):
            sw.convert(path)


def test_budgets_grow_with_the_file() -> None:
    """So that what a large file holds is no reason to refuse it."""
    small, large = Budget("small"), Budget("large", 10**9, 10**6)
    assert (small.left, small.nodes_left) == (BYTES, NODES)
    assert large.left == 100 * 10**9
    assert large.nodes_left == 16 * 10**6


def test_all_values_of_an_hdf5_file_are_counted(tmp_path: Path) -> None:
    """Texts by their length, since many may be the same one."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["numbers"] = np.zeros(1000, np.float32)
        file["texts"] = ["x" * 500, "y" * 300]
    found = look_through(tmp_path / "a.h5", tmp_path / "a.h5")
    assert (found.numbers, found.size) == (1002, 4000 + 16 + 800)


def test_the_page_says_the_numbers() -> None:
    """As the code has them."""
    text = (Path(__file__).parents[1] / "docs" / "stability.md").read_text(encoding="utf-8")
    for said in ("1 GiB, or 100 times", f"{NODES}, or 16 times", "READ_BYTES", "READ_NODES"):
        assert said in text
