"""Probes: the recorded signal, object and part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spikewright.errors import BuildError
from spikewright.modelling.nengo_reader.connections import part
from spikewright.modelling.nengo_reader.kinds import is_a, name_of, whole
from spikewright.modelling.nengo_reader.refusals import refused
from spikewright.modelling.nengo_reader.solvers import solver_of
from spikewright.modelling.nengo_reader.synapses import is_users, synapse_of
from spikewright.network import Probe

_SAME = {"spikes": "output", "rates": "output"}


def make_probe(theirs: Any, of: Mapping[Any, Any], seed: int) -> Probe:
    """The probe of the object that the target became.

    It records every step where `sample_every` is not given, or `sample_every` seconds. Raises
    `ReadError` naming the probe for a filter that is a user's own.
    """
    if is_users(theirs.synapse):
        raise refused(theirs, f"synapse {theirs.synapse!r}", "it is a user's own", "use Lowpass")
    target = whole(theirs.target)
    if theirs.attr == "weights" and is_a(target, "Connection") and not target.has_weights:
        raise BuildError(
            f"{name_of(theirs)}: attribute 'weights' of {name_of(target)} is None and cannot be "
            "probed; give the connection a transform"
        )
    if target not in of:
        raise BuildError(
            f"{name_of(theirs)}: its target {name_of(target)} is not in the model; add the network "
            "that holds it"
        )
    item = of[target]
    if theirs.slice is not None:
        item = part(item, theirs.slice)
    given: dict[str, Any] = {}
    if theirs.attr == "decoded_output" and is_a(target, "Ensemble"):
        given["solver"] = solver_of(theirs.solver, np.random.RandomState(seed))
    return Probe(
        item,
        _SAME.get(theirs.attr, theirs.attr),
        synapse=synapse_of(theirs, theirs.synapse),
        label=theirs.label,
        **given,
    )
