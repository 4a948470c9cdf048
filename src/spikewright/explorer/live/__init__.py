"""A network made by hand that runs while it is watched: its inputs are moved, its probes drawn."""

from spikewright.explorer.live.opening import is_network, live
from spikewright.explorer.live.run import LiveRun

__all__ = ["LiveRun", "is_network", "live"]
