"""The whole line from each framework: read, verify against the source, convert, converge."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import onnx
import torch

import spikewright as sw


def keras_network(seed: int = 0) -> keras.Model:
    """Convolutions, one separable, batch norm on both sides of a ReLU, sum, concatenation."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    image = keras.Input((12, 12, 3), name="image")
    first = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(image)
    x = layers.SeparableConv2D(8, 3, padding="same", name="separable")(first)
    x = layers.BatchNormalization(name="before")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.BatchNormalization(name="after")(x)
    x = layers.Conv2D(8, 3, padding="same", name="second")(x)
    x = layers.Add(name="add")([x, first])
    x = layers.Activation("relu", name="sum")(x)
    x = layers.Concatenate(name="both")([x, first])
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    model = keras.Model(image, layers.Dense(5, name="scores")(x))
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            shapes = [w.shape for w in layer.get_weights()]
            layer.set_weights([rng.uniform(0.5, 1.5, shape) for shape in shapes])
    return model


class Residual(torch.nn.Module):
    """Convolutions with batch norm, a pool, a sum and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.bn1 = torch.nn.BatchNorm2d(8)
        self.pool = torch.nn.MaxPool2d(2)
        self.conv2 = torch.nn.Conv2d(8, 8, 3, padding=1)
        self.relu = torch.nn.ReLU()
        self.fc = torch.nn.Linear(8 * 6 * 6, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores `(batch, 5)`."""
        x = self.pool(self.relu(self.bn1(self.conv1(image))))
        x = torch.relu(self.conv2(x) + x)
        return self.fc(x.flatten(1))


def calibrated(model: torch.nn.Module, size: int) -> torch.nn.Module:
    """In evaluation mode, its batch-norm statistics those of random input."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None
    model.train()
    with torch.no_grad():
        model(torch.randn(8, 3, size, size))
    return model.eval()


def torch_network(seed: int = 0) -> torch.nn.Module:
    """`Residual`, calibrated."""
    torch.manual_seed(seed)
    return calibrated(Residual(), 12)


def exported(model: torch.nn.Module, size: int) -> onnx.ModelProto:
    """The module as ONNX, with a free batch axis."""
    buffer = io.BytesIO()
    torch.onnx.export(
        model,
        (torch.zeros(2, 3, size, size),),
        buffer,
        input_names=["image"],
        dynamic_axes={"image": {0: "batch"}},
        dynamo=False,
    )
    return onnx.load_from_string(buffer.getvalue())


SOURCES = {
    "keras": lambda: (keras_network(), (12, 12, 3)),
    "torch": lambda: (torch_network(), (3, 12, 12)),
    "torch to onnx": lambda: (exported(torch_network(), 12), (3, 12, 12)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("source", SOURCES)
def test_each_framework_verifies_and_converges(source):
    """Every layer equals the source to 1e-4; the spiking error falls as 1 / (scale x steps)."""
    model, shape = SOURCES[source]()
    x = np.random.default_rng(0).standard_normal((6, *shape), np.float32)
    rate = sw.convert(model, example_input=x)
    assert max(rate.verify(x).values()) < 1e-4
    assert max(rate.verify().values()) < 1e-4
    truth = rate.run(x, steps=1, engine="reference").predict()
    spiking = sw.convert(model, spiking=True, example_input=x)
    steps = np.array([32, 64, 128, 256])
    errors = [
        np.abs(spiking.run(x, steps=int(n), dt=1.0, engine="reference").predict() - truth).mean()
        for n in steps
    ]
    slope = np.polyfit(np.log(steps[1:]), np.log(errors[1:]), 1)[0]
    assert -1.3 < slope < -0.75, errors
    assert errors[-1] < 0.02 * np.abs(truth).max()
