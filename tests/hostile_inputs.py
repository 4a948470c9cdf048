"""Files that strangers could send, of each kind that is opened, drawn from a seeded generator."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from onnx import TensorProto, helper, numpy_helper

LONG, NUL, ESCAPES = "n" * 5000, "a\0b", "\x1b]0;owned\x07\x1b[2J\u202e"
NAMES = [
    LONG,
    NUL,
    ESCAPES,
    "",
    ".",
    "..",
    "/",
    "../x",
    "a/b",
    "\u2028",
    "\U0001f600",
    "é",
    "x",
    "y",
]
SIZES = [0, 1, 2, 3, 7, 2**16, 2**24, 2**31, 2**40, 2**62, -1, -(2**40)]


class Canary:
    """Makes a file where it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = str(place)

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.place),)


def chosen(rng: random.Random, *others: Any) -> Any:
    """A name that means trouble, or one of some others."""
    return rng.choice([*NAMES, *others, *others])


def archive(rng: random.Random, members: list[tuple[str, bytes]]) -> bytes:
    """A zip archive of members, perhaps of odd names and methods, doubled, or folders."""
    stream = io.BytesIO()
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in members:
            info = zipfile.ZipInfo(name or "empty")
            odd = rng.random() < 0.2
            info.compress_type = rng.choice(methods if odd else methods[:2])
            if odd and rng.random() < 0.3:
                info.filename += "/"
            file.writestr(info, content)
    return damaged(rng, stream.getvalue())


def damaged(rng: random.Random, content: bytes) -> bytes:
    """The same, or an end of it, with other bytes, sizes or flags."""
    kind, changed = rng.random(), bytearray(content)
    if kind < 0.5:
        return content
    if kind < 0.6:
        return content[: rng.randrange(len(content) + 1)]
    if kind < 0.75:
        for _ in range(rng.choice((1, 1, 3, 20))):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        return bytes(changed)
    place = content.rfind(b"PK\x01\x02")  # an entry of the directory: flags, method, sizes, offset
    offset, form = rng.choice(
        [(8, "<H"), (10, "<H"), (20, "<I"), (24, "<I"), (28, "<H"), (42, "<I")]
    )
    if place >= 0:
        value = rng.choice((0, 1, 9, 14, 2**16 - 1, 2**31, 2**32 - 1)) & (
            2 ** (8 * struct.calcsize(form)) - 1
        )
        struct.pack_into(form, changed, place + offset, value)
    return bytes(changed)


def header(rng: random.Random) -> bytes:
    """An array that says something of itself, and a few bytes."""
    descr = rng.choice(
        ["'<f8'", "'|O'", "'<f4'", "'|V999999999'", "'<U9'", "[('a','<f8')]", "3", "'x'"]
    )
    order = rng.choice(["False", "True", "9", "None"])
    size = rng.choice([*map(str, SIZES), "2**40", "'a'", "(" * 3000, "1e9"])
    text = (
        f"{{'descr':{descr},'fortran_order':{order},'shape':({size},{rng.choice(['', '2,'])})}}\n"
    )
    version = bytes([rng.choice((1, 1, 1, 2, 3, 9)), 0])
    length = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    return b"\x93NUMPY" + version + length + text.encode() + bytes(rng.choice((0, 8, 24, 100)))


def array(value: Any) -> bytes:
    """A member of an `.npz` file."""
    np.save(stream := io.BytesIO(), value, allow_pickle=True)
    return stream.getvalue()


def npz(rng: random.Random, path: Path) -> None:
    """Arrays, and what is none: pickles, texts, headers of others, members of any name."""
    pickled = pickle.dumps(Canary(path.parent / "executed"))
    objects = np.empty(2, object)
    objects[:] = Canary(path.parent / "executed")
    whole = [("x.npy", array(np.ones((4, 2)))), ("y.npy", array(np.arange(4)))]
    bad = [
        pickled, array(objects), b"", b"text", rng.randbytes(40), header(rng), header(rng),
        array(np.ones(()))[: rng.randrange(90)], array(np.ones((0, 3))), array(np.ones(3, ">c16")),
    ]  # fmt: skip
    members = list(whole)
    for _ in range(rng.choice((1, 1, 2))):
        name = rng.choice(["x.npy", "y.npy", "z", "z.npy", "x", f"{chosen(rng)}.npy", chosen(rng)])
        members[rng.randrange(len(members))] = (name, rng.choice(bad))
    if rng.random() < 0.2:
        members.append(rng.choice(members))
    if rng.random() < 0.1:
        path.write_bytes(rng.choice([*bad, array(np.ones(3))]))
        return
    path.write_bytes(archive(rng, [(name.replace("\0", "") or "e", c) for name, c in members]))


def proto(nodes: list[Any], weights: Any = (), functions: Any = (), **more: Any) -> Any:
    """A model from x `(n, 3)` to y."""
    ends = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 3])] for n in ("x", "y")]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("d", 1)]
    graph = helper.make_graph(nodes, "g", *ends, list(weights))
    return helper.make_model(
        graph, functions=list(functions), opset_imports=opsets, ir_version=9, **more
    )


def external(rng: random.Random, path: Path) -> None:
    """Weights in another file, by any name, at any place."""
    folder = path.parent
    (folder / "data").write_bytes(np.ones((3, 3), np.float32).tobytes())
    if not (folder / "pipe").exists():
        os.mkfifo(folder / "pipe")
        (folder / "circle").symlink_to(folder / "circle")
        (folder / "folder").mkdir()
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3, 3])
    tensor.data_location = TensorProto.EXTERNAL
    others = ["data", "data", "data", "pipe", "circle", "folder", "/etc/passwd", "/dev/zero"]
    places = [*others, "a" * 300, "data\0", "../data", "data/x", "C:\\x", "data/../data"]
    tensor.external_data.add(key="location", value=chosen(rng, *places))
    numbers = [*map(str, SIZES), "x", "", "1e3", "9" * 5000, " 4 ", "٣"]
    for key in ("offset", "length", "checksum", LONG):
        if rng.random() < 0.3:
            tensor.external_data.add(key=key, value=rng.choice(numbers))
    if rng.random() < 0.2:
        tensor.dims[:] = [rng.choice(SIZES) for _ in range(rng.randrange(4))]
    if rng.random() < 0.1:
        tensor.data_type = rng.randrange(25)
    path.write_bytes(
        proto([helper.make_node("MatMul", ["x", "w"], ["y"])], [tensor]).SerializeToString()
    )


def functions(rng: random.Random, path: Path) -> None:
    """Functions that call each other, and loops and branches in them."""
    depth, width = rng.choice((1, 3, 5, 20, 40, 90)), rng.choice((1, 1, 2, 3))
    made = []
    for level in range(depth):
        names = ["a", *(f"t{k}" for k in range(width - 1)), "b"]
        called = [level + 1] * width
        if rng.random() < 0.05:
            called[0] = rng.randrange(depth + 2)  # itself, one before it, or none at all
        nodes = [
            helper.make_node(f"f{k}", [a], [b], domain="d")
            for k, a, b in zip(called, names, names[1:], strict=False)
        ]
        if level == depth - 1:
            nodes = [helper.make_node(rng.choice(("Relu", "Nothing", "Tanh")), ["a"], ["b"])]
        if rng.random() < 0.1:
            nodes = [_branch(rng, nodes)[0], *_branch(rng, nodes)[1:]]
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("d", 1)]
        made.append(helper.make_function("d", f"f{level}", ["a"], ["b"], nodes, opsets))
    model = proto([helper.make_node("f0", ["x"], ["y"], domain="d")], functions=made)
    path.write_bytes(model.SerializeToString())


def _branch(rng: random.Random, nodes: list[Any]) -> list[Any]:
    """The nodes inside of an If whose condition is a constant."""
    out = helper.make_tensor_value_info("b", TensorProto.FLOAT, None)
    inner = helper.make_graph(nodes, "inner", [], [out])
    go = helper.make_node("Constant", [], ["go"], value=numpy_helper.from_array(np.array(True)))
    return [go, helper.make_node("If", ["go"], ["b"], then_branch=inner, else_branch=inner)]


def constants(rng: random.Random, path: Path) -> None:
    """Constants that are made of a few numbers, one after the other."""
    given: dict[str, Any] = {"one": np.ones((1, 3), np.float32)}
    nodes, last = [], "one"
    for k in range(rng.choice((1, 2, 5, 40))):
        name, size = f"c{k}", rng.choice((3, 2**10, 2**20, 2**24, 2**31, 2**40, 2**62, -1, 0))
        given[f"s{k}"] = np.array([size, 3])
        given[f"n{k}"] = np.array(size)
        kind = rng.randrange(8)
        if kind == 0:
            node = helper.make_node("ConstantOfShape", [f"s{k}"], [name], name)
        elif kind == 1:
            node = helper.make_node("Expand", [last, f"s{k}"], [name], name)
        elif kind == 2:
            node = helper.make_node("Tile", [last, f"s{k}"], [name], name)
        elif kind == 3:
            given["zero"], given["step"] = np.array(0), np.array(1)
            node = helper.make_node("Range", ["zero", f"n{k}", "step"], [name], name)
        elif kind == 4:
            given[f"p{k}"] = np.array([0, 0, size, 0])
            node = helper.make_node("Pad", [last, f"p{k}"], [name], name)
        elif kind == 5:
            given["on"] = np.array([0.0, 1.0], np.float32)
            given["at"] = np.array([0])
            node = helper.make_node("OneHot", ["at", f"n{k}", "on"], [name], name)
        else:
            node = helper.make_node("Concat", [last, last], [name], name, axis=0)
        nodes.append(node)
        last = name
    nodes.append(helper.make_node("ReduceMax", [last], ["m"], keepdims=0))
    whole = rng.random() < 0.3
    nodes.append(helper.make_node("Cast", ["m"], ["f"], to=TensorProto.FLOAT))
    nodes.append(helper.make_node("Add", ["x", "f"], ["z"]))
    nodes.append(helper.make_node("Relu", ["z"], ["r"] if whole else ["y"]))
    if whole:  # the same with what the data say
        tail = "r"
        for k in range(rng.choice((3, 40))):
            nodes.append(helper.make_node("Concat", [tail, tail], [tail := f"d{k}"], axis=1))
        nodes.append(helper.make_node("Identity", [tail], ["y"]))
    weights = [numpy_helper.from_array(np.asarray(v), n) for n, v in given.items()]
    path.write_bytes(proto(nodes, weights).SerializeToString())


def names(rng: random.Random, path: Path) -> None:
    """A small model whose layers, values, inputs and notes have any names."""
    place = iter(range(100))

    def odd(usual: str) -> str:
        return f"{chosen(rng)}{next(place)}" if rng.random() < 0.5 else usual

    x, w, a, b, y = odd("x"), odd("w"), odd("a"), odd("b"), odd("y")
    weights = [numpy_helper.from_array(np.ones((3, 3), np.float32), w)]
    nodes = [
        helper.make_node("MatMul", [x, w], [a], odd("dense")),
        helper.make_node(rng.choice(("Relu", "Relu", odd("Odd"))), [a], [b], odd("relu"),
                         domain=rng.choice(("", "", odd("d")))),
        helper.make_node(rng.choice(("Relu", "Softmax", "Sin")), [b], [y], odd("last")),
    ]  # fmt: skip
    batch = odd("n")
    ends = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, [batch, 3])] for n in (x, y)]
    graph = helper.make_graph(nodes, odd("g"), *ends, weights, doc_string=odd("doc"))
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(odd("d"), 1)],
        ir_version=9, producer_name=odd("p"),
    )  # fmt: skip
    helper.set_model_props(model, {odd("k"): odd("v")})
    path.write_bytes(model.SerializeToString())


@cache
def _nir() -> bytes:
    import nir

    rng = np.random.default_rng(0)
    nodes = [
        nir.Affine(rng.normal(size=(3, 4)), rng.normal(size=3)), nir.IF(np.ones(3), np.ones(3)),
        nir.LIF(np.ones(3), np.ones(3), np.zeros(3), np.ones(3)), nir.Linear(np.ones((2, 3))),
    ]  # fmt: skip
    nir.write(stream := io.BytesIO(), nir.NIRGraph.from_list(*nodes))
    return stream.getvalue()


def in_nir(rng: random.Random, path: Path) -> None:
    """Datasets without values, of other kinds, under any names; groups in groups."""
    path.write_bytes(_nir())
    with h5py.File(path, "r+") as file:
        found: list[str] = []
        file.visit(found.append)
        for _ in range(rng.choice((1, 1, 2))):
            name = rng.choice(found)
            if name not in file:
                continue
            holder, key = file[name].parent, name.rpartition("/")[2]
            _change(rng, file, holder, key)


def _change(rng: random.Random, file: Any, holder: Any, key: str) -> None:
    kind = rng.randrange(9)
    if kind == 0:  # another name
        name = chosen(rng).replace("\0", "").replace("/", "")
        if name not in ("", "."):
            holder.move(key, f"{name}{len(holder)}")
        return
    if kind == 1:
        holder.copy(holder[key], f"{key} again")
        return
    del holder[key]
    if kind == 2:
        holder[key] = h5py.Empty(rng.choice(("f4", "S10", "i8")))
    elif kind == 3:
        shape = rng.choice(((0,), (0, 3), (3, 0), (2**40, 0), ()))
        holder.create_dataset(key, shape, rng.choice(("f4", "i8", "S3")))
    elif kind == 4:
        holder.create_dataset(
            key, (rng.choice((10, 2**20, 2**26, 2**32)),) * 2, "f8", chunks=(8, 8)
        )
    elif kind == 5:
        types = ("c16", "f2", "u8", [("a", "f4")], h5py.string_dtype(), h5py.vlen_dtype("f4"),
                 h5py.ref_dtype, "V5", "?", h5py.enum_dtype({"A": 1}))  # fmt: skip
        holder.create_dataset(key, (rng.choice((0, 1, 3)),), rng.choice(types))
    elif kind == 6:
        holder[key] = rng.choice([ESCAPES, "x" * 5000, b"\xff\xfe", 1e308, float("nan"), -1, 2**62])
    elif kind == 7:
        inner = holder.create_group(key)
        for _ in range(rng.choice((1, 30, 90))):
            inner = inner.create_group(rng.choice(("g", "nodes", "type")))
    else:
        holder[key] = rng.choice((h5py.SoftLink("/node"), h5py.ExternalLink("x.h5", "/"), file))


@cache
def _keras(folder: Path) -> tuple[tuple[str, bytes], ...]:
    """The members of a small file of Keras's."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    layers = [keras.Input((3,), name="x"), keras.layers.Dense(2, "relu", name="dense")]
    keras.Sequential(layers).save(folder / "whole.keras")
    with zipfile.ZipFile(folder / "whole.keras") as file:
        return tuple((name, file.read(name)) for name in file.namelist())


def keras(rng: random.Random, path: Path) -> None:
    """Members of other sizes and methods, descriptions that nest, names that are no names."""
    members = dict(_keras(path.parent))
    kind = rng.randrange(6)
    if kind == 0:
        members["config.json"] = rng.choice(
            [b"[" * 10**5, b"[]", b"1", b"", b"\xff", b'{"a":' * 999]
        )
    elif kind == 1:
        members["config.json"] = b"[" + b"[]," * rng.choice((10, 10**6, 3 * 10**6)) + b"1]"
    elif kind == 2:
        document = json.loads(members["config.json"])
        layer = rng.choice(document["config"]["layers"])
        layer["config"]["name"] = chosen(rng, [], 3, None)
        layer[rng.choice(("class_name", "module", "registered_name", "name"))] = chosen(
            rng, "Dense"
        )
        members["config.json"] = json.dumps(document).encode()
    elif kind == 3:
        members[rng.choice(list(members))] = pickle.dumps(Canary(path.parent / "executed"))
    elif kind == 4:
        del members[rng.choice(list(members))]
    else:
        members[chosen(rng).replace("\0", "") or "e"] = rng.randbytes(9)
    path.write_bytes(archive(rng, list(members.items())))


@cache
def _pt2() -> tuple[tuple[str, bytes], ...]:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
    torch.export.save(torch.export.export(model, (torch.zeros(2, 3),)), stream := io.BytesIO())
    with zipfile.ZipFile(stream) as file:
        return tuple((name, file.read(name)) for name in file.namelist())


def pt2(rng: random.Random, path: Path) -> None:
    """Sizes, strides and names of tensors that are others; pickles in their place."""
    members = dict(_pt2())
    documents = [name for name in members if name.endswith(".json")]
    name = rng.choice(documents)
    document = json.loads(members[name])
    kind = rng.random()
    if kind < 0.7:
        _other_number(rng, document)
        members[name] = json.dumps(document).encode()
    elif kind < 0.85:
        members[rng.choice(list(members))] = pickle.dumps(Canary(path.parent / "executed"))
    else:
        members[rng.choice(list(members))] = rng.choice([b"", b"[" * 10**5, rng.randbytes(20)])
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED if kind > 0.95 else 0) as file:
        for member, held in members.items():
            file.writestr(member, held)
    path.write_bytes(content.getvalue() if kind < 0.6 else damaged(rng, content.getvalue()))


def _other_number(rng: random.Random, document: Any) -> None:
    """Another number, or a name, somewhere in plain data."""
    places = []

    def look(value: Any) -> None:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(item, dict | list):
                look(item)
            else:
                places.append((value, key))

    look(document)
    if not places:
        return
    for _ in range(rng.choice((1, 1, 3))):
        holder, key = rng.choice(places)
        text = isinstance(holder[key], str)
        holder[key] = chosen(rng, "relu") if text else rng.choice([*SIZES, None, "x", 1.5])


def saved(rng: random.Random, path: Path) -> None:
    """A safetensors file of ours, its header changed or its bytes cut."""
    import safetensors.numpy

    what = rng.choice(("graph", "network", "conversion", "statistics", LONG, ESCAPES))
    text = json.dumps({"format": rng.choice((1, 1, 2, "x")), "what": what, "content": {}})
    text = rng.choice([text, "[" * 10**5, "{}", "", ESCAPES, "1" * 5000])
    array_of = rng.choice([np.ones(3), np.zeros((0, 2)), np.ones((), np.float16)])
    content = safetensors.numpy.save({chosen(rng): array_of}, {"spikewright": text})
    if rng.random() < 0.3:
        length = rng.choice((0, 1, 2**40, 2**64 - 1, len(content)))
        content = struct.pack("<Q", length) + content[8:]
    path.write_bytes(content if rng.random() < 0.5 else damaged(rng, content))


KINDS: dict[str, tuple[Callable[[random.Random, Path], None], str]] = {
    "npz": (npz, ".npz"),
    "external": (external, ".onnx"),
    "functions": (functions, ".onnx"),
    "constants": (constants, ".onnx"),
    "names": (names, ".onnx"),
    "nir": (in_nir, ".nir"),
    "keras": (keras, ".keras"),
    "pt2": (pt2, ".pt2"),
    "saved": (saved, ".sw"),
}
"""By kind: what draws a file of it, and how its name ends."""


def drawn(kind: str, folder: Path, count: int, seed: int) -> list[Path]:
    """So many files of a kind."""
    make, suffix = KINDS[kind]
    found = []
    for number in range(count):
        path = folder / f"{kind}-{seed}-{number}{suffix}"
        make(random.Random(f"{kind} {seed} {number}"), path)
        found.append(path)
    return found
