"""Laws of layers with gradients, over the registry of layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from spikewright.errors import TrainingError
from spikewright.graph.layers import LAYERS, Activation, Input, PythonCall
from spikewright.testing.layers import LayerExample, example_inputs, layer_examples
from spikewright.training.gradients.layers import equation, has_gradients

EXAMPLES = [e for e in layer_examples() if not isinstance(e.layer, Input)]
by_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.id)


def tensors(example: LayerExample) -> tuple[dict[str, Any], list[Any]]:
    """A layer's arrays and some inputs, float64."""
    arrays = {n: torch.from_numpy(a.astype(np.float64)) for n, a in example.layer.arrays().items()}
    values = [torch.from_numpy(x) for x in example_inputs(example.shapes)]
    return arrays, values


@by_example
def test_a_layer_has_the_value_of_the_interpreter(example: LayerExample) -> None:
    """Every layer of the registry computes what its equation over NumPy computes."""
    arrays, values = tensors(example)
    with np.errstate(all="ignore"):
        expected = example.layer.evaluate(*example_inputs(example.shapes))
    found = equation(example.layer, arrays, *values)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "example", [e for e in EXAMPLES if e.id != "activation-round"], ids=lambda e: e.id
)
def test_a_layer_has_the_gradient_of_its_equation(example: LayerExample) -> None:
    """Gradients to inputs and floating parameters are those of finite differences."""
    arrays, values = tensors(example)
    names = [n for n, a in example.layer.arrays().items() if a.dtype.kind == "f"]
    if example.layer.kind == "Lookup":
        pytest.skip("numbers of rows have no gradient")
    leaves = [*values, *(arrays[name] for name in names)]
    for leaf in leaves:
        leaf.requires_grad_()

    def value(*given: Any) -> Any:
        inputs, parameters = given[: len(values)], given[len(values) :]
        return equation(
            example.layer, {**arrays, **dict(zip(names, parameters, strict=True))}, *inputs
        )

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


def test_code_of_the_source_has_no_gradients() -> None:
    """A call of foreign code is refused by name, with the next move."""
    call = PythonCall(np.sin, ((3,),), (3,), "sin")
    with pytest.raises(TrainingError, match=r"PythonCall has no gradients.*outputs="):
        equation(call, {}, torch.zeros(2, 3))
