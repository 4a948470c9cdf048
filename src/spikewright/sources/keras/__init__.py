"""Layers and regularisers for Keras 3 models that are to spike, on any backend."""

from spikewright._base.optional import require as _require

_require("keras")

from spikewright.sources.keras.rates import RateRange  # noqa: E402
from spikewright.sources.keras.rounded import RoundedReLU  # noqa: E402

__all__ = ["RateRange", "RoundedReLU"]
