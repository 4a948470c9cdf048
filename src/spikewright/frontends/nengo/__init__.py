"""Nengo: a model in, a network out. Nengo is never imported: objects are told by their names."""

from spikewright.frontends.nengo.learning import reads_rule
from spikewright.frontends.nengo.model import NengoNetwork, from_nengo

__all__ = ["NengoNetwork", "from_nengo", "reads_rule"]
