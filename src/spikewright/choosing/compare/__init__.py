"""`spikewright.best_rule`: rule, neurons, correction and readout for a number of steps."""

from spikewright.choosing.compare.best import BestRule, best_rule
from spikewright.choosing.compare.candidates import Candidate
from spikewright.choosing.compare.comparing import Compared

__all__ = ["BestRule", "Candidate", "Compared", "best_rule"]
