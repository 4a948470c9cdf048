"""Training of what was converted: weights and thresholds fitted to a number of steps.

The part that computes gradients is `training.gradients`; it needs PyTorch.
"""

from spikewright.training.history import Epoch, Refitted
from spikewright.training.module import loaded, torch_module
from spikewright.training.reconstruction import RECONSTRUCTED, reconstruct
from spikewright.training.result import Training
from spikewright.training.trainable import in_part_of
from spikewright.training.training import TrainingRequest, train

__all__ = [
    "RECONSTRUCTED",
    "Epoch",
    "Refitted",
    "Training",
    "TrainingRequest",
    "in_part_of",
    "loaded",
    "reconstruct",
    "torch_module",
    "train",
]  # fmt: skip
