"""The reference engine: NumPy, float64, as the equations read. The oracle of every test."""

from spikewright.engines.reference.engine import ReferenceEngine

__all__ = ["ReferenceEngine"]
