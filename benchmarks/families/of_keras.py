"""`keras.applications`: every family."""

from __future__ import annotations

from typing import Any

from benchmarks.families.exporting import keras_file
from benchmarks.families.inputs import values
from benchmarks.families.member import ONLY, Member, Origin
from benchmarks.families.warming import warm_keras


def _image(family: str, side: int) -> Member:
    return Member(family, {ONLY: values(side, side, 3)})


MEMBERS = {
    "ConvNeXtTiny": _image("ConvNeXt", 32),
    "DenseNet121": _image("DenseNet", 32),
    "EfficientNetB0": _image("EfficientNet", 32),
    "EfficientNetV2B0": _image("EfficientNetV2", 32),
    "InceptionResNetV2": _image("InceptionResNetV2", 75),
    "InceptionV3": _image("InceptionV3", 75),
    "MobileNet": _image("MobileNet", 32),
    "MobileNetV2": _image("MobileNetV2", 32),
    "MobileNetV3Small": _image("MobileNetV3", 32),
    "NASNetMobile": _image("NASNet", 32),
    "ResNet50": _image("ResNet", 32),
    "ResNet50V2": _image("ResNetV2", 32),
    "VGG16": _image("VGG", 32),
    "Xception": _image("Xception", 71),
}
"""One member of each family, by the name of its builder."""


def network(name: str, member: Member) -> Any:
    """A network of `keras.applications` with initial weights."""
    from spikewright.frontends.keras.loading import import_keras

    keras = import_keras()
    keras.utils.set_random_seed(0)
    shape = member.inputs[ONLY].shape
    if name == "NASNetMobile" and keras.backend.backend() == "torch":
        # Keras has it there under no name: padding of uneven average pools differs from others'
        from keras.src.applications.nasnet import NASNet

        return NASNet(shape, 1056, 4, 32, skip_reduction=False, weights=None)
    return getattr(keras.applications, name)(weights=None, input_shape=shape)


ORIGIN = Origin("Keras", MEMBERS, network, warm_keras, keras_file, keras=True, example=False)
