"""Layers and regularisers for Keras 3 models that are to spike, on any backend."""

from __future__ import annotations

from typing import Any

from spikewright._base.optional import require as _require

_require("keras")

import keras  # noqa: E402
from keras import ops  # noqa: E402

from spikewright.sources.arguments import Rounding, range_of  # noqa: E402

__all__ = ["RateRange", "RoundedReLU"]


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


@keras.saving.register_keras_serializable(package="spikewright")
class RoundedReLU(keras.layers.Layer):
    """`theta/L min(max(floor(L x / theta + start), 0), L)`, with a threshold theta that is learned.

    A model trained with it is *exactly* the spiking network that it converts to, after `levels` = L
    steps of 1 ms: neurons with negative spikes, with this threshold and start. Input and output
    `(batch, *shape)`. `threshold` is the first theta, and afterwards the layer's one weight, whose
    absolute value counts.

    Rounding passes the gradient on (straight through): to x it is 1 from 0 to theta and 0 outside.
    To theta it is `y/theta - x/theta` within, 1 above, times `1/sqrt(n L)` for n values a sample
    (Esser et al. 2020, LSQ). The activation is that of Bu et al. 2022 (QCFS). Raises
    `TrainingError` for levels below 1, a threshold not above 0, or a start outside [0, 1).
    """

    def __init__(
        self, levels: int, threshold: float = 4.0, start: float = 0.5, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rounding = Rounding(levels, threshold, start)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Make the weight."""
        first = keras.initializers.Constant(self.rounding.threshold)
        self.threshold = self.add_weight(name="threshold", shape=(), initializer=first)

    def call(self, x: Any, training: bool = False) -> Any:
        """The rounded values."""
        share = None
        if training:
            values = ops.cast(ops.size(x) / ops.shape(x)[0], x.dtype)
            share = 1.0 / ops.sqrt(values * float(self.rounding.levels))
        return self.rounding.rounded(ops, ops.stop_gradient, x, self.threshold, share)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """That of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments; the threshold learned is a weight."""
        made = self.rounding
        own = {"levels": made.levels, "threshold": made.threshold, "start": made.start}
        return {**super().get_config(), **own}
