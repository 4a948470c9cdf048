"""The explorer: an interactive page on this machine to change settings and watch the spikes."""

from spikewright.explorer.explore import Explorer, explore

__all__ = ["Explorer", "explore"]
