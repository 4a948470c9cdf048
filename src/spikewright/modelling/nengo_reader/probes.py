"""Probes: the recorded signal, object and part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.errors import BuildError
from spikewright.modelling.nengo_reader.connections import Sampled, entries_of, part
from spikewright.modelling.nengo_reader.kinds import is_a, name_of, refused, whole
from spikewright.modelling.nengo_reader.learning import is_users, synapse_of
from spikewright.modelling.nengo_reader.solvers import solver_of
from spikewright.network import Connection, Node, Probe

Form = Callable[[NDArray], NDArray]
_SAME = {"spikes": "output", "rates": "output"}


def make_probe(
    theirs: Any, of: Mapping[Any, Any], sampled: Mapping[Any, Sampled], seed: int
) -> tuple[Probe, Form | None]:
    """The probe of the object that the target became, and what gives its recordings Nengo's shape.

    It records every step where `sample_every` is not given, or `sample_every` seconds. Weights that
    never change are recorded of a node that holds them; other recordings keep their shape (None).
    Raises `ReadError` naming the probe for a filter that is a user's own.
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
    item, attr = of[target], _SAME.get(theirs.attr, theirs.attr)
    form: Form | None = None
    if attr == "weights" and isinstance(item, Connection) and _is_fixed(item):
        values, form = _held(sampled[target].weights)
        item, attr = Node(values, label=f"weights of {target!r}"), "output"
    if theirs.slice is not None:
        item = part(item, theirs.slice)
    given: dict[str, Any] = {}
    if theirs.attr == "decoded_output" and is_a(target, "Ensemble"):
        given["solver"] = solver_of(theirs.solver, np.random.RandomState(seed))
    synapse = synapse_of(theirs, theirs.synapse)
    return Probe(item, attr, synapse=synapse, label=theirs.label, **given), form


def _is_fixed(connection: Connection) -> bool:
    """Whether a connection's weights are those of its transform, and no rule changes them."""
    rules = (rule.learning_rule_type.modifies for rule in connection.learning_rules)
    changes = "weights" in connection.learned or any(m != "encoders" for m in rules)
    return not (connection.decodes or changes)


def _held(weights: Any) -> tuple[NDArray, Form]:
    """Sampled weights as an array, and what gives recordings of it the shape they have in Nengo.

    Recordings of sparse weights are objects, a matrix a sample.
    """
    if not isinstance(weights, np.ndarray) and hasattr(weights, "shape"):
        return _entries(weights)
    values = np.array(weights, np.float64)
    return values, lambda samples: samples.reshape(len(samples), *values.shape)


def _entries(weights: Any) -> tuple[NDArray, Form]:
    rows, columns, values = entries_of(weights)

    def matrices(samples: NDArray) -> NDArray:
        csr_matrix = require("scipy.sparse").csr_matrix
        made = np.empty(len(samples), object)
        for i, sample in enumerate(samples):
            made[i] = csr_matrix((sample, (rows, columns)), shape=tuple(weights.shape))
        return made

    return values, matrices
