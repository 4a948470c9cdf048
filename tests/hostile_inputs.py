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

from hostile_models import ESCAPES, LONG, SIZES, chosen, constants, external, functions, names


class Canary:
    """Makes a file where it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = str(place)

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.place),)


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
