"""Connections: the sent values, their filters and their maps, sampled as Nengo does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.errors import BuildError
from spikewright.modelling.nengo_reader.components import (
    CalledProcess,
    FoundWeights,
    is_users,
    learned_by,
    rules_of,
    solver_of,
    synapse_of,
)
from spikewright.modelling.nengo_reader.kinds import is_a, name_of, own_kind, refused, whole
from spikewright.modelling.nengo_reader.populations import default_points, sampled
from spikewright.network import Connection, Node, Probe
from spikewright.network.solvers import NoSolver, Solver
from spikewright.network.synapses import Lowpass
from spikewright.network.transforms import (
    Convolution,
    ConvolutionTranspose,
    Dense,
    Scale,
    Sparse,
    Transform,
)


class Sampled(NamedTuple):
    """A transform and its weights as `sim.data[connection].weights` shows them (None: none)."""

    transform: Transform | None
    weights: Any


def transform_of(connection: Any, rng: np.random.RandomState, given: Any = None) -> Sampled:
    """A connection's transform, with random weights drawn from `rng`, or with weights `given`.

    Raises `ReadError` naming the connection for a transform that is not Nengo's.
    """
    theirs = connection.transform
    kind = own_kind(theirs)
    if theirs is None or kind == "NoTransform":
        return Sampled(None, None)
    if kind not in _READERS:
        raise refused(
            connection,
            f"transform {type(theirs).__name__}",
            "what it computes is not known",
            "use one of " + ", ".join(["NoTransform", *_READERS]),
        )
    weights = theirs.sample(rng=rng) if given is None else given
    return Sampled(_READERS[kind](theirs, weights), weights)


def _dense(theirs: Any, weights: Any) -> Transform:
    array = np.array(weights, np.float64)
    return Dense(array) if array.ndim == 2 else Scale(array)


def _sparse(theirs: Any, weights: Any) -> Transform:
    out, size = theirs.shape
    return Sparse(*entries_of(weights), (int(out),), int(size))


def entries_of(weights: Any) -> tuple[NDArray, NDArray, NDArray]:
    """Rows, columns and values of sparse weights, SciPy's or Nengo's."""
    if hasattr(weights, "tocoo"):
        entries = weights.tocoo()
        return entries.row, entries.col, np.array(entries.data, np.float64)
    rows, columns = np.asarray(weights.indices).reshape(-1, 2).T
    return rows, columns, np.array(np.broadcast_to(weights.data, rows.shape), np.float64)


def _convolution(theirs: Any, weights: Any) -> Transform:
    """A convolution or its transpose, as ours in the same terms."""
    numbers = np.array(weights, np.float64)
    kind: Any = Convolution
    shapes = {"input_shape": theirs.input_shape.shape}
    if own_kind(theirs) == "ConvolutionTranspose":
        kind, shapes["output_shape"] = ConvolutionTranspose, theirs.output_shape.shape
    found = kind(
        n_filters=numbers.shape[-1],
        **shapes,
        kernel_size=theirs.kernel_size,
        strides=theirs.strides,
        padding=theirs.padding,
        channels_last=bool(theirs.channels_last),
        init=numbers,
        groups=int(getattr(theirs, "groups", 1)),
    )
    made: Transform = found.make(numbers)
    return made


_READERS: dict[str, Any] = {
    "Dense": _dense,
    "Sparse": _sparse,
    "Convolution": _convolution,
    "ConvolutionTranspose": _convolution,
}


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
        CalledProcess(theirs.synapse, seed),
        size_in=size,
        size_out=size,
        label=f"synapse of {theirs!r}",
    )
    Connection(node, target, synapse=Lowpass(0.0))
    return None, node


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
