"""`python -m spikewright` is the program `spikewright`."""

from spikewright.cli import main

main(prog_name="spikewright")
