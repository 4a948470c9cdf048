"""Models that take or give one number a sample, of every reader, and their data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Input, Reshape

SAMPLES, USERS, ITEMS, WIDTH, SIDE = 44, 12, 15, 4, 3
RNG = np.random.default_rng(7)
USER, ITEM = RNG.integers(0, USERS, SAMPLES), RNG.integers(0, ITEMS, SAMPLES)
NUMBER = RNG.uniform(0.1, 1.0, SAMPLES).astype(np.float32)
IMAGE = RNG.uniform(0.0, 1.0, (SAMPLES, 1, SIDE, SIDE)).astype(np.float32)
TABLES = {
    "users": RNG.uniform(-0.5, 1.0, (USERS, WIDTH)).astype(np.float32),
    "items": RNG.uniform(-0.5, 1.0, (ITEMS, WIDTH)).astype(np.float32),
    "hidden": RNG.uniform(-0.3, 0.6, (2 * WIDTH, 6)).astype(np.float32),
    "wide": RNG.uniform(0.1, 1.0, (1, 6)).astype(np.float32),
    "score": RNG.uniform(-0.4, 0.6, (6, 1)).astype(np.float32),
    "classes": RNG.uniform(-0.4, 0.6, (WIDTH, 3)).astype(np.float32),
    "step": RNG.uniform(0.0, 0.3, (1, SIDE)).astype(np.float32),
}


class Case(NamedTuple):
    """The inputs of a model by name, and what is known of its outputs."""

    x: Mapping[str, NDArray]
    y: NDArray


CASES = {
    "ratings": Case({"user": USER, "item": ITEM}, RNG.uniform(0, 1, SAMPLES).astype(np.float32)),
    "chances": Case({"user": USER, "item": ITEM}, RNG.integers(0, 2, SAMPLES)),
    "dot product": Case({"user": USER, "item": ITEM}, RNG.uniform(0, 1, SAMPLES)),
    "category": Case({"user": USER}, RNG.integers(0, 3, SAMPLES)),
    "number": Case({"number": NUMBER}, RNG.uniform(0, 1, (SAMPLES, 1)).astype(np.float32)),
    "timestep": Case(
        {"image": IMAGE, "step": RNG.integers(0, 9, SAMPLES)},
        RNG.uniform(0, 1, IMAGE.shape).astype(np.float32),
    ),
}


class Weights(nn.Module):
    """The tables as parameters."""

    def __init__(self) -> None:
        super().__init__()
        for name, table in TABLES.items():
            self.register_parameter(name, nn.Parameter(torch.tensor(table)))


class Ratings(Weights):
    """Two ids, and a score `(batch,)`: neural collaborative filtering."""

    def forward(self, user: Any, item: Any) -> Any:
        """Rows side by side, a hidden layer, and a sum."""
        x = torch.cat([self.users[user], self.items[item]], -1)
        return (torch.relu(x @ self.hidden) @ self.score).squeeze(-1)


class Chances(Ratings):
    """The same as a probability."""

    def forward(self, user: Any, item: Any) -> Any:
        """A sigmoid of the score."""
        return torch.sigmoid(super().forward(user, item))


class DotProduct(Weights):
    """Matrix factorisation, with neurons of one number a sample."""

    def forward(self, user: Any, item: Any) -> Any:
        """The product of two rows."""
        return torch.relu((self.users[user] * self.items[item]).sum(-1))


class Category(Weights):
    """An id, and values of three classes."""

    def forward(self, user: Any) -> Any:
        """A row and its weights."""
        return torch.relu(self.users[user]) @ self.classes


class Number(Weights):
    """A real number a sample, and a column `(batch, 1)`."""

    def forward(self, number: Any) -> Any:
        """A hidden layer of one input."""
        return torch.relu(number[:, None] @ self.wide) @ self.score


class Timestep(Weights):
    """An image and the step of a diffusion."""

    def forward(self, image: Any, step: Any) -> Any:
        """The image, moved by weights of the step."""
        moved = torch.relu(step.float()[:, None] @ self.step)
        return torch.relu(image + moved[:, None, None, :])


MODULES = {
    "ratings": Ratings, "chances": Chances, "dot product": DotProduct, "category": Category,
    "number": Number, "timestep": Timestep,
}  # fmt: skip


def of_torch(kind: str) -> Any:
    """A PyTorch module."""
    return MODULES[kind]().eval()


def of_keras(kind: str) -> Any:
    """A Keras model."""
    ops = keras.ops
    dtypes = {"user": "int32", "item": "int32", "step": "int32"}
    shapes = {"image": IMAGE.shape[1:]}
    ends = {
        name: keras.Input(shapes.get(name, ()), dtype=dtypes.get(name, "float32"), name=name)
        for name in CASES[kind].x
    }

    def rows(table: str, ids: Any) -> Any:
        layer = keras.layers.Embedding(*TABLES[table].shape, name=table)
        layer.build()
        layer.set_weights([TABLES[table]])
        return layer(ids)

    def weighted(table: str, x: Any, activation: str | None = None) -> Any:
        made = keras.layers.Dense(
            TABLES[table].shape[1], activation, use_bias=False, name=f"{table}_weights"
        )
        made.build((None, len(TABLES[table])))
        made.set_weights([TABLES[table]])
        return made(x)

    if kind in ("ratings", "chances"):
        both = ops.concatenate([rows("users", ends["user"]), rows("items", ends["item"])], -1)
        y = ops.squeeze(weighted("score", weighted("hidden", both, "relu")), -1)
        y = ops.sigmoid(y) if kind == "chances" else y
    elif kind == "dot product":
        products = rows("users", ends["user"]) * rows("items", ends["item"])
        y = ops.relu(ops.sum(products, -1))
    elif kind == "category":
        y = weighted("classes", ops.relu(rows("users", ends["user"])))
    elif kind == "number":
        y = weighted("score", weighted("wide", ops.expand_dims(ends["number"], -1), "relu"))
    else:
        step = ops.expand_dims(ops.cast(ends["step"], "float32"), -1)
        moved = weighted("step", step, "relu")
        y = ops.relu(ends["image"] + ops.reshape(moved, (-1, 1, 1, SIDE)))
    return keras.Model(list(ends.values()), y)


def of_onnx(kind: str) -> Any:
    """An ONNX model."""
    whole = {"user", "item", "step"}
    inputs = [
        helper.make_tensor_value_info(
            name, TensorProto.INT64 if name in whole else TensorProto.FLOAT, ["n", *array.shape[1:]]
        )
        for name, array in CASES[kind].x.items()
    ]
    both = [("Gather", ["users", "user"], "u"), ("Gather", ["items", "item"], "i")]
    scored = [
        ("Concat", ["u", "i"], "both"), ("MatMul", ["both", "hidden"], "h"), ("Relu", ["h"], "r"),
        ("MatMul", ["r", "score"], "s"), ("Squeeze", ["s", "one"], "y"),
    ]  # fmt: skip
    chains = {
        "ratings": [*both, *scored],
        "chances": [*both, *scored[:-1], ("Squeeze", ["s", "one"], "l"), ("Sigmoid", ["l"], "y")],
        "dot product": [
            *both, ("Mul", ["u", "i"], "p"), ("ReduceSum", ["p", "one"], "d"), ("Relu", ["d"], "y"),
        ],
        "category": [both[0], ("Relu", ["u"], "r"), ("MatMul", ["r", "classes"], "y")],
        "number": [
            ("Unsqueeze", ["number", "one"], "c"), ("MatMul", ["c", "wide"], "w"),
            ("Relu", ["w"], "r"), ("MatMul", ["r", "score"], "y"),
        ],
        "timestep": [
            ("Cast", ["step"], "f"), ("Unsqueeze", ["f", "one"], "c"),
            ("MatMul", ["c", "step_weights"], "w"), ("Relu", ["w"], "m"),
            ("Unsqueeze", ["m", "middle"], "wide_m"), ("Add", ["image", "wide_m"], "sum"),
            ("Relu", ["sum"], "y"),
        ],
    }  # fmt: skip
    more = {"Concat": {"axis": -1}, "ReduceSum": {"keepdims": 0}, "Cast": {"to": TensorProto.FLOAT}}
    nodes = [
        helper.make_node(operator, given, [made], **more.get(operator, {}))
        for operator, given, made in chains[kind]
    ]
    held = {**TABLES, "step_weights": TABLES["step"], "one": [-1], "middle": [1, 2]}
    read = {name for node in nodes for name in node.input}
    constants = [
        numpy_helper.from_array(np.asarray(value), name)
        for name, value in held.items()
        if name in read and name not in CASES[kind].x
    ]
    shape = {"category": [3], "number": [1], "timestep": list(IMAGE.shape[1:])}.get(kind, [])
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", *shape])]
    graph = helper.make_graph(nodes, kind.replace(" ", "_"), inputs, outputs, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    onnx.checker.check_model(made)
    return made


READERS: dict[str, Callable[[str], Any]] = {
    "pytorch": of_torch, "keras": of_keras, "onnx": of_onnx,
}  # fmt: skip


def with_columns(graph: Graph) -> Graph:
    """The same model with a column `(batch, 1)` for every input and output of one number."""
    nodes, renamed, outputs = [], dict[str, str](), dict(graph.outputs)
    for node in graph:
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        layer, alone = node.layer, graph.shapes[node.name] == ()
        ends = alone and node.name in graph.outputs.values()
        if ends and isinstance(layer, Activation):  # it is to be the last one still
            nodes.append(GraphNode(f"{node.name} before", Reshape((1,)), inputs))
            inputs = (f"{node.name} before",)
        if isinstance(layer, Input) and alone:
            renamed[node.name] = f"{node.name} alone"
            layer = Input((1,), layer.place, layer.whole)
        nodes.append(GraphNode(node.name, layer, inputs, node.source, node.source_kind))
        if isinstance(layer, Input) and alone:
            nodes.append(GraphNode(renamed[node.name], Reshape(()), (node.name,)))
        elif ends and not isinstance(layer, Activation):
            nodes.append(GraphNode(f"{node.name} after", Reshape((1,)), (node.name,)))
            outputs = {n: f"{o} after" if o == node.name else o for n, o in outputs.items()}
    return Graph(nodes, outputs)
