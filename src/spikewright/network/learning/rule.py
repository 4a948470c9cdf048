"""The fit of rules to connections, their place in them, and rules as users give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import ArrayLike, NDArray

from spikewright.errors import NetworkError
from spikewright.network.attributes import Checked
from spikewright.network.ensemble import Ensemble
from spikewright.network.learning.base import LearningRuleType
from spikewright.network.shapes import Shape, finite
from spikewright.network.transforms import Dense, Permute, Reshape, Slice, Take, Transform, flatten
from spikewright.network.view import NeuronsView, ObjView

if TYPE_CHECKING:
    from spikewright.network.connection import Connection


class LearningRule(Checked):
    """One rule of one connection, as `connection.learning_rule` gives it.

    A connection to it delivers its error or learning signal, `size_in` values; a probe of it
    records one of `probeable`. `key` is its place where the connection has a list or a dict of
    rules, else None.
    """

    def __init__(
        self, connection: Connection, rule: LearningRuleType, key: int | str | None
    ) -> None:
        self.connection, self.learning_rule_type, self.key = connection, rule, key
        self._made = True

    @property
    def size_in(self) -> int:
        """The number of values that a connection to it delivers; 0 where none may lead to it.

        An error has the size of the connection's output. For a connection to neurons it has the
        dimensions of their ensemble, or one value a neuron where that represents nothing.
        """
        receives = self.learning_rule_type.receives
        if receives is None:
            return 0
        return self.connection.error_size if receives == "error" else 1

    @property
    def shape_in(self) -> Shape:
        """The same as a shape."""
        return (self.size_in,)

    @property
    def size_out(self) -> int:
        """0: a rule sends nothing."""
        return 0

    @property
    def probeable(self) -> tuple[str, ...]:
        """The signals that a probe may record."""
        return self.learning_rule_type.probeable

    def __getitem__(self, key: Any) -> ObjView:
        return ObjView(self, key)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, LearningRule)
            and other.connection is self.connection
            and other.key == self.key
        )

    def __hash__(self) -> int:
        return hash((LearningRule, id(self.connection), self.key))

    def __repr__(self) -> str:
        place = "" if self.key is None else f" {self.key!r}"
        return f"<{type(self.learning_rule_type).__name__}{place} of {self.connection!r}>"


_LEARNED = ("weights", "encoders")
_MATRIX = "a matrix of finite numbers"


def rules_given(connection: Connection, value: Any) -> tuple[Any, tuple[LearningRule, ...]]:
    """`learning_rule_type` as it is kept, and the rules as targets, in order.

    Raises `NetworkError` naming the connection for anything but a rule, and for a rule without
    weights to learn.
    """
    kept: Any = value
    if isinstance(value, Mapping):
        kept = dict(value)
    elif isinstance(value, list | tuple):
        kept = list(value)
    named = by_key(kept)
    for rule in named.values():
        if not isinstance(rule, LearningRuleType):
            raise NetworkError(
                f"{connection!r}: learning_rule_type is None, a learning rule, or a list or dict "
                f"of them, got {rule!r}"
            )
        check_fit(connection, rule)
    return kept, tuple(LearningRule(connection, rule, key) for key, rule in named.items())


def by_key(rules: Any) -> dict[Any, Any]:
    """Rules by their place in a list or dict, or a single one by None."""
    if isinstance(rules, Mapping):
        return dict(rules)
    if isinstance(rules, list | tuple):
        return dict(enumerate(rules))
    return {} if rules is None else {None: rules}


def learned_given(connection: Connection, value: Mapping[str, ArrayLike]) -> dict[str, NDArray]:
    """Learned weights by name; raises `NetworkError` for other names and for non-matrices."""
    found = {}
    for name, values in value.items():
        if name not in _LEARNED:
            raise NetworkError(f"{connection!r}: learned arrays are named {_LEARNED}, got {name!r}")
        what = f"{connection!r}: learned {name}"
        found[name] = finite(values, what, _MATRIX)
        if found[name].ndim != 2:
            raise NetworkError(f"{what} must be {_MATRIX}, got shape {found[name].shape}")
    return found


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
