"""Operations of `keras.ops` in graphs of layers and in code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from keras_helpers import assert_agrees, assert_close, functional, inputs_of, keras, layers
from keras_operations import OPERATIONS

from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.keras import read
from spikewright.graph import evaluate

L, ops = layers, keras.ops


class Own(L.Layer):
    """A layer with code of its own."""

    def __init__(self, function: Callable[..., Any], **settings: Any) -> None:
        super().__init__(**settings)
        self.function = function

    def call(self, inputs: Any) -> Any:
        """The function, of one tensor or several."""
        return self.function(*inputs) if isinstance(inputs, list) else self.function(inputs)


def forms_of(name: str) -> dict[str, Any]:
    """Models that apply an operation: in the graph, and in each kind of code."""
    function, shapes = OPERATIONS[name]
    several = len(shapes) > 1
    forms = {
        "graph": (lambda xs: function(*xs)) if several else function,
        "Lambda": L.Lambda((lambda xs: function(*xs)) if several else function),
        "call": Own(function),
    }
    if OPERATIONS[name].is_function:
        forms["activation"] = L.Activation(function)
    return {form: functional(made, *shapes) for form, made in forms.items()}


def answer(model: Any) -> Any:
    """The source of a model, or the reasons of its refusals."""
    try:
        read(model)
    except UnsupportedLayerError as error:
        return [refusal.reason for refusal in error.refusals]
    return assert_agrees(model)


def test_the_table_is_long() -> None:
    """At least 120 operations, by their names in Keras."""
    known = {name: ops.image if name.startswith("image.") else ops for name in OPERATIONS}
    assert all(hasattr(module, name.removeprefix("image.")) for name, module in known.items())
    assert len(OPERATIONS) >= 120


@pytest.mark.parametrize("name", list(OPERATIONS)[::7])
def test_code_is_read_as_the_graph_is(name: str) -> None:
    """An operation has the same answer in a graph, a Lambda, a call and an activation function."""
    forms = forms_of(name)
    graph = answer(forms.pop("graph"))
    for form, model in forms.items():
        found = answer(model)
        if isinstance(graph, list):
            assert found == graph, form
            continue
        assert not isinstance(found, list), f"{form}: {found}"
        inputs = inputs_of(graph)
        other = dict(zip(inputs_of(found), inputs.values(), strict=True))
        (wanted,) = evaluate(graph.graph, inputs).values()
        (made,) = evaluate(found.graph, other).values()
        assert_close(made, wanted, form)
