"""What shows how things are: the demonstration, one neuron explained, files, plots."""
