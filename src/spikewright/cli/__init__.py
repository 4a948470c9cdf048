"""The command line: each command is the library call of the same name."""

from spikewright.cli.main import main

__all__ = ["main"]
