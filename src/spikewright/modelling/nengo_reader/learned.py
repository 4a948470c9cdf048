"""Weights and encoders that a given simulator has learned so far."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import ReadError
from spikewright.modelling.nengo_reader.kinds import name_of
from spikewright.network import Connection


def learned_by(built: Any, theirs: Any, ours: Connection) -> dict[str, NDArray]:
    """Learned arrays of a connection, in the form of `Connection.learned`; none before a step.

    Raises `ReadError` naming the connection where `built` was closed and its learned arrays are
    gone.
    """
    if built is None or not getattr(built, "n_steps", 0):
        return {}
    known = getattr(built, "learned", None)  # of one of our own
    found = {}
    for rule in ours.learning_rules:
        if rule.learning_rule_type.modifies == "encoders":
            post = theirs.post_obj
            found["encoders"] = _encoders(built, theirs) if known is None else known[post]
        else:
            now = _now(built, theirs, theirs, "weights") if known is None else known[theirs]
            found["weights"] = now
    return found


def _encoders(built: Any, theirs: Any) -> NDArray:
    """Encoders of the ensemble that receives; those of neurons without gain are as they were."""
    ensemble, data = theirs.post_obj, built.data[theirs.post_obj]
    scaled, gain = _now(built, theirs, ensemble, "encoders"), np.asarray(data.gain)[:, None]
    before = np.array(data.encoders, np.float64)
    return np.divide(scaled * ensemble.radius, gain, out=before, where=gain != 0)


def _now(built: Any, connection: Any, owner: Any, name: str) -> NDArray:
    """A signal's present value."""
    if built.signals is None:
        raise ReadError(
            f"{name_of(connection)}: the values learned in {built.n_steps} steps were lost "
            "when the simulator was closed; give built= while it is open"
        )
    return np.array(built.signals[built.model.sig[owner][name]], np.float64)
