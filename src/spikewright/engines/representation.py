"""Encoders, evaluation points and decoders of represented vectors (semantics 4.2, 4.3).

A population of `n` neurons represents a vector `x` of `d` dimensions. Its neurons' input is
`encoders . x / radius`, to which gain and bias apply; decoders are found at evaluation points.
The key of decoders in a cache covers all that they depend on: equal keys, equal bits.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import frozen
from spikewright._base.codec import RecordEncoder
from spikewright._base.schema import declares_fields
from spikewright.engines.decoder_cache import DecoderCache
from spikewright.engines.parameters import Key, Solved, generator
from spikewright.engines.reference.linear import matrix_of
from spikewright.errors import BuildError, NetworkError
from spikewright.network import Connection, Ensemble
from spikewright.network.distributions import Distribution, as_points
from spikewright.network.neurons import NUMPY_NEURONS
from spikewright.network.solvers import NoSolver, Solution, Solver

_VALUES_AT_ONCE = 65_536  # activities: half a megabyte

# Streams of an ensemble's generator; 0 is the initial voltage, 2 and 3 are rates and intercepts.
_ENCODERS, _EVAL_POINTS = 4, 5


class Representation:
    """The represented vector of a population: its encoders, evaluation points and activities.

    `gain` and `bias` are unscaled, `(n,)` each, and absent where there are no neurons. Random
    values are drawn at first use, and do not depend on when that is.
    """

    def __init__(self, ensemble: Ensemble, key: Key, solved: Solved | None) -> None:
        self.ensemble, self._key, self._solved = ensemble, key, solved
        self._activities: NDArray | None = None

    @cached_property
    def encoders(self) -> NDArray:
        """`(n, d)`, of length 1 unless the ensemble says otherwise; without neurons the identity.

        Raises `BuildError` where one is zero.
        """
        ensemble = self.ensemble
        if ensemble.is_direct:
            return np.eye(ensemble.dimensions)
        self._check_represents()
        rng = generator(self._key, _ENCODERS)
        drawn = self._points(ensemble.encoders, ensemble.n_neurons, rng, "encoders")
        length = np.linalg.norm(drawn, axis=1, keepdims=True)
        if not np.all(length > 0):
            raise BuildError(
                f"{ensemble!r}: {int(np.sum(length == 0))} of {len(drawn)} encoders are zero: such "
                "a neuron has no direction to respond to"
            )
        return frozen(drawn / length if ensemble.normalize_encoders else drawn)

    @cached_property
    def eval_points(self) -> NDArray:
        """The points `(m, d)` at which decoders are solved, the radius applied."""
        return frozen(self.points(self.ensemble.eval_points, True))

    def points(self, given: NDArray | Distribution, scaled: bool) -> NDArray:
        """Evaluation points from a user's argument, times the radius where `scaled`."""
        ensemble = self.ensemble
        self._check_represents()
        drawn = isinstance(given, Distribution)
        n = (ensemble.n_eval_points or ensemble.default_eval_points) if drawn else None
        rng = generator(self._key, _EVAL_POINTS)
        points = self._points(given, n, rng, "eval_points")
        return points * ensemble.radius if scaled else points

    def _check_represents(self) -> None:
        if not self.ensemble.represents:
            raise BuildError(
                f"{self.ensemble!r} represents no vector (dimensions=None): it has no encoders "
                "and no evaluation points"
            )

    def _points(
        self, given: NDArray | Distribution, n: int | None, rng: np.random.Generator, what: str
    ) -> NDArray:
        try:
            return as_points(given, n, self.ensemble.dimensions, rng)
        except NetworkError as error:
            raise BuildError(f"{self.ensemble!r}: {what}: {error}") from error

    @cached_property
    def input_weights(self) -> NDArray:
        """`encoders / radius`, `(n, d)`: maps a represented vector to the neurons' input."""
        return self.encoders / self.ensemble.radius

    @property
    def gain(self) -> NDArray:
        """The neurons' gain without any firing-rate scale, `(n,)`."""
        return self._flat(self._built.gain)

    @property
    def bias(self) -> NDArray:
        """Their bias, `(n,)`."""
        return self._flat(self._built.bias)

    @property
    def _built(self) -> Solved:
        if self._solved is None:
            raise BuildError(f"{self.ensemble!r} has no neurons (Direct)")
        return self._solved

    def _flat(self, values: NDArray) -> NDArray:
        return np.broadcast_to(values, self.ensemble.shape).ravel()

    def activities(self, points: NDArray) -> NDArray:
        """Outputs `(m, n)` at constant represented vectors `(m, d)`: rates, amplitude included.

        They are computed for some points at a time, so that temporary arrays stay in cache.
        """
        found = np.empty((len(points), self.ensemble.n_neurons))
        weights, gain, bias = self.input_weights.T, self.gain, self.bias
        rows = max(1, _VALUES_AT_ONCE // self.ensemble.n_neurons)
        for start in range(0, len(points), rows):
            some = slice(start, start + rows)
            found[some] = self.outputs((points[some] @ weights) * gain + bias)
        return found

    def outputs(self, current: NDArray) -> NDArray:
        """Outputs at constant currents, `(m, n)` both, without any firing-rate scale in them."""
        ensemble, kind = self.ensemble, self.ensemble.neuron_type
        height: Any = kind.amplitude
        if kind.scaling == "skewed":
            scale = self._flat(ensemble.rate_scale)
            current, height = current * scale, height / scale
        shaped = current.reshape(len(current), *ensemble.shape)
        rates = np.asarray(kind.rates(NUMPY_NEURONS, shaped)).reshape(current.shape)
        return rates if np.all(height == 1.0) else rates * height

    def own_activities(self) -> NDArray:
        """Activities at the ensemble's own evaluation points, kept until `forget`."""
        if self._activities is None:
            self._activities = frozen(self.activities(self.eval_points))
        return self._activities

    @property
    def activity_bytes(self) -> int:
        """Bytes of the activities that are kept."""
        return 0 if self._activities is None else self._activities.nbytes

    def forget(self) -> None:
        """Delete the kept activities, which are large."""
        self._activities = None


@dataclass(frozen=True, eq=False)
class Decoded:
    """The solved decoders of a connection.

    `decoders` are `(values, n)`; `full` is the matrix between neurons without gain, if the
    connection stores that instead. `info` is the solver's.
    """

    decoders: NDArray
    info: dict[str, Any]
    eval_points: NDArray
    full: NDArray | None = None


def decode(
    connection: Connection,
    pre: Representation,
    post: Representation | None,
    key: Key,
    cache: DecoderCache | None = None,
) -> Decoded:
    """Solve a connection's decoders; `post` is the representation of its receiver, if any.

    If solving takes long, the result is looked up in `cache`, and stored there. Raises `BuildError`
    naming the connection if there are no decoders.
    """
    points, own = _points_of(connection, pre)
    started = time.perf_counter()

    def solved(targets: NDArray) -> Solution:
        activities = pre.own_activities() if own else pre.activities(points)
        _check_active(connection, pre, activities)
        return connection.solver.solve(activities, targets, generator(key))

    try:
        targets = _solver_targets(connection, connection.targets(points), post)
        name = None if cache is None else _cache_key(connection, pre, points, targets, key)
        if cache is None or name is None:
            found = solved(targets)
        else:
            shape = (pre.ensemble.n_neurons, targets.shape[1])
            found = cache.get_or_solve(name, shape, lambda: solved(targets))
    except NetworkError as error:
        named = str(error).startswith(repr(connection))
        raise BuildError(str(error) if named else f"{connection!r}: {error}") from error
    if not np.all(np.isfinite(found.decoders)):
        raise BuildError(f"{connection!r}: {connection.solver!r} gave NaN or infinity")
    info = {"from": "solved", **found.info, "time": time.perf_counter() - started}
    decoders = np.ascontiguousarray(found.decoders)  # one layout, and so the same sums
    return Decoded(decoders.T, info, points, _full_matrix(connection, decoders, post))


def _points_of(connection: Connection, pre: Representation) -> tuple[NDArray, bool]:
    """Evaluation points of a connection, and whether they are the ensemble's own."""
    if connection.eval_points is None and connection.scale_eval_points:
        return pre.eval_points, True
    given = pre.ensemble.eval_points if connection.eval_points is None else connection.eval_points
    return pre.points(given, connection.scale_eval_points), False


def _check_active(connection: Connection, pre: Representation, activities: NDArray) -> None:
    if not np.any(activities):
        raise BuildError(
            f"{connection!r}: no neuron of {pre.ensemble!r} responds at any of its "
            f"{len(activities)} evaluation points (the 'activities' matrix is all zero), so "
            "nothing can be decoded; check max_rates, intercepts, gain, bias and eval_points"
        )


def _cache_key(
    connection: Connection, pre: Representation, points: NDArray, targets: NDArray, key: Key
) -> str | None:
    """The key of a connection's decoders in a cache; None if solving is as fast as a lookup."""
    solver, ensemble = connection.solver, pre.ensemble
    if not is_expensive(solver, len(points), ensemble.n_neurons):
        return None
    if not has_stable_code(solver, ensemble.neuron_type):
        return None
    scale = np.asarray(ensemble.rate_scale)
    arrays = (points, pre.input_weights, pre.gain, pre.bias, scale, targets)
    return decoder_key(solver, ensemble.neuron_type, arrays, key)


def _solver_targets(
    connection: Connection, targets: NDArray, post: Representation | None
) -> NDArray:
    """The solver's targets: the decoded values, or the input of every receiving neuron."""
    solver = connection.solver
    if not solver.weights or post is None or solver.compositional:
        return targets
    return targets @ (post.gain[:, None] * _target_weights(connection, post)).T


def _full_matrix(
    connection: Connection, decoders: NDArray, post: Representation | None
) -> NDArray | None:
    """The matrix between neurons without gain, for solvers with `weights`; else None."""
    solver = connection.solver
    if not solver.weights or post is None:
        return None
    if solver.compositional:
        return _target_weights(connection, post) @ decoders.T
    gain, weights = post.gain[:, None], decoders.T
    return np.divide(weights, gain, out=np.zeros_like(weights), where=gain != 0)


def _target_weights(connection: Connection, post: Representation) -> NDArray:
    """The matrix from decoded values to the neurons' input, without gain."""
    return post.input_weights @ matrix_of(connection.chain(), connection.sent_shape)


_EXPENSIVE = 1e7
"""Multiply-adds from which a closed form takes several times as long as reading its result.

That is about 120 neurons in one dimension; below it, writing a file takes as long as solving.
"""

_OWN = "spikewright."
_CODE = ("_base/equations", "network/neurons", "network/solvers", "engines")
_LIBRARIES = ("numpy", "scipy", "scikit-learn")


def is_expensive(solver: Solver, points: int, neurons: int) -> bool:
    """Whether solving takes longer than a lookup in the cache.

    It does for all solvers without a closed form, and for none that is given its result.
    """
    if isinstance(solver, NoSolver):
        return False
    return not solver.compositional or points * neurons * min(points, neurons) >= _EXPENSIVE


def has_stable_code(*objects: Any) -> bool:
    """Whether objects are of this package; the code of a user's own may change under one name."""
    return all(_is_own(item) for item in objects)


def _is_own(item: Any) -> bool:
    if isinstance(item, type) or not declares_fields(type(item)):
        return False
    inner = (getattr(item, f.name) for f in fields(item))
    return type(item).__module__.startswith(_OWN) and all(
        _is_own(part) for part in inner if is_dataclass(part)
    )


def decoder_key(
    solver: Solver, neuron_type: Any, arrays: Iterable[NDArray], key: tuple[int, int]
) -> str:
    """The key under which decoders are stored.

    `arrays` are the points, encoders, gain, bias and scale of the activities, and the wanted
    values, in a fixed order. `key` is that of the solver's random numbers. The solving code and the
    versions of its libraries are part of the key too.
    """
    encoder = RecordEncoder()
    described = [_named(encoder, solver), _named(encoder, neuron_type), list(key)]
    digest = blake2b(_code().encode(), digest_size=20)
    digest.update(json.dumps(described, sort_keys=True).encode())
    for array in (*arrays, *encoder.arrays.values()):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _named(encoder: RecordEncoder, item: Any) -> Any:
    return [type(item).__module__, encoder.encode(item)]


@cache
def _code() -> str:
    """A digest of the code that makes decoders, and the versions of its libraries."""
    digest = blake2b(digest_size=20)
    root = Path(__file__).parents[1]
    for place in _CODE:
        for file in sorted((root / place).glob("*.py")):
            digest.update(file.name.encode())
            digest.update(file.read_bytes())
    return " ".join([digest.hexdigest(), platform.machine(), *map(_version, _LIBRARIES)])


def _version(library: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # late: quick to import

    try:
        return version(library)
    except PackageNotFoundError:
        return "none"
