"""Shared parts of the tests of Spikewright and of its extensions."""
