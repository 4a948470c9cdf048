"""NIR files in other simulators: what each of them makes of a file, and why its spikes differ."""
