"""The reference engine: the equations as written, in NumPy and float64; the oracle of all tests."""

from spikewright.engines.reference.engine import ReferenceEngine

__all__ = ["ReferenceEngine"]
