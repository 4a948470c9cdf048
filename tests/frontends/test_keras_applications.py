"""Well-known networks of `keras.applications`, layer by layer."""

from __future__ import annotations

import pytest
from keras_helpers import assert_agrees, keras

from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.keras import read

SHAPES = {
    "DenseNet121": (32, 32, 3),
    "InceptionV3": (75, 75, 3),
    "MobileNet": (32, 32, 3),
    "MobileNetV2": (32, 32, 3),
    "ResNet50": (32, 32, 3),
    "ResNet50V2": (32, 32, 3),
    "VGG16": (32, 32, 3),
    "Xception": (71, 71, 3),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_a_well_known_network_agrees_at_every_layer(name: str) -> None:
    """Real architectures, hundreds of layers deep, with initial weights."""
    build = getattr(keras.applications, name)
    model = build(weights=None, input_shape=SHAPES[name], classes=5)
    source = assert_agrees(model)
    assert {layer.name for layer in model.layers} <= {node.source for node in source.graph}


@pytest.mark.slow
def test_a_network_with_unreadable_layers_lists_them_all() -> None:
    """EfficientNet multiplies by its own activations and uses SiLU, in 65 places."""
    model = keras.applications.EfficientNetB0(weights=None, input_shape=(32, 32, 3), classes=5)
    with pytest.raises(UnsupportedLayerError) as info:
        read(model)
    kinds = {refusal.kind for refusal in info.value.refusals}
    assert len(info.value.refusals) == 65 and {"Multiply", "Activation", "Conv2D"} <= kinds
