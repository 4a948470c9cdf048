"""Connections: maps between objects, filtered in time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.errors import NetworkError
from spikewright.network.attributes import Checked
from spikewright.network.config import configurable
from spikewright.network.decoded_functions import Function, as_function, wanted_values
from spikewright.network.distributions import Distribution
from spikewright.network.ensemble import Ensemble
from spikewright.network.learning import LearningRule, LearningRuleType
from spikewright.network.learning.rule import check_fit, learned_given, rules_given
from spikewright.network.network import container, entropy
from spikewright.network.node import Node
from spikewright.network.shapes import as_delay, as_label, as_seed
from spikewright.network.solvers import LstsqL2, Solver
from spikewright.network.synapses import Lowpass, Synapse, as_synapse
from spikewright.network.transforms import (
    Dense,
    Shape,
    Sparse,
    Transform,
    as_transform,
    flatten,
)
from spikewright.network.view import NeuronsView, ObjView

_DEFAULT_SYNAPSE = Lowpass(0.005)
Object = Ensemble | Node
Sender = Node | NeuronsView | Ensemble
Whole = Sender | LearningRule
End = Whole | ObjView
Rules = LearningRuleType | Sequence[LearningRuleType] | Mapping[str, LearningRuleType]


@configurable
class Connection(Checked):
    """A map from one object's output to another's input, filtered in time.

    `pre` and `post` are nodes, ensembles, an ensemble's `.neurons`, or parts of them. `transform`
    is None (the values as they are), a number or vector (elementwise), a matrix, a `Transform`, or
    a distribution that a matrix is drawn from. `seed` fixes that draw, else the network's seed and
    the connection's place. `synapse` is None (no filter and no delay), seconds (`Lowpass`) or a
    `Synapse`, which also delays by one step; it defaults to `Lowpass(0.005)`. `delay` are further
    seconds: `round(delay / dt)` steps later arrives what would arrive without it, and zeros before.
    Of a `Sparse` transform they may be an array `(entries,)`, one delay a synapse, each a step at
    least. All three are attributes that may be changed.

    From an ensemble the value that it represents is decoded, or `function` of it: a callable of
    one vector, or an array of wanted values, one row for each of `eval_points`. `solver` finds the
    decoders, at `eval_points` (default: the ensemble's), which are for a radius of 1 where
    `scale_eval_points`. From a node `function` is applied exactly, at every step.

    `learning_rule_type` is a rule by which weights change while the network runs, a list of rules
    whose changes add up, or a dict of them by name; `learning_rule` are the same rules as targets:
    a connection whose `post` is a rule delivers its error or learning signal. `learned` are initial
    weights in place of those given or solved.

    Raises `NetworkError` where the shapes of function and transform do not fit `pre` and `post`, or
    a rule finds nothing to learn.
    """

    _from_defaults: frozenset[str] = frozenset()

    def __init__(
        self,
        pre: End,
        post: End,
        synapse: Any = _DEFAULT_SYNAPSE,
        transform: Any = None,
        label: str | None = None,
        *,
        function: Function | ArrayLike | None = None,
        solver: Solver | None = None,
        eval_points: ArrayLike | Distribution | None = None,
        scale_eval_points: bool = True,
        learning_rule_type: Rules | None = None,
        seed: int | None = None,
        delay: float | ArrayLike = 0.0,
    ) -> None:
        self.label = as_label(label, "Connection", "transform")
        self._rules: tuple[LearningRule, ...] = ()
        self._learned: dict[str, NDArray] = {}
        self.pre = self._checked(pre, "pre")
        self.post = self._checked(post, "post")
        self.seed = as_seed(seed, f"{self!r}")
        self._drawn_from = entropy(len(container("Connection").connections), self.seed)
        function, solver, eval_points = self._concerning(function, solver, eval_points)
        self.solver = LstsqL2() if solver is None else solver
        if not isinstance(self.solver, Solver):
            raise NetworkError(f"{self!r}: solver must be a Solver, got {solver!r}")
        self.scale_eval_points = bool(scale_eval_points)
        self.eval_points = self._points(eval_points)
        self._check_decoding(function, solver)
        self.function, self._sent_shape = as_function(
            function, self.part_shape, self.eval_points, f"{self!r}"
        )
        self.transform = transform
        self.synapse = synapse
        self.delay = delay
        self.learning_rule_type = learning_rule_type
        container("Connection").connections.append(self)

    @property
    def transform(self) -> Transform | None:
        """The linear map; raises `NetworkError` for one that does not fit `pre` and `post`."""
        return self._transform

    @transform.setter
    def transform(self, value: Any) -> None:
        if isinstance(value, Distribution):
            value = self._of_distribution(value)
        transform = as_transform(value, f"{self!r}")
        self._check_shapes(transform)
        if transform is not None:
            transform = transform.made(np.random.default_rng(self._drawn_from))
        self._check_delays(getattr(self, "_delay", 0.0), transform)
        before = getattr(self, "_transform", None)
        self._transform = transform
        try:
            self._check_rules()
        except NetworkError:
            self._transform = before
            raise

    def _of_distribution(self, values: Distribution) -> Transform:
        """The matrix that is to be drawn."""
        shape = self.receiver_shape
        post = self.post.numbers(shape).shape if isinstance(self.post, ObjView) else shape
        if len(post) != 1 or len(self.sent_shape) != 1:
            raise NetworkError(
                f"{self!r}: a distribution is drawn for a matrix between vectors, not from "
                f"{self.sent_shape} to {post}; reshape them, or give a Convolution(init=)"
            )
        return Dense((post[0], self.sent_shape[0]), values)

    @property
    def synapse(self) -> Synapse | None:
        """The filter, or None; a number means `Lowpass`."""
        return self._synapse

    @synapse.setter
    def synapse(self, value: Any) -> None:
        self._synapse = as_synapse(value, f"{self!r}")

    @property
    def delay(self) -> float | NDArray:
        """Seconds beside the step of a synapse, or an array of them, one an entry of `Sparse`.

        Raises `NetworkError` for what is below 0, or for another number of them.
        """
        return self._delay

    @delay.setter
    def delay(self, value: float | ArrayLike) -> None:
        delay = as_delay(value, f"{self!r}")
        self._check_delays(delay, self._transform)
        self._delay = delay

    def _check_delays(self, delay: float | NDArray, transform: Transform | None) -> None:
        """Raise `NetworkError` for delays by synapse of a map that has other synapses."""
        if isinstance(delay, float):
            return
        if not isinstance(transform, Sparse):
            raise NetworkError(
                f"{self!r}: an array of delays has one for each entry of a Sparse transform, and "
                f"this one is {transform!r}; give sw.Sparse(...), or one number for all"
            )
        if len(delay) != len(transform.rows):
            raise NetworkError(
                f"{self!r}: {len(delay)} delays for {len(transform.rows)} entries of its Sparse "
                "transform; give one for each, in their order, or one number for all"
            )

    @property
    def learning_rule_type(self) -> Rules | None:
        """The rules by which weights change: None, a rule, a list of rules or a dict of them."""
        return self._rule_type

    @learning_rule_type.setter
    def learning_rule_type(self, value: Rules | None) -> None:
        self._rule_type, self._rules = rules_given(self, value)

    @property
    def learning_rules(self) -> tuple[LearningRule, ...]:
        """The connection's learning rules in order, however they were given."""
        return self._rules

    @property
    def learning_rule(self) -> Any:
        """The rules as targets: one, a list or a dict, as `learning_rule_type`; None for none."""
        if isinstance(self._rule_type, Mapping):
            return {rule.key: rule for rule in self._rules}
        if isinstance(self._rule_type, list):
            return list(self._rules)
        return self._rules[0] if self._rules else None

    def _check_rules(self) -> None:
        for rule in self._rules:
            check_fit(self, rule.learning_rule_type)

    @property
    def learned(self) -> dict[str, NDArray]:
        """Learned arrays that the next simulator starts from: "weights" and "encoders", if any.

        "weights" are in the form of `sim.data[connection].weights`, "encoders" in that of
        `sim.data[ensemble].encoders`, of the ensemble that receives; no firing-rate scale is in
        either. They also hold where no rule is left. `Simulator.keep_learned` sets them.
        """
        return self._learned

    @learned.setter
    def learned(self, value: Mapping[str, ArrayLike]) -> None:
        self._learned = learned_given(self, value)

    @property
    def error_size(self) -> int:
        """The number of values of an error of this connection: see `LearningRule.size_in`."""
        post = self.post_obj
        if isinstance(post, NeuronsView) and post.ensemble.represents:
            return post.ensemble.dimensions
        return self.size_out

    @property
    def size_in(self) -> int:
        """Number of values of `pre`, of the part where it is one."""
        return math.prod(self.part_shape)

    @property
    def size_mid(self) -> int:
        """Number of values of the function, which the transform takes."""
        return math.prod(self.sent_shape)

    @property
    def size_out(self) -> int:
        """Number of values that arrive at `post`, at the part where it is one."""
        return self.post.size_in

    @property
    def receiver_shape(self) -> Shape:
        """Shape of the input of the whole of `post`."""
        return input_shape(self.post_obj)

    def _checked(self, end: Any, which: str) -> Any:
        whole = end.target if isinstance(end, ObjView) else end
        if isinstance(whole, LearningRule) and which == "post":
            if whole.size_in == 0:
                raise NetworkError(f"{whole!r} takes no input, so nothing can be connected to it")
            return end
        if not isinstance(whole, Node | NeuronsView | Ensemble):
            raise NetworkError(
                f"{which} must be a Node, an Ensemble or an ensemble's neurons, got {end!r}"
            )
        if isinstance(whole, NeuronsView) and whole.ensemble.is_direct:
            raise NetworkError(
                f"{which} = {whole!r}: with Direct() there are no neurons; connect to the ensemble"
            )
        return end.neurons if isinstance(end, Ensemble) and not end.represents else end

    def _points(self, value: Any) -> NDArray | Distribution | None:
        if value is None or isinstance(value, Distribution):
            return value
        pre = self.pre_obj
        if not isinstance(pre, Ensemble):
            raise NetworkError(f"{self!r}: eval_points are for connections from an Ensemble")
        return pre._vectors("eval_points", value, None)

    def _concerning(self, function: Any, solver: Any, eval_points: Any) -> tuple[Any, Any, Any]:
        """Options of decoding, without defaults of networks where nothing is decoded."""
        options = {"function": function, "solver": solver, "eval_points": eval_points}
        if not isinstance(self.pre_obj, Ensemble):
            options |= dict.fromkeys(options.keys() & self._from_defaults)
        return options["function"], options["solver"], options["eval_points"]

    def _check_decoding(self, function: Any, solver: Solver | None) -> None:
        """Raise `NetworkError` for an option of decoding where nothing is decoded."""
        pre = self.pre_obj
        if isinstance(pre, Ensemble):
            return
        given = {"solver": solver, "eval_points": self.eval_points}
        named = [name for name, value in given.items() if value is not None]
        if named:
            raise NetworkError(
                f"{self!r}: {', '.join(named)} are for connections from an Ensemble, not {pre!r}"
            )
        passes = isinstance(pre, Node) and pre.output is None
        if function is not None and (passes or isinstance(pre, NeuronsView)):
            raise NetworkError(
                f"{self!r}: function= is for connections from an Ensemble or from a Node with an "
                f"output; put {pre!r} through sw.Node(function, size_in=...)"
            )

    def targets(self, points: NDArray) -> NDArray:
        """Wanted values `(m, values)` at points `(m, dimensions)` of the whole ensemble.

        Raises `NetworkError` where the function fails, or returns another size, NaN or infinity.
        """
        part = points
        if isinstance(self.pre, ObjView):
            numbers: NDArray = self.pre.numbers((points.shape[1],))
            part = points[:, numbers.ravel()]
        return wanted_values(self.function, part, self.sent_shape, f"{self!r}")

    @property
    def part_shape(self) -> Shape:
        """Shape of `pre`, of the part where it is one."""
        shape = output_shape(self.pre_obj)
        return self.pre.numbers(shape).shape if isinstance(self.pre, ObjView) else shape

    @property
    def sent_shape(self) -> Shape:
        """Shape of the values that the transform maps: of `function`, or of (the part of) `pre`."""
        return self._sent_shape

    @property
    def decodes(self) -> bool:
        """Whether values are decoded from spikes."""
        pre = self.pre_obj
        return isinstance(pre, Ensemble) and not pre.is_direct

    @property
    def pre_obj(self) -> Sender:
        """The whole object that `pre` is (a part of)."""
        return self.pre.target if isinstance(self.pre, ObjView) else self.pre

    @property
    def post_obj(self) -> Whole:
        """The whole object that `post` is (a part of)."""
        return self.post.target if isinstance(self.post, ObjView) else self.post

    def _check_shapes(self, transform: Transform | None) -> None:
        shape = self._first_shape
        for part in self._chain(transform):
            shape = part.output_shape(shape)
        wanted = input_shape(self.post_obj)
        if shape != wanted:
            maker = "transform" if self.function is None or transform is not None else "function"
            raise NetworkError(
                f"{self!r}: its {maker} makes values of shape {shape}, {self.post_obj!r} takes "
                f"{wanted}; give a {maker} that fits"
            )

    @property
    def _first_shape(self) -> Shape:
        """Shape of the chain's input."""
        return self.sent_shape if self._selects else output_shape(self.pre_obj)

    @property
    def _selects(self) -> bool:
        """Whether a part of `pre` is taken before the chain of transforms."""
        return isinstance(self.pre_obj, Ensemble) or self.function is not None

    def chain(self) -> tuple[Transform, ...]:
        """The maps that lead from the whole of `pre` to the whole of `post`, in order.

        From an ensemble, and behind a function, they begin at the values that are sent.
        """
        return self._chain(self.transform)

    @property
    def transform_place(self) -> int:
        """The position of the transform in the chain of maps."""
        return len(self._selection())

    @property
    def placing(self) -> tuple[Transform, ...]:
        """The last maps of the chain, those that put values to their places in `post`."""
        if not isinstance(self.post, ObjView):
            return ()
        return flatten(self.post.place(input_shape(self.post.target))[1])

    def _selection(self) -> tuple[Transform, ...]:
        """The maps that take a part of `pre`."""
        if isinstance(self.pre, ObjView) and not self._selects:
            return tuple(flatten(self.pre.select(output_shape(self.pre.target))))
        return ()

    def _chain(self, transform: Transform | None) -> tuple[Transform, ...]:
        return (*self._selection(), *flatten(transform), *self.placing)

    def __repr__(self) -> str:
        if self.label:
            return f"<Connection {self.label!r}>"
        return f"<Connection from {getattr(self, 'pre', '?')!r} to {getattr(self, 'post', '?')!r}>"


def object_of(end: Any) -> Object:
    """The ensemble or node at an end of a connection: of neurons their ensemble."""
    found: Object = getattr(end, "ensemble", end)
    return found


def output_shape(item: Sender) -> Shape:
    """Shape of an object's output; of an ensemble that of the vector it represents."""
    return item.shape_out


def input_shape(item: Whole) -> Shape:
    """Shape of an object's input."""
    return item.shape_in
