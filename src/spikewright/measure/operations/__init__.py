"""Operations of a spiking network, counted from its spikes; of its source, from its layers."""

from spikewright.measure.operations.counter import Counter
from spikewright.measure.operations.operations import (
    LayerOperations,
    Operations,
    source_operations,
)

__all__ = ["Counter", "LayerOperations", "Operations", "source_operations"]
