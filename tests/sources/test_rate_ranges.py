"""`RateRange` in both frameworks: its formula, its gradient, and training with it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch

import spikewright as sw
from spikewright.errors import TrainingError

FRAMEWORKS = ("keras", "torch")


def _values(seed: int = 0) -> torch.Tensor:
    """Activities of 30 samples, from 0 to 4."""
    found = np.random.default_rng(seed).uniform(0, 4, (30, 5, 2))
    return torch.tensor(found.astype(np.float32), requires_grad=True)


def _penalty(framework: str, made: Any, values: torch.Tensor) -> torch.Tensor:
    """What is added to the loss: of Keras, which takes the mean of samples, through a layer."""
    if framework == "torch":
        return made(values)
    layer = keras.layers.Activation("linear", activity_regularizer=made)
    layer(values)
    (loss,) = layer.losses
    return loss


@pytest.mark.parametrize("hz", [(50, 200), (0, 120), (90, float("inf")), 250, [100, 100]])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_it_is_the_mean_square_outside_the_range(framework: str, hz: Any) -> None:
    """Of `scale` times the values in Hz, weighted; the gradient draws values to the range."""
    low, high = (hz, hz) if isinstance(hz, int) else hz
    values, weight, scale = _values(), 0.01, 100.0
    penalty = _penalty(framework, getattr(sw, framework).RateRange(hz, weight, scale), values)
    (gradient,) = torch.autograd.grad(penalty, values)
    rates = scale * values.detach().numpy().astype(float)
    outside = np.maximum(rates - high, 0) - np.maximum(low - rates, 0)

    assert float(penalty) == pytest.approx(weight * np.mean(outside**2), rel=1e-4)
    wanted = 2 * weight * scale * outside / outside.size
    np.testing.assert_allclose(gradient.numpy(), wanted, rtol=1e-3, atol=1e-6)
    assert (outside != 0).any() and ((outside == 0).any() or low == high)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"hz": (200, 50)}, "hz must rise, got"),
        ({"hz": (-1, 50)}, "hz must be one rate from 0 in Hz"),
        ({"hz": (1, 2, 3)}, "hz must be one rate from 0 in Hz"),
        ({"hz": "fast"}, "hz must be one rate from 0 in Hz.*'fast'"),
        ({"hz": float("nan")}, "hz must be one rate from 0 in Hz"),
        ({"hz": 10, "weight": 0}, "weight must be a number above 0, got 0"),
        ({"hz": 10, "scale": -1.0}, "scale must be a number above 0, got -1.0"),
    ],
)
def test_impossible_ranges_are_refused(
    framework: str, arguments: dict[str, Any], words: str
) -> None:
    """By name and value, when it is made."""
    with pytest.raises(TrainingError, match=words):
        getattr(sw, framework).RateRange(**arguments)


def test_it_comes_back_from_its_configuration() -> None:
    """As Keras saves it in a model's file, with infinite bounds too."""
    made = sw.keras.RateRange((20, float("inf")), weight=0.5, scale=7)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))

    assert again.range == made.range


def test_rates_are_trained_in_fit_and_are_those_of_the_spikes() -> None:
    """A layer whose rates are held near 100 Hz spikes so once it is converted."""
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(2)
    x = rng.uniform(0, 1, (400, 6)).astype(np.float32)
    held = sw.keras.RateRange((90, 110), weight=1.0)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(
                8, activation="relu", name="h", bias_initializer="ones", activity_regularizer=held
            ),
            keras.layers.Dense(1),
        ]
    )
    before = sw.convert(model).run(x, steps=1, progress=False).layer_means()["h"]
    model.compile(keras.optimizers.Adam(0.2), "mse")
    model.fit(x, x.sum(axis=1), epochs=40, batch_size=50, verbose=0)
    conversion = sw.convert(model, spiking=True)
    run = conversion.run(x, steps=200, progress=False)
    rates = run.spike_counts()["h"] / (8 * 0.2)

    assert before.max() < 10
    assert 80 < rates.mean() < 120
