"""Processes: signals that are made step by step, with state and random numbers."""

from spikewright.network.processes.base import (
    PROCESSES,
    BrownNoise,
    FilteredNoise,
    PoissonSpikes,
    Process,
    Step,
    WhiteNoise,
    register,
)
from spikewright.network.processes.signals import EachStep, Piecewise, PresentInput, WhiteSignal

__all__ = [
    "PROCESSES",
    "BrownNoise",
    "EachStep",
    "FilteredNoise",
    "Piecewise",
    "PoissonSpikes",
    "PresentInput",
    "Process",
    "Step",
    "WhiteNoise",
    "WhiteSignal",
    "register",
]
