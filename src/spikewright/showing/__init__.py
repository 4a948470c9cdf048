"""Views of models and runs: the demonstration, one neuron explained, inspection, plots."""
