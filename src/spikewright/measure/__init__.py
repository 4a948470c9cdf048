"""What a run did: outputs over time, firing rates in Hz, spikes, accuracy."""

from spikewright.measure.accuracy import accuracy, accuracy_over_time, wilson_interval
from spikewright.measure.activity import activity
from spikewright.measure.readout import (
    After,
    EveryStep,
    Readout,
    Window,
    read_out,
    read_out_at_every_step,
    readout_delay,
)
from spikewright.measure.run import Population, Run

__all__ = [
    "After",
    "EveryStep",
    "Population",
    "Readout",
    "Run",
    "Window",
    "accuracy",
    "accuracy_over_time",
    "activity",
    "read_out",
    "read_out_at_every_step",
    "readout_delay",
    "wilson_interval",
]
