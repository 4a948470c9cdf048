"""Random networks of leaky neurons in several simulators, from one description in a file."""
