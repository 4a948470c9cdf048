"""One equation, three spellings: every reader makes the same of a sum of products."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from keras_helpers import keras
from numpy.typing import NDArray
from onnx_helpers import model, node
from pytorch_helpers import Of

from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.keras import read as read_keras
from spikewright.frontends.onnx import read as read_onnx
from spikewright.frontends.pytorch import read as read_pytorch
from spikewright.graph import Graph, evaluate

EXTENTS = dict(zip("bijkl", (2, 2, 3, 4, 5), strict=True))

Operands = list[NDArray | tuple[int, ...]]
"""Constants, and the unbatched shapes of values."""


def _operands(equation: str) -> Operands:
    """Random constants for the terms without a batch, shapes for those with one."""
    rng = np.random.default_rng(3)
    found: Operands = []
    for term in equation.split("->")[0].split(","):
        shape = tuple(EXTENTS[one] for one in term.replace("...", "ij"))
        values = "b" in term
        found.append(shape[1:] if values else rng.normal(size=shape).astype(np.float32))
    return found


def _in_keras(equation: str, operands: Operands) -> Graph:
    inputs = [keras.Input(one) for one in operands if isinstance(one, tuple)]
    waiting = iter(inputs)
    given = [next(waiting) if isinstance(one, tuple) else one for one in operands]
    return read_keras(keras.Model(inputs, keras.ops.einsum(equation, *given))).graph


def _in_pytorch(equation: str, operands: Operands) -> Graph:
    def forward(_: Any, *values: torch.Tensor) -> torch.Tensor:
        waiting = iter(values)
        given = [next(waiting) if isinstance(x, tuple) else torch.tensor(x) for x in operands]
        return torch.einsum(equation, *given)

    example = tuple(torch.ones(2, *one) for one in operands if isinstance(one, tuple))
    return read_pytorch(Of(forward), example).graph


def _in_onnx(equation: str, operands: Operands) -> Graph:
    names = [f"x{i}" for i in range(len(operands))]
    pairs = list(zip(names, operands, strict=True))
    inputs = {name: ["n", *one] for name, one in pairs if isinstance(one, tuple)}
    constants = {name: one for name, one in pairs if not isinstance(one, tuple)}
    made = node("Einsum", " ".join(names), "y", "einsum", equation=equation)
    return read_onnx(model([made], inputs, ["y"], constants)).graph


READERS = {"keras": _in_keras, "pytorch": _in_pytorch, "onnx": _in_onnx}
EQUATIONS = {
    "matrix": "bij,jk->bik",
    "matrix on the left": "kj,bij->bik",
    "matrix for each row": "bij,ijk->bik",
    "factors": "bij,j->bij",
    "outer with a constant": "bi,j->bji",
    "constants first": "kl,bij,jk->bil",
    "constants apart": "bij,jk,i,kl->bl",
    "sum": "bij->bj",
    "diagonal": "bii->bi",
    "trace": "bii->b",
    "diagonal of a constant": "bij,jj->bij",
    "ellipsis": "b...k,kl->b...l",
    "product": "bij,bkj->bik",
    "attention": "bki,bkj,bkl->bijl",
    "three values and a constant": "bi,bij,jk,bk->b",
    "hadamard": "bij,bij->bij",
}


def _feed(graph: Graph, seed: int = 5) -> dict[str, NDArray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(2, *graph.shapes[name])) for name in graph.inputs}


@pytest.mark.parametrize("equation", EQUATIONS.values(), ids=list(EQUATIONS))
def test_every_reader_reads_every_equation(equation: str) -> None:
    """Outputs are NumPy's; layers, their order and their shapes are the same in all readers."""
    operands, seen = _operands(equation), []
    for read in READERS.values():
        graph = read(equation, operands)
        values = iter(feed := _feed(graph))
        given = [feed[next(values)] if isinstance(one, tuple) else one for one in operands]
        (found,) = evaluate(graph, feed).values()
        np.testing.assert_allclose(found, np.einsum(equation, *given), rtol=1e-5, atol=1e-5)
        seen.append([(type(n.layer), graph.shapes[n.name]) for n in graph if n.inputs])
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("equation", ["bi,ci->bc", "bi->i", "bi,bj->ij"])
@pytest.mark.parametrize("reader", list(READERS))
def test_samples_that_meet_are_refused(reader: str, equation: str) -> None:
    """An equation over the batch is refused in every reader."""
    operands: Operands = [(EXTENTS["i"],), (EXTENTS["i"],)][: equation.count(",") + 1]
    with pytest.raises(UnsupportedLayerError, match="samples"):
        READERS[reader](equation, operands)
