"""The explorer: a page on this machine where a network's choices are moved and seen at once."""

from spikewright.explorer.explore import Explorer, explore

__all__ = ["Explorer", "explore"]
