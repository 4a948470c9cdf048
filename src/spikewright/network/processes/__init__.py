"""Processes: signals that are made step by step, with state and random numbers."""

from spikewright.network.processes.base import PROCESSES, Process, Step, register
from spikewright.network.processes.noise import BrownNoise, FilteredNoise, PoissonSpikes, WhiteNoise
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
