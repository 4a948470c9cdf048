"""Laws of layers with gradients, over the registry of layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from spikewright.graph.layers import LAYERS, Activation, Input
from spikewright.testing.layers import LayerExample, example_inputs, layer_examples
from spikewright.training.gradients.layers import equation, has_gradients

EXAMPLES = [e for e in layer_examples() if not isinstance(e.layer, Input)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.id)
def test_a_layer_has_the_value_and_the_gradient_of_its_equation(example: LayerExample) -> None:
    """Every layer of the registry: the value of NumPy, and gradients of finite differences.

    Gradients to inputs and to floating parameters; rounding lets them through, and rows that are
    looked up by number have none.
    """
    layer, given = example.layer, example_inputs(example.shapes)
    arrays = {n: torch.from_numpy(a.astype(np.float64)) for n, a in layer.arrays().items()}
    values = [torch.from_numpy(x) for x in given]
    with np.errstate(all="ignore"):
        expected = layer.evaluate(*example_inputs(example.shapes))
    found = equation(layer, arrays, *values)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)
    if example.id == "activation-round" or layer.kind == "Lookup":
        return
    names = [n for n, a in layer.arrays().items() if a.dtype.kind == "f"]
    leaves = [leaf.requires_grad_() for leaf in (*values, *(arrays[name] for name in names))]

    def value(*given: Any) -> Any:
        changed = dict(zip(names, given[len(values) :], strict=True))
        return equation(layer, {**arrays, **changed}, *given[: len(values)])

    assert not leaves or torch.autograd.gradcheck(value, leaves, atol=1e-4, fast_mode=True)


def test_rounding_lets_gradients_through() -> None:
    """Its own gradient is 0, so that nothing before the logits of a quantised model would learn."""
    x = torch.linspace(-2.0, 2.0, 9, dtype=torch.float64, requires_grad=True)
    value = equation(Activation("round"), {}, x)
    (found,) = torch.autograd.grad(value.sum(), x)
    assert torch.equal(value, torch.round(x))
    assert torch.equal(found, torch.ones_like(x))


def test_every_kind_of_layer_has_gradients() -> None:
    """A layer that is registered is trained through the day it is registered."""
    without = [kind for kind, layer in LAYERS.items() if not has_gradients(layer.__new__(layer))]
    assert without == ["Input"]
