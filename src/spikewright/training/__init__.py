"""Training of what was converted: weights and thresholds fitted to a number of steps.

The part that computes gradients is `training.gradients`; it needs PyTorch.
"""
