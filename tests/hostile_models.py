"""ONNX models that strangers could send, drawn from a seeded generator, and names in them."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

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


def chosen(rng: random.Random, *others: Any) -> Any:
    """A name that means trouble, or one of some others."""
    return rng.choice([*NAMES, *others, *others])


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
