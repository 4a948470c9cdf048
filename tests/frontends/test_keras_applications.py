"""Every family of `keras.applications`, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras_helpers import assert_agrees, keras

import spikewright as sw

SIZES = {
    "ConvNeXtTiny": 32,
    "DenseNet121": 32,
    "EfficientNetB0": 32,
    "EfficientNetV2B0": 32,
    "InceptionResNetV2": 75,
    "InceptionV3": 75,
    "MobileNet": 32,
    "MobileNetV2": 32,
    "MobileNetV3Large": 32,
    "MobileNetV3Small": 32,
    "NASNetMobile": 32,
    "ResNet50": 32,
    "ResNet50V2": 32,
    "VGG16": 32,
    "Xception": 71,
}
"""The smallest square images that each accepts."""


def build(name: str) -> Any:
    """A network with initial weights and five classes."""
    shape = (SIZES[name], SIZES[name], 3)
    if name == "NASNetMobile" and keras.backend.backend() == "torch":
        # Keras does not offer it there for the difference that uneven average pooling makes.
        from keras.src.applications.nasnet import NASNet

        return NASNet(
            input_shape=shape,
            penultimate_filters=1056,
            num_blocks=4,
            stem_block_filters=32,
            skip_reduction=False,
            weights=None,
            classes=5,
        )
    return getattr(keras.applications, name)(weights=None, input_shape=shape, classes=5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*padding .* is uneven:UserWarning")
@pytest.mark.parametrize("name", SIZES)
def test_a_well_known_network_agrees_at_every_layer(name: str) -> None:
    """Real architectures, hundreds of layers deep, with initial weights."""
    model = build(name)
    source = assert_agrees(model)
    assert {layer.name for layer in model.layers} <= {node.source for node in source.graph}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*padding .* is uneven:UserWarning")
@pytest.mark.parametrize("spiking", [False, True])
@pytest.mark.parametrize("name", SIZES)
def test_a_well_known_network_converts(name: str, spiking: bool) -> None:
    """The rate network computes what Keras does, and there is a spiking one."""
    conversion = sw.convert(build(name), spiking=spiking)
    side = SIZES[name]
    images = np.random.default_rng(0).uniform(0, 1, (1, side, side, 3)).astype(np.float32)
    assert max(conversion.verify(images, rtol=1e-3).values()) < 1e-3
