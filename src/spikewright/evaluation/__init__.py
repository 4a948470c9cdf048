"""Evaluation over data sets of any size: shards, which merge exactly, wherever they are done."""

from spikewright.evaluation.settings import EvaluateOptions, checked
from spikewright.evaluation.sharded import evaluate

__all__ = ["EvaluateOptions", "checked", "evaluate"]
