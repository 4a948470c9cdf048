"""A network made by hand that runs while it is watched: its inputs are moved, its probes drawn."""
