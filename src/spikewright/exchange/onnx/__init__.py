"""A spiking network's time step as an ONNX model: deployment without this package."""

from spikewright._base.optional import require

require("onnx")

from spikewright.exchange.onnx.saving import save_step  # noqa: E402

__all__ = ["save_step"]
