"""Connections: the sent values, their maps and filters, and learning rules."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.modelling.nengo_reader.kinds import is_a
from spikewright.modelling.nengo_reader.learned import learned_by
from spikewright.modelling.nengo_reader.learning import rules_of
from spikewright.modelling.nengo_reader.populations import default_points, sampled
from spikewright.modelling.nengo_reader.processes import Called
from spikewright.modelling.nengo_reader.solvers import FoundWeights, solver_of
from spikewright.modelling.nengo_reader.synapses import is_users, synapse_of
from spikewright.modelling.nengo_reader.transforms import Sampled, transform_of
from spikewright.network import Connection, Node
from spikewright.network.solvers import NoSolver, Solver
from spikewright.network.synapses import Lowpass
from spikewright.network.transforms import Dense, Scale, Transform


def part(item: Any, key: Any) -> Any:
    """The part of an object that `key`, a slice or a list of numbers, takes."""
    if isinstance(key, slice) and key == slice(None):
        return item
    if isinstance(key, slice | int):
        return item[key]
    return item[np.flatnonzero(key) if np.asarray(key).dtype == bool else np.array(key, int)]


def make_connection(
    theirs: Any, pre: Any, post: Any, seed: int, built: Any = None
) -> tuple[Connection, Sampled]:
    """The connection from `pre` to `post`, parts taken, and its transform as it was sampled.

    With `built`, decoders and weights are those that Nengo has solved, or learned since.
    """
    rng = np.random.RandomState(seed)
    source = theirs.pre_obj
    decodes = is_a(source, "Ensemble") and not is_a(source.neuron_type, "Direct")
    given: dict[str, Any] = _points(theirs, rng) if is_a(source, "Ensemble") else {}
    known = None if built is None else built.data[theirs].weights
    sampled_map = transform_of(theirs, rng, None if decodes else known)
    transform = _matrix(theirs, sampled_map.transform)
    if decodes:
        given["solver"] = (
            solver_of(theirs.solver, rng)
            if known is None
            else _found(theirs, transform, np.asarray(known))
        )
    synapse, target = _filtered(theirs, part(post, theirs.post_slice), seed)
    connection = Connection(
        part(pre, theirs.pre_slice),
        target,
        synapse=synapse,
        transform=transform,
        label=theirs.label,
        function=_flat(theirs),
        learning_rule_type=rules_of(theirs),
        **given,
    )
    connection.learned = learned_by(built, theirs, connection)
    return connection, sampled_map


def _points(theirs: Any, rng: np.random.RandomState) -> dict[str, Any]:
    """Evaluation points of the connection's own, if any."""
    found: dict[str, Any] = {"scale_eval_points": bool(theirs.scale_eval_points)}
    if theirs.eval_points is not None:
        ensemble = theirs.pre_obj
        n, d = default_points(ensemble), ensemble.dimensions
        found["eval_points"] = sampled(theirs.eval_points, n, d, rng)
    return found


def _flat(theirs: Any) -> Any:
    """The function; values with several axes are flattened, as Nengo does."""
    function = theirs.function
    if not callable(function) or np.ndim(function(np.zeros(theirs.size_in))) < 2:
        return function
    return lambda x: np.ravel(function(x))


def _matrix(theirs: Any, transform: Transform | None) -> Transform | None:
    """The transform; as a matrix where it learns and its weights are from neurons themselves."""
    between = theirs.learning_rule_type is not None and not is_a(theirs.pre_obj, "Ensemble")
    if not between or not isinstance(transform, Scale):
        return transform
    return Dense(np.eye(theirs.size_out) * transform.factor)


def _found(theirs: Any, transform: Transform | None, known: NDArray) -> Solver:
    """Decoders that with transform (and encoders) give Nengo's weights."""
    if theirs.solver.weights and is_a(theirs.post_obj, "Ensemble"):
        return FoundWeights(known.T)
    if transform is None:
        return NoSolver(known.T)
    matrix = transform.matrix if isinstance(transform, Dense) else None
    if matrix is None:
        matrix = np.eye(theirs.size_mid) * transform.weights
    return NoSolver((np.linalg.pinv(matrix) @ known).T)


def _filtered(theirs: Any, target: Any, seed: int) -> tuple[Any, Any]:
    """The synapse and its target: a user's own synapse is a node between, one step late."""
    if not is_users(theirs.synapse):
        return synapse_of(theirs, theirs.synapse), target
    size = theirs.size_out
    node = Node(
        Called(theirs.synapse, seed),
        size_in=size,
        size_out=size,
        label=f"synapse of {theirs!r}",
    )
    Connection(node, target, synapse=Lowpass(0.0))
    return None, node
