"""`spikewright.sweep`: every combination of scales, synapses and neurons."""
