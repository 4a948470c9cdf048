"""Small models of each framework in which one layer is frozen, by the kind of that layer.

Each comes with its inputs. Extents are small, and weights are random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from trainings import Twice

Made = tuple[Any, Any]
"""A model and its inputs."""

_SAMPLES = 64


def _values(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=(_SAMPLES, *shape)).astype(np.float32)


def _words() -> Any:
    return np.random.default_rng(0).integers(0, 5, (_SAMPLES, 4))


def frozen_by_pytorch(model: Any) -> set[str]:
    """Names of parameters without gradients, and of buffers that are no statistics."""
    without = {n for n, p in model.named_parameters(remove_duplicate=False) if not p.requires_grad}
    buffers = {n for n, _ in model.named_buffers() if not n.endswith(("_mean", "_var", "_tracked"))}
    return without | buffers


def frozen_by_keras(model: Any) -> set[str]:
    """Paths of variables that do not train, but those of statistics."""
    paths = {w.path for w in model.weights if not w.trainable}
    return {path for path in paths if not path.endswith(("_mean", "_variance"))}


class Filtered(nn.Module):
    """A convolution whose weights are a buffer, and a layer behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.randn(4, 1, 3, 3))
        self.last = nn.Linear(4 * 16, 3)

    def forward(self, x: Any) -> Any:
        return self.last(torch.relu(nn.functional.conv2d(x, self.kernel)).flatten(1))


class Recurrent(nn.Module):
    """A recurrent layer whose last value another layer reads."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.last = nn.LSTM(5, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Any) -> Any:
        return self.last(self.rnn(x)[0][:, -1])


class Words(nn.Module):
    """An embedding and two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.first, self.last = nn.Embedding(5, 3), nn.Linear(12, 8), nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        return self.last(torch.relu(self.first(self.table(x).flatten(1))))


def _perceptron() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


def _normalised() -> nn.Sequential:
    normalisation = nn.BatchNorm2d(4)
    for parameter in (normalisation.weight, normalisation.bias):
        nn.init.uniform_(parameter, 0.5, 1.5)
    normalisation.running_mean.uniform_()
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), normalisation, nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 3)
    )


def _without(model: nn.Module, *names: str) -> nn.Module:
    """The model, with these parts of it frozen."""
    for name in names:
        part = model.get_parameter(name) if "weight" in name else model.get_submodule(name)
        part.requires_grad_(False)
    return model


def _shared_tensor() -> nn.Module:
    model = _perceptron()
    model[0] = nn.Linear(8, 8)
    model[2].weight = model[0].weight
    return _without(model, "2.weight")


def _nested() -> nn.Module:
    inner = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8))
    return _without(nn.Sequential(inner, nn.ReLU(), nn.Linear(8, 3)), "0")


def _layer_norm() -> nn.Module:
    model = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3))
    return _without(model, "1")


OF_PYTORCH: Mapping[str, Callable[[], Made]] = {
    "dense": lambda: (_without(_perceptron(), "2"), _values(6)),
    "one variable": lambda: (_without(_perceptron(), "0.weight"), _values(6)),
    "convolution before a normalisation": lambda: (_without(_normalised(), "0"), _values(1, 6, 6)),
    "normalisation behind a convolution": lambda: (_without(_normalised(), "1"), _values(1, 6, 6)),
    "layer normalisation": lambda: (_layer_norm(), _values(6)),
    "embedding": lambda: (_without(Words(), "table"), _words()),
    "called twice": lambda: (_without(Twice(), "layer"), _values(6)),
    "shared tensor": lambda: (_shared_tensor(), _values(8)),
    "model inside": lambda: (_nested(), _values(6)),
    "part of a recurrent layer": lambda: (_without(Recurrent(), "rnn.weight_ih_l0"), _values(3, 5)),
    "made so": lambda: (Filtered(), _values(1, 6, 6)),
}


def _keras() -> Any:
    import keras

    return keras


def _stacked(*layers: Any, shape: tuple[int, ...] = (6,)) -> Any:
    keras = _keras()
    model = keras.Sequential([keras.Input(shape), *layers])
    for weight in model.weights:
        if "variance" not in weight.path:
            weight.assign(0.5 * np.random.default_rng(1).normal(size=weight.shape) + 0.1)
    return model


def _dense(units: int, frozen: bool = False, **how: Any) -> Any:
    return _keras().layers.Dense(units, trainable=not frozen, **how)


def _keras_perceptron(frozen: bool = True) -> Any:
    return _stacked(_dense(8, activation="relu"), _dense(8, frozen, activation="relu"), _dense(3))


def _one_variable() -> Any:
    model = _keras_perceptron(frozen=False)
    model.layers[0].kernel.trainable = False
    return model


def _keras_normalised() -> Any:
    layers = _keras().layers
    return _stacked(
        layers.Conv2D(4, 3, trainable=False), layers.BatchNormalization(), layers.ReLU(),
        layers.Flatten(), _dense(3), shape=(6, 6, 1),
    )  # fmt: skip


def _keras_twice() -> Any:
    keras = _keras()
    layer, given = _dense(6, frozen=True, activation="relu"), keras.Input((6,))
    return keras.Model(given, _dense(3)(layer(layer(given))))


def _keras_nested() -> Any:
    inner = _stacked(_dense(8, activation="relu"), _dense(8, activation="relu"))
    inner.trainable = False
    return _stacked(inner, _dense(3))


def _made_so() -> Any:
    """A layer of its own whose weight was added as one that does not train."""
    keras = _keras()

    @keras.saving.register_keras_serializable()
    class Projected(keras.layers.Dense):
        def add_weight(self, *args: Any, **how: Any) -> Any:
            return super().add_weight(*args, **{**how, "trainable": False})

    from spikewright.frontends.keras import reads
    from spikewright.frontends.keras.reductions import dense

    reads(Projected, replace=True)(dense)
    return _stacked(Projected(8, activation="relu"), _dense(3))


OF_KERAS: Mapping[str, Callable[[], Made]] = {  # where no two layers have one variable
    "dense": lambda: (_keras_perceptron(), _values(6)),
    "one variable": lambda: (_one_variable(), _values(6)),
    "convolution before a normalisation": lambda: (_keras_normalised(), _values(6, 6, 1)),
    "called twice": lambda: (_keras_twice(), _values(6)),
    "model inside": lambda: (_keras_nested(), _values(6)),
    "made so": lambda: (_made_so(), _values(6)),
}

MODELS: Mapping[str, Mapping[str, Callable[[], Made]]] = {
    "keras": OF_KERAS,
    "pytorch": OF_PYTORCH,
}
