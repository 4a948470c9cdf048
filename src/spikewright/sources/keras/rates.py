"""Firing rates held in a range while a Keras model is trained."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from spikewright.sources.arguments import range_of


@keras.saving.register_keras_serializable(package="spikewright")
class RateRange(keras.regularizers.Regularizer):
    """An activity regulariser: a layer's values, as firing rates, stay from `hz[0]` to `hz[1]`.

    `keras.layers.Dense(64, activation="relu", activity_regularizer=sw.keras.RateRange((50, 200)))`
    adds `weight` times the mean, over samples and neurons, of the square by which rates lie
    outside. `hz` may be one number, which all rates then approach. A rate is `scale` times the
    layer's value in Hz: give the firing-rate scale that the model will be converted with. A neuron
    that is silent for all samples has no gradient, so that it stays silent.

    Raises `TrainingError` for a range that falls, negative rates, or a weight or scale not above 0.
    """

    def __init__(self, hz: Any, weight: float = 1e-3, scale: float = 1.0) -> None:
        self.range = range_of(hz, weight, scale)

    def __call__(self, x: Any) -> Any:
        """The penalty of values `(batch, *shape)`, summed over samples: Keras takes their mean."""
        return self.range.penalty(ops, x) * ops.cast(ops.shape(x)[0], x.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        made = self.range
        return {"hz": [made.low, made.high], "weight": made.weight, "scale": made.scale}
