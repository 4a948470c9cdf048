"""The fit of rules to connections, and the place of the weights that they change."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from spikewright.errors import NetworkError
from spikewright.network.ensemble import Ensemble, NeuronsView
from spikewright.network.learning.base import LearningRuleType
from spikewright.network.transforms import (
    Dense,
    Permute,
    Reshape,
    Slice,
    Take,
    Transform,
    flatten,
)
from spikewright.network.view import ObjView

if TYPE_CHECKING:
    from spikewright.network.connection import Connection


class MatrixPlace(NamedTuple):
    """A chain of transforms around its one matrix: the moves before it, and the moves behind it."""

    before: tuple[Transform, ...]
    dense: Dense
    after: tuple[Transform, ...]


def matrix_place(connection: Connection) -> MatrixPlace | None:
    """The one matrix of a connection from neurons; None where it has none, or several.

    The chain may move values (and take a part of `pre`) before it, and reshape and place them
    behind.
    """
    pre, post = connection.pre, connection.post
    chain = flatten(connection.transform)
    found = [i for i, transform in enumerate(chain) if isinstance(transform, Dense)]
    if len(found) != 1:
        return None
    before, dense, after = chain[: found[0]], chain[found[0]], chain[found[0] + 1 :]
    moves = all(isinstance(t, Reshape | Permute | Slice | Take) for t in before)
    shape = connection.part_shape
    for transform in before:
        shape = transform.output_shape(shape)
    if not (moves and len(shape) == 1 and all(isinstance(t, Reshape) for t in after)):
        return None
    if isinstance(pre, ObjView):
        before = (*flatten(pre.select(pre.target.shape)), *before)
    if isinstance(post, ObjView):
        after = (*after, *flatten(post.place(connection.receiver_shape)[1]))
    return MatrixPlace(tuple(before), dense, tuple(after))  # type: ignore[arg-type]


def check_fit(connection: Connection, rule: LearningRuleType) -> None:
    """Raise `NetworkError` naming the connection where a rule has nothing to learn there."""
    name = type(rule).__name__
    if rule.modifies == "encoders":
        post = connection.post_obj
        if not isinstance(post, Ensemble) or post.is_direct:
            why = "Direct() has none" if isinstance(post, Ensemble) else "it is no Ensemble"
            raise NetworkError(
                f"{connection!r}: {name} changes the encoders of the ensemble that receives, but "
                f"its post is {post!r}: {why}. Connect to an Ensemble with neurons."
            )
        if connection.decodes and connection.solver.weights:
            raise NetworkError(
                f"{connection!r}: {name} changes the encoders of the ensemble that receives, and a "
                "solver with weights=True leads past them to its neurons. Give a solver without."
            )
        return
    pre = connection.pre_obj
    if isinstance(pre, Ensemble) and pre.is_direct:
        raise NetworkError(
            f"{connection!r}: {name} changes weights from neurons, and {pre!r} has none (Direct)"
        )
    if not isinstance(pre, Ensemble | NeuronsView):
        raise NetworkError(
            f"{connection!r}: {name} changes weights from neurons, but its pre is {pre!r}. Put an "
            "Ensemble between them."
        )
    if isinstance(pre, NeuronsView) and matrix_place(connection) is None:
        raise NetworkError(
            f"{connection!r}: {name} changes the weights of a matrix, but its transform is "
            f"{connection.transform!r}. Give transform= one matrix, (values, neurons)."
        )
    if rule.modifies == "weights":
        _check_between_neurons(connection, name)


def _check_between_neurons(connection: Connection, name: str) -> None:
    pre, post = connection.pre_obj, connection.post_obj
    if isinstance(pre, NeuronsView):
        if not isinstance(post, NeuronsView):
            raise NetworkError(
                f"{connection!r}: {name} changes weights between neurons, but its post is {post!r}."
                " Connect to the .neurons of an Ensemble."
            )
        return
    full = connection.solver.weights and isinstance(post, Ensemble) and not post.is_direct
    if not full:
        raise NetworkError(
            f"{connection!r}: {name} changes weights between neurons, and this connection has "
            "decoders. Give a solver with weights=True between two ensembles with neurons, or "
            "connect their .neurons with a matrix."
        )
