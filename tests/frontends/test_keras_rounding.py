"""Layers of Keras that round their values, as quantisation-aware training writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_helpers import assert_agrees, keras, layers, randomise

import spikewright as sw
from spikewright.graph.layers import Activation

L, ops = layers, keras.ops
LEVELS, TOP = 7, 1.5


def _through(x: Any) -> Any:
    """Rounded, with the gradient of what is rounded."""
    bounded = ops.clip(x, 0.0, TOP)
    rounded = ops.round(bounded * (LEVELS / TOP)) * (TOP / LEVELS)
    return bounded + ops.stop_gradient(rounded - bounded)


def _floored(x: Any) -> Any:
    """The next level below."""
    return ops.floor(ops.clip(x * (LEVELS / TOP), 0, LEVELS)) * (TOP / LEVELS)


FORMS: dict[str, Callable[[Any], Any]] = {
    "graph": lambda x: _through(x),
    "activation": L.Activation(_through),
    "activation of a layer": L.Dense(4, activation=_floored),
}


@pytest.mark.parametrize("name", FORMS)
def test_rounding_is_one_activation(name: str) -> None:
    """Straight-through rounding becomes a rounded activation, which spikes."""
    x = keras.Input((5,), name="x")
    y = FORMS[name](L.Dense(4)(x))
    model = randomise(keras.Model(x, L.Dense(2)(y)))
    source = assert_agrees(model)
    kinds = {n.layer.function for n in source.graph if isinstance(n.layer, Activation)}
    assert kinds == {"rounded_relu"}
    conversion = sw.convert(model, spiking=True, scale_firing_rates=1000)
    assert conversion.network.n_neurons == 4
    values = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    sw.convert(model).verify(values)
