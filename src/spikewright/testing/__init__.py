"""What tests of Spikewright and of its extensions share."""
