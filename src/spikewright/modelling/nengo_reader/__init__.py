"""Nengo: a model in, a network out. Nengo is never imported: class names tell the kinds."""

from spikewright.modelling.nengo_reader.components import reads_rule
from spikewright.modelling.nengo_reader.model import NengoNetwork, from_nengo

__all__ = ["NengoNetwork", "from_nengo", "reads_rule"]
