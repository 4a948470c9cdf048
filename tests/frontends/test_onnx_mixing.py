"""ONNX models that mix samples are refused; those that only look like it are read."""

from __future__ import annotations

import io
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx_helpers import close, model, node, random
from test_mixing_models import ALIKE, MIXING, Body, Function, _example

import spikewright as sw
from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.onnx import OnnxNode, read, reads
from spikewright.frontends.reading.call import Value
from spikewright.graph import evaluate
from spikewright.graph.layers import Identity

NO_FILES = ("statistics of the batch",)
"""Functions that the exporter does not write."""
OTHERWISE = ("one expert a token", "squeezed")
"""A comparison of real numbers; a file that no program runs on one sample."""


def exported(function: Function, batch: object = "n") -> onnx.ModelProto:
    """A function behind a layer, as PyTorch writes it, with a free batch or that of the example."""
    buffer = io.BytesIO()
    free = {"x": {0: "n"}} if batch == "n" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Body(function, True).eval(), (_example(),), buffer, dynamo=False, opset_version=18,
            input_names=["x"], output_names=["y"], dynamic_axes=free,
        )  # fmt: skip
    return onnx.load_from_string(buffer.getvalue())


@pytest.mark.slow
@pytest.mark.parametrize("batch", ["n", 3])
@pytest.mark.parametrize("name", [name for name in MIXING if name not in NO_FILES])
def test_a_model_that_mixes_samples_is_refused(name: str, batch: object) -> None:
    """Whether the batch is free or fixed: the model's own call shows it."""
    with pytest.raises(UnsupportedLayerError, match=r"sample|batch|does not fit|data"):
        read(exported(MIXING[name], batch))


@pytest.mark.slow
@pytest.mark.parametrize("batch", ["n", 3])
@pytest.mark.parametrize("name", [n for n in ALIKE if n not in OTHERWISE])
def test_a_model_that_keeps_samples_apart_is_read(name: str, batch: object) -> None:
    """However it arranges its batch on the way; every sample is computed as the model does."""
    source = read(exported(ALIKE[name], batch))
    x = _example().numpy()
    (found,), (own,) = evaluate(source.graph, {"x": x}).values(), source.call({"x": x}).values()
    with torch.no_grad():
        expected = Body(ALIKE[name], True).eval()(_example()).numpy()
    close(found, expected, 1e-4)
    close(own, expected, 1e-4)


def test_the_node_that_mixes_samples_is_named() -> None:
    """The first whose inputs hold one value a sample, and whose result does not."""
    nodes = [
        node("Reshape", "x rows", "flat", "rows"),
        node("Tanh", "flat", "h", "tanh"),
        node("ReduceMean", "h axis", "mean", "mean of all"),
        node("Sub", "h mean", "less", "less"),
        node("Reshape", "less back", "y", "back"),
    ]
    weights = {"rows": np.array([-1, 4]), "axis": np.array([0]), "back": np.array([-1, 3, 4])}
    with pytest.raises(UnsupportedLayerError, match=r"'mean of all' \(ReduceMean\).*mixes"):
        read(model(nodes, {"x": ["n", 3, 4]}, ["y"], weights))


def test_a_fixed_number_of_rows_is_refused() -> None:
    """`reshape(6, -1)` has a row a sample for six samples only."""
    proto = model([node("Reshape", "x s", "y", "it")], {"x": ["n", 24]}, ["y"],
                  {"s": np.array([6, -1])})  # fmt: skip
    with pytest.raises(UnsupportedLayerError, match=r"'it' \(Reshape\).*mixes the samples"):
        read(proto)


def test_a_model_that_cannot_be_run_says_so() -> None:
    """Its samples cannot be compared: the trace of the conversion has a note."""

    @reads("Same", domain="spikewright.mixing")
    def same(view: OnnxNode) -> Value:
        return view.add(Identity(), view.signal(0))

    own = node("Same", "x", "y", "own", domain="spikewright.mixing")
    proto = model([own], {"x": ["n", 3]}, ["y"], domains=["spikewright.mixing"])
    (note,) = read(proto).notes
    assert note.layer == "own"
    assert "not known whether two samples at once" in note.text
    assert "not known whether" in str(sw.convert(proto).trace)


def test_samples_that_lie_behind_other_values_of_an_output() -> None:
    """Rows of all samples as one axis, time first: the call gives each sample its own."""
    nodes = [node("Transpose", "x", "t", perm=[1, 0, 2]), node("Reshape", "t rows", "y", "rows")]
    source = read(model(nodes, {"x": ["n", 3, 4]}, ["y"], {"rows": np.array([-1, 4])}))
    x = random(5, 3, 4)
    np.testing.assert_array_equal(source.call({"x": x})["y"], x)
    np.testing.assert_array_equal(evaluate(source.graph, {"x": x})["y"], x)


def test_a_file_that_no_program_runs_is_read_with_a_note() -> None:
    """It fails on one sample and on several: nothing says that it mixes them, and the note says
    that nothing is known.
    """
    even = node("LRN", "x", "y", "even", size=4)  # onnxruntime takes odd sizes alone
    (note,) = read(model([even], {"x": ["n", 5, 3, 2]}, ["y"])).notes
    assert note.layer == "even"
    assert "not known whether two samples at once" in note.text
