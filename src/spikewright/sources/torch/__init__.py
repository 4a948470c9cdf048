"""Layers and penalties for PyTorch modules that are to spike."""

from spikewright._base.optional import require as _require

_require("torch")

from spikewright.sources.torch.rates import RateRange  # noqa: E402
from spikewright.sources.torch.rounded import RoundedReLU  # noqa: E402

__all__ = ["RateRange", "RoundedReLU"]
