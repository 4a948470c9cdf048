"""A graph over PyTorch: gradients through rounding, steps of time, losses, and the loop."""

from spikewright._base.optional import require as _require

_require("torch")

from spikewright.training.gradients.fitting import deterministic, fitted  # noqa: E402

__all__ = ["deterministic", "fitted"]
