"""A rectifier that rounds to levels, for Keras."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from spikewright.sources.arguments import Rounding


@keras.saving.register_keras_serializable(package="spikewright")
class RoundedReLU(keras.layers.Layer):
    """`theta/L min(max(floor(L x / theta + start), 0), L)`, with a threshold theta that is learned.

    A model trained with it is *exactly* the spiking network that it converts to, after `levels` = L
    steps of 1 ms: neurons that take spikes back, with this threshold and start. Input and output
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
