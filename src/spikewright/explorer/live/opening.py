"""Networks as they are given, made ready to run."""

from __future__ import annotations

from typing import Any

from spikewright.errors import SimulationError
from spikewright.explorer.live.run import LiveRun
from spikewright.modelling.nengo_reader.kinds import is_a
from spikewright.modelling.nengo_simulator import NengoSimulator
from spikewright.network import Network
from spikewright.simulator import Simulator


def is_network(model: Any) -> bool:
    """True for a network that was made by hand, Nengo's or one of this library."""
    return isinstance(model, Network) or is_a(model, "Network")


def live(network: Any) -> LiveRun:
    """The run of a `Network`, or of a `nengo.Network`.

    Raises as their simulators do, and `SimulationError` for a network without probes.
    """
    title = str(network.label or "Your network")
    if not network.all_probes:
        raise SimulationError(
            f"{network!r} has no probes, so there is nothing to see: make some, such as "
            "Probe(ensemble, synapse=0.02), inside `with network:`"
        )
    if isinstance(network, Network):
        made = Simulator(network, progress=False)
        return LiveRun(made, title, made.reset, made.close)
    theirs = NengoSimulator(network, progress_bar=False)
    return LiveRun(theirs.simulator, title, theirs.reset, theirs.close)
