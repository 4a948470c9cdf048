"""Recurrent layers of Keras: names and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_helpers import assert_agrees, inputs_of, keras, layers, randomise

from spikewright.frontends.keras import read
from spikewright.graph import evaluate

L = layers


def model(recurrent: Any, *behind: Any) -> Any:
    """A recurrent layer between a sequence and weights."""
    x = keras.Input((6, 3), name="x")
    y = recurrent(x)
    for layer in behind:
        y = layer(y)
    return randomise(keras.Model(x, L.Dense(4, name="end")(y)))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_recurrent_layers_are_read_from_files(suffix: str, tmp_path: Path) -> None:
    """Layers, cells, stacks of cells and wrappers are named in files as data."""
    built = model(
        L.Bidirectional(L.LSTM(3, return_sequences=True)),
        L.RNN([L.GRUCell(4), L.SimpleRNNCell(3)], return_sequences=True),
        L.TimeDistributed(L.Dense(3, activation="relu")),
        L.GRU(3, go_backwards=True),
    )
    path = tmp_path / f"model{suffix}"
    built.save(path)
    live, source = read(built), read(path)
    x = inputs_of(live)
    np.testing.assert_allclose(
        evaluate(source.graph, x)["end"], evaluate(live.graph, x)["end"], atol=1e-12
    )


def test_every_step_has_names_and_the_layer_its_own() -> None:
    """The layer's output has the layer's name, what makes it is below it."""
    graph = assert_agrees(model(L.LSTM(3, name="lstm"))).graph
    names = [node.name for node in graph if node.source == "lstm"]

    assert "lstm" in names
    assert {f"lstm/step_{k}/output" for k in range(6)} <= set(names)
    assert all(name == "lstm" or name.startswith("lstm/") for name in names)
