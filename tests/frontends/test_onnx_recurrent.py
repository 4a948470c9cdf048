"""RNN, LSTM and GRU of ONNX: every option against onnxruntime, layouts and refusals."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx_equations import lstm
from onnx_helpers import agrees, close, feed_of, model, node, random

from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.onnx import read
from spikewright.graph import evaluate

STEPS, INPUTS, UNITS = 5, 3, 4
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
every_kind = pytest.mark.parametrize("kind", GATES)


def recurrent(
    kind: str,
    *,
    inputs: str = "",
    states: bool = False,
    peepholes: bool = False,
    bias: bool = True,
    batch: Any = "batch",
    constants: dict[str, NDArray] | None = None,
    **attributes: Any,
) -> onnx.ModelProto:
    """One node on an input `(batch, steps, inputs)`, turned where it wants time first."""
    ways = 2 if attributes.get("direction") == "bidirectional" else 1
    n, opset = GATES[kind] * UNITS, 14 if "layout" in attributes else 7
    several = kind == "LSTM"
    weights = {
        "w": random(ways, n, INPUTS, seed=1), "r": 0.5 * random(ways, n, UNITS, seed=2),
        "b": random(ways, 2 * n, seed=3), "p": 0.5 * random(ways, 3 * UNITS, seed=4),
        **(constants or {}),
    }  # fmt: skip
    given = {"x": (batch, STEPS, INPUTS)}
    names = ["x" if attributes.get("layout") else "turned", "w", "r", "b" if bias else "-", "-"]
    nodes = [node("Transpose", "x", "turned", "turn", perm=[1, 0, 2])]
    for state in ("h", "c")[: 1 + several] if states else ():
        given[state] = (batch, ways, UNITS)
        if attributes.get("layout"):
            names.append(state)
        else:
            nodes.append(node("Transpose", state, f"{state}t", f"turn {state}", perm=[1, 0, 2]))
            names.append(f"{state}t")
    names += [*["-"] * (7 - len(names)), "p"] if peepholes else []
    names = inputs.split() if inputs else names
    made = ["y", "yh", "yc"][: 2 + several]
    nodes.append(node(kind, " ".join(names), " ".join(made), "it", hidden_size=UNITS, **attributes))
    outputs = list(made)
    if not attributes.get("layout"):  # outputs of a model have the batch in front
        orders = ([2, 0, 1, 3], [1, 0, 2], [1, 0, 2])
        outputs = [f"{name}t" for name in made]
        nodes += [
            node("Transpose", name, f"{name}t", perm=order)
            for name, order in zip(made, orders, strict=False)
        ]
    used = {word for one in nodes for word in one.input}
    weights = {name: value for name, value in weights.items() if name in used}
    return model(nodes if "turned" in used else nodes[1:], given, outputs, weights, opset)


OPTIONS: list[dict[str, Any]] = [
    {"bias": False},
    {"states": True},
    {"direction": "reverse"},
    {"direction": "bidirectional", "states": True},
    {"layout": 1},
    {"layout": 1, "direction": "bidirectional", "states": True},
    {"batch": 1, "direction": "bidirectional", "states": True},
    {"batch": 1, "layout": 1, "states": True},
    {"batch": 4, "direction": "reverse"},
]


@pytest.mark.parametrize(
    ("kind", "options"), list(zip(cycle(GATES), [*OPTIONS, *OPTIONS[1:4]], strict=False))
)
def test_a_recurrent_operator_computes_its_equations(kind: str, options: dict[str, Any]) -> None:
    """All outputs, in any direction and layout, with a free and with a fixed batch."""
    source = agrees(recurrent(kind, **options), independent=False)

    assert source.graph["it"].source_kind == kind


MORE: list[tuple[str, dict[str, Any]]] = [
    ("LSTM", {"peepholes": True}),
    ("LSTM", {"peepholes": True, "direction": "bidirectional", "states": True}),
    ("GRU", {"linear_before_reset": 1}),
    ("GRU", {"linear_before_reset": 1, "bias": False, "direction": "bidirectional"}),
    ("RNN", {"activations": ["Relu"]}),
    ("RNN", {"activations": ["Softsign", "Elu"], "direction": "bidirectional",
             "activation_alpha": [0.5]}),
    ("RNN", {"activations": ["ScaledTanh"], "activation_alpha": [1.5], "activation_beta": [0.5]}),
    ("RNN", {"activations": ["ThresholdedRelu"], "activation_alpha": [0.2], "clip": 2.0}),
    ("LSTM", {"activations": ["HardSigmoid", "Affine", "LeakyRelu"],
              "activation_alpha": [0.3, 0.8], "activation_beta": [0.4, 0.1]}),
    ("GRU", {"activations": ["Sigmoid", "Softplus"]}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options"), MORE)
def test_options_of_one_kind(kind: str, options: dict[str, Any]) -> None:
    """Peepholes, the place of the reset, and every function with its parameters."""
    agrees(recurrent(kind, **options), independent=False)


@every_kind
def test_what_enters_a_function_is_clipped(kind: str) -> None:
    """By onnxruntime too, which does not clip what enters the LSTM's last."""
    proto = recurrent(kind, clip=0.7)
    source = agrees(proto, independent=False, runs=kind != "LSTM")
    if kind == "LSTM":
        x = feed_of(source)["x"]
        weights = [onnx.numpy_helper.to_array(one)[0] for one in proto.graph.initializer]
        expected = lstm(x.swapaxes(0, 1), *weights, clip=0.7)
        close(evaluate(source.graph, {"x": x})["yt"][:, :, 0], expected.swapaxes(0, 1))


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("LSTM", {"inputs": "x w r b"}, "mixes the samples of a batch"),
    ("GRU", {"direction": "sideways"}, "'sideways' is none"),
    ("RNN", {"activations": ["Cube"]}, "'Cube' is none"),
    ("RNN", {"activations": ["Affine"]}, "lacks an alpha or a beta"),
    ("RNN", {"activations": ["Tanh", "Tanh"]}, "are not 1"),
    ("LSTM", {"input_forget": 1}, "coupled"),
    ("RNN", {"inputs": "turned w r b lengths", "constants": {"lengths": np.array([5, 3, 5])}},
     "differ in length"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options", "reason"), REFUSED)
def test_what_is_refused(kind: str, options: dict[str, Any], reason: str) -> None:
    """By name, with the reason."""
    with pytest.raises(UnsupportedLayerError, match=f"'it'.*{reason}"):
        read(recurrent(kind, **options))


def time_on_axis_0(kind: str, states: dict[str, tuple[Any, ...]], steps: Any) -> onnx.ModelProto:
    """One sequence `(steps, inputs)`, whose states are inputs, or zeros where there are none."""
    n = GATES[kind] * UNITS
    weights = {
        "w": random(1, n, INPUTS, seed=1), "r": random(1, n, UNITS, seed=2), "one": np.array([1]),
        "axes": np.array([1, 2]),
    }  # fmt: skip
    nodes = [
        node("Unsqueeze", "x one", "turned"),
        node(kind, " ".join(["turned w r - -", *states]), "y", "it", hidden_size=UNITS),
        node("Squeeze", "y axes", "z"),
    ]
    return model(nodes, {"x": (steps, INPUTS), **states}, ["z"], weights)


ONE = {"RNN": ("h",), "GRU": ("h",), "LSTM": ("h", "c")}


@pytest.mark.parametrize(("kind", "first"), [("RNN", 1), ("GRU", "directions"), ("LSTM", None)])
def test_time_is_not_taken_for_the_batch(kind: str, first: Any) -> None:
    """Where the first axis is time it is refused, whether a state is an input, of which the file
    says that its first axis is one, or open, or none is.
    """
    states = {} if first is None else dict.fromkeys(ONE[kind], (first, 1, UNITS))
    with pytest.raises(UnsupportedLayerError, match=r"'it' .*mixes the samples of a batch"):
        read(time_on_axis_0(kind, states, "t"))


def test_a_file_of_one_step_has_no_other_reading() -> None:
    """Where every input holds one thing, that is a sample: the file knows no other extent."""
    agrees(time_on_axis_0("GRU", {"h": (1, 1, UNITS)}, 1), independent=False)


def test_a_fixed_first_axis_says_nothing_of_an_open_one() -> None:
    """A row for all samples beside samples: read where all samples may have one of their own."""
    beside = {"x": ("n", 4), "row": (1, 4)}
    agrees(model([node("Add", "x row", "y", "it")], beside, ["y"]), independent=False)
    turned = [node("Transpose", "x", "t", perm=[1, 0]), node("Softmax", "t", "y", "it", axis=1),
              node("Add", "y row", "z")]  # fmt: skip
    with pytest.raises(UnsupportedLayerError, match=r"'it'.*mixes the samples of a batch"):
        read(model(turned, {"x": ("n", 4), "row": (1, 1)}, ["z"]))


def test_a_sequence_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is named."""
    monkeypatch.setattr("spikewright.frontends.unrolling.MAX_STEPS", 4)
    with pytest.raises(UnsupportedLayerError, match=r"has 5 steps.*4 are the limit"):
        read(recurrent("RNN"))
