"""What the tests of the Keras front end share."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewright.frontends import Source
from spikewright.frontends.keras import read
from spikewright.frontends.keras.loading import import_keras
from spikewright.graph import evaluate_all
from spikewright.graph.integer_inputs import random_inputs
from spikewright.testing.frontends import check_call

keras = import_keras()
layers = keras.layers

TOLERANCE = 1e-5
"""Of the largest value of a layer: Keras computes in float32, the graph in float64."""


def randomise(model: Any, seed: int = 0) -> Any:
    """Give every weight of a model a random value, variances a positive one."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if "variance" in variable.path:
            value = rng.uniform(0.3, 2.0, variable.shape)
        elif "count" in variable.path:
            continue
        else:
            value = rng.normal(0.0, 0.5, variable.shape)
        variable.assign(value)
    return model


def inputs_of(source: Source, batch: int = 3, seed: int = 1) -> dict[str, np.ndarray]:
    """Random inputs for a source, by name."""
    found = random_inputs(source.graph, seed, batch)
    return {name: value.astype(np.float32) for name, value in found.items()}


def assert_close(found: Any, wanted: Any, what: str = "") -> None:
    """The two differ by no more than the tolerance, and have one shape."""
    assert np.shape(found) == np.shape(wanted), what
    scale = max(np.abs(wanted).max(), 1e-30)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE * scale, err_msg=what)


def assert_agrees(model: Any, example_input: Any = None) -> Source:
    """Read a model; its graph computes what Keras computes, at every layer that can be seen."""
    source = read(model, example_input)
    inputs = inputs_of(source)
    observed = source.activations(inputs)
    values = evaluate_all(source.graph, inputs)
    assert set(source.graph.outputs.values()) <= set(observed) <= set(values)
    for name, value in observed.items():
        assert_close(values[name], value, name)
    unseen = set(values) - set(observed)
    assert all("/" in name for name in unseen), f"layers that were not observed: {unseen}"
    check_call(source, inputs, TOLERANCE)
    return source


def functional(layer: Any, *shapes: tuple[int, ...]) -> Any:
    """A model of one layer or function with random weights."""
    several = [keras.Input(shape) for shape in shapes]
    inputs = several if len(several) > 1 else several[0]
    return randomise(keras.Model(inputs, layer(inputs)))
