"""A backend of Nengo's by the name of a module: what its tools load, and what they run.

`nengo --backend spikewright.nengo model.py` starts Nengo's GUI on Spikewright's engines; a script
that has `backend.Simulator(model)` takes this module for `backend`.
"""

from spikewright.modelling.nengo_simulator import NengoSimulator as Simulator

__all__ = ["Simulator"]
