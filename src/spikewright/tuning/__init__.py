"""`spikewright.tune`: the search over conversions of a model."""

from spikewright.tuning.tune import tune

__all__ = ["tune"]
