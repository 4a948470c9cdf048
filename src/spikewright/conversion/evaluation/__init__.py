"""Evaluation over data sets of any size: shards, which merge exactly, wherever they are done."""

from spikewright.conversion.evaluation.settings import checked
from spikewright.conversion.evaluation.sharded import evaluate

__all__ = ["checked", "evaluate"]
