"""Evaluation over data sets of any size: shards, which merge exactly, wherever they are done."""

from spikewright.evaluation.settings import checked
from spikewright.evaluation.sharded import evaluate

__all__ = ["checked", "evaluate"]
