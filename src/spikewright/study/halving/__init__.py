"""`spikewright.best_rule`: rule, neurons, correction and readout for a number of steps."""

from spikewright.study.halving.best_rule import BestRule, best_rule
from spikewright.study.halving.candidates import Candidate
from spikewright.study.halving.comparison import Compared

__all__ = ["BestRule", "Candidate", "Compared", "best_rule"]
