"""Evaluation over data sets of any size: shards, which merge exactly, wherever they are done."""

from spikewright.conversion.evaluation.evaluate import evaluate
from spikewright.conversion.evaluation.settings import checked

__all__ = ["checked", "evaluate"]
