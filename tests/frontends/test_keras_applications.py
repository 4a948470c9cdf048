"""A network of `keras.applications`, layer by layer; `docs/families.md` measures the others."""

from __future__ import annotations

import numpy as np
import pytest
from keras_helpers import assert_agrees, keras

import spikewright as sw


@pytest.mark.slow
def test_a_well_known_network_agrees_at_every_layer_and_converts() -> None:
    """MobileNetV3: inverted bottlenecks with squeeze and excitation, with initial weights."""
    model = keras.applications.MobileNetV3Small(weights=None, input_shape=(32, 32, 3), classes=5)
    source = assert_agrees(model)
    assert {layer.name for layer in model.layers} <= {node.source for node in source.graph}
    images = np.random.default_rng(0).uniform(0, 1, (1, 32, 32, 3)).astype(np.float32)
    assert max(sw.convert(model, spiking=True).verify(images, rtol=1e-3).values()) < 1e-3
