"""One suite of models, each as Keras, PyTorch and ONNX: all readers make equal graphs of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from keras_helpers import keras
from numpy.typing import NDArray
from same_layers import CURVES, OTHERS, WINDOWS
from same_models import READERS, Same
from same_networks import BLOCKS, NETWORKS
from same_refusals import ONLY
from same_sequences import ATTENTION, RECURRENT

from slowly import slow_but
from spikewright.errors import ReadError
from spikewright.frontends import read
from spikewright.graph import Graph, evaluate
from spikewright.graph.layers import ACTIVATIONS, LAYERS
from spikewright.lower.node_functions import ROUND
from spikewright.passes import run

MODELS: Mapping[str, Same] = {
    **CURVES, **WINDOWS, **OTHERS, **RECURRENT, **ATTENTION, **BLOCKS, **NETWORKS,
}  # fmt: skip
QUICK = (
    *CURVES, "convolution, same, strides", "separable", "transposed, same", "means, same",
    "bilinear", "instance norm", "prelu", "einsum of two", "smallest", "slice", "reflect", "gru",
    "attention of heads", "residual block", "perceptron", "lenet",
)  # fmt: skip
TOLERANCE = 1e-5


@cache
def graphs(name: str) -> dict[str, Graph]:
    """The graph of each reader; read once, since several laws look at it."""
    return MODELS[name].graphs()


def values(model: Same, graph: Graph, kind: str, seed: int = 1) -> NDArray:
    """The output of a reader's graph, in Keras's layout."""
    foreign = kind != "keras"
    inputs = [model.moved(value) if foreign else value for value in model.inputs(seed)]
    (made,) = evaluate(graph, dict(zip(graph.inputs, inputs, strict=True))).values()
    return model.moved(made, inwards=False) if foreign else made


def assert_close(made: NDArray, wanted: NDArray, what: str) -> None:
    """Equal within float32's rounding of weights and constants."""
    assert made.shape == wanted.shape, what
    scale = np.abs(wanted).max()
    assert scale > 0, what
    np.testing.assert_allclose(made, wanted, rtol=0, atol=TOLERANCE * scale, err_msg=what)


def test_the_suite_is_large_and_names_are_used_once() -> None:
    """At least 60 models, half of them written by `torch.onnx`, besides those of one function."""
    tables = (CURVES, WINDOWS, OTHERS, RECURRENT, ATTENTION, BLOCKS, NETWORKS)

    assert len(MODELS) == sum(map(len, tables))
    assert len(MODELS) - len(CURVES) >= 60
    assert 2 * sum(model.onnx is None for model in MODELS.values()) >= len(MODELS)


@pytest.mark.parametrize("name", slow_but(QUICK, MODELS))
def test_all_readers_make_equal_graphs(name: str) -> None:
    """On random input the graphs of all three spellings give one output, which varies, and that
    is what Keras's own call gives.

    Reading leaves each model as it was, or `graphs` fails. A curve is an activation of its name.
    """
    model = MODELS[name]
    made = {kind: values(model, graph, kind) for kind, graph in graphs(name).items()}
    inputs = [keras.ops.convert_to_tensor(v.astype(np.float32)) for v in model.inputs()]
    wanted = model.of_keras()(inputs if len(inputs) > 1 else inputs[0]).detach().numpy()

    assert set(made) == set(READERS)
    for kind, value in made.items():
        assert_close(value, wanted, f"{name} as {kind}")
    assert np.ptp(made["keras"], axis=0).max() > 0
    found = (node for graph in graphs(name).values() for node in (*graph, *run(graph)[0]))
    assert name not in CURVES or name in {getattr(node.layer, "function", "") for node in found}


def test_every_activation_has_a_model() -> None:
    """Rounding is none that a network computes with: quantisers of inputs and logits are."""
    assert set(ACTIVATIONS) - {ROUND} <= set(CURVES)


def kinds(graph: Graph) -> set[str]:
    """The kinds of layers in a graph."""
    return {node.layer.kind for node in graph}


NOT_OF_ALL: Mapping[str, str] = {
    "AdaptiveAveragePool": "ONNX has no such operator; where windows are equal it is AveragePool",
    "Constant": "in Keras a constant is an argument of an operation, whose reader takes it in",
}
"""Kinds of layers that not every reader makes, each with the reason."""


@pytest.mark.slow
def test_every_kind_of_layer_is_made_by_every_reader() -> None:
    """The suite covers the registry of layers, reader by reader, but for what a reason is given."""
    names = [name for name in MODELS if name not in CURVES or name in ("sigmoid", "softmax")]
    made = {kind: set().union(*(kinds(graphs(name)[kind]) for name in names)) for kind in READERS}
    lacking = {layer for layer in LAYERS if any(layer not in found for found in made.values())}

    assert lacking == set(NOT_OF_ALL)


def written_by_keras(model: Same, path: Path) -> onnx.ModelProto:
    """What Keras's own exporter writes, which wants a model that has been called."""
    of_keras = model.of_keras()
    kind = np.int32 if model.tokens else np.float32
    inputs = [value.astype(kind) for value in model.inputs()]
    of_keras(inputs if len(inputs) > 1 else inputs[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        of_keras.export(path, format="onnx", verbose=False)
    return onnx.load(path)


WRITTEN = (
    "hard_sigmoid", "gelu_tanh", "softmax", "convolution, same, strides", "separable",
    "transposed, same", "convolution, causal", "means, same", "bilinear", "batch norm",
    "group norm", "prelu", "embedding", "gru", "attention of heads", "residual block", "u-net",
)  # fmt: skip
"""Models of every kind of layer that Keras's exporter spells out."""


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITTEN)
def test_what_keras_exports_is_read_as_the_model(name: str, tmp_path: Path) -> None:
    """The file that Keras writes, read as ONNX, gives what the Keras model gives."""
    model = MODELS[name]
    graph = read(written_by_keras(model, tmp_path / "model.onnx")).graph

    assert_close(values(model, graph, "keras"), values(model, graphs(name)["keras"], "keras"), name)


@pytest.mark.parametrize("name", ONLY)
def test_what_one_reader_refuses_has_its_reason(name: str) -> None:
    """The other readers take the model and agree; those of the list refuse it with that reason."""
    only = ONLY[name]
    takers = [kind for kind in READERS if kind not in {*only.refused, *only.lacking}]
    made = [values(only.model, only.model.graph(kind), kind) for kind in takers]

    assert made and only.refused and only.why
    for kind, value in zip(takers, made, strict=True):
        assert_close(value, made[0], f"{name} as {kind}")
    for kind, reason in only.refused.items():
        with pytest.raises(ReadError, match=reason):
            only.model.graph(kind)
