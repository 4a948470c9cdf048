"""The torch engine: dense, batched operations of PyTorch on a CPU or a GPU."""

from spikewright._base.optional import require as _require

_require("torch")

from spikewright.engines.torch.engine import TorchEngine  # noqa: E402

__all__ = ["TorchEngine"]
