"""Sources made for spikes: layers and regularisers to train a Keras or PyTorch model with.

`sw.keras` and `sw.torch` are its two packages; each imports its framework.
"""
