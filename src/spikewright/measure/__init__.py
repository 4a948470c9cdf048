"""Measures of a run: outputs over time, firing rates in Hz, spikes, accuracy."""

from spikewright.measure.activity import accuracy, accuracy_over_time, activity
from spikewright.measure.evaluation import Evaluation, neuron_rates
from spikewright.measure.intervals import mean_interval, paired_interval, wilson_interval
from spikewright.measure.readout import (
    EveryStep,
    MeanAfter,
    Readout,
    Window,
    read_out,
    read_out_at_every_step,
)
from spikewright.measure.run import Population, Run

__all__ = [
    "Evaluation",
    "EveryStep",
    "MeanAfter",
    "Population",
    "Readout",
    "Run",
    "Window",
    "accuracy",
    "accuracy_over_time",
    "activity",
    "mean_interval",
    "neuron_rates",
    "paired_interval",
    "read_out",
    "read_out_at_every_step",
    "wilson_interval",
]
