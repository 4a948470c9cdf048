"""Spikewright: a trained network in, a spiking network out, and what every choice costs."""

__version__ = "0.1.0"
