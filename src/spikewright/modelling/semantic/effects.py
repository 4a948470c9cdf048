"""Actions and effects as connections: linear parts are weights, products neurons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError
from spikewright.modelling.networks import CircularConvolution, dot_product_transform
from spikewright.modelling.networks import Product as ProductNetwork
from spikewright.modelling.semantic.expression import (
    Dot,
    Expression,
    Inverse,
    Made,
    Moved,
    Number,
    ProductExpression,
    Reference,
    SumExpression,
    Symbol,
    Vector,
    format_expression,
)
from spikewright.modelling.semantic.pointer import SemanticPointer, applied, involution
from spikewright.modelling.semantic.vocabulary import End, Vocabulary
from spikewright.network import Connection, Node
from spikewright.network.attributes import Stack
from spikewright.network.network import being_filled


class Term(NamedTuple):
    """`matrix @ node`, `(size, size of node)`."""

    node: Node
    matrix: NDArray


@dataclass(frozen=True)
class Mixture:
    """`constant + sum of terms`; a pointer of `vocabulary`, or, where that is None, one number."""

    constant: NDArray
    terms: tuple[Term, ...]
    vocabulary: Vocabulary | None

    def mapped(self, matrix: NDArray) -> Mixture:
        """The mixture behind a linear map."""
        terms = tuple(Term(node, matrix @ part) for node, part in self.terms)
        return Mixture(matrix @ self.constant, terms, self.vocabulary)

    def scaled(self, factor: float) -> Mixture:
        """The mixture times `factor`."""
        return self.mapped(factor * np.eye(len(self.constant)))

    def connect(self, end: Node) -> None:
        """Send all of it into a node, without delay."""
        for node, matrix in self.terms:
            Connection(node, end, None, transform=matrix)
        if self.constant.any():
            Connection(Node(self.constant), end, None)


@dataclass(frozen=True)
class Mixer:
    """Evaluates expressions; products of non-constant values become networks of neurons.

    `n_neurons` are for each product of two values, and `quote` names the source of an expression.
    """

    n_neurons: int
    quote: str

    def refuse(self, what: str) -> NetworkError:
        """The error of an expression without meaning."""
        return NetworkError(f"{self.quote}: {what}")

    def mixture(self, expression: Expression, vocabulary: Vocabulary | None) -> Mixture:
        """The value of an expression whose pointers are of `vocabulary`."""
        match expression:
            case Number(value):
                return Mixture(np.array([value]), (), None)
            case Symbol(name):
                if vocabulary is None:
                    raise self.refuse(f"a number is needed, and {name} is a pointer")
                return Mixture(vocabulary[name].v, (), vocabulary)
            case Reference():
                return self.sent(expression, vocabulary)
            case Inverse(inner):
                found = self.pointer(inner, vocabulary, "~")
                return found.mapped(np.eye(len(found.constant))[involution(len(found.constant))])
            case Vector(v):
                return self.vector(v, vocabulary)
            case Made(inner, method):
                return self.made(self.pointer(inner, vocabulary, f".{method}()"), method)
            case Moved():
                return self.moved(expression)
            case SumExpression(left, right):
                return self.sum(self.mixture(left, vocabulary), self.mixture(right, vocabulary))
            case ProductExpression(left, right):
                return self.times(self.mixture(left, vocabulary), self.mixture(right, vocabulary))
            case Dot(left, right):
                shared = self.vocabulary_of(expression, inside=True)
                shared = vocabulary if shared is None else shared
                if shared is None:
                    raise self.refuse("dot needs a module, whose vocabulary its pointers are of")
                return self.dot(
                    self.pointer(left, shared, "dot"), self.pointer(right, shared, "dot")
                )

    def pointer(self, expression: Expression, vocabulary: Vocabulary | None, what: str) -> Mixture:
        """The value of an expression that has to be a pointer."""
        found = self.mixture(expression, vocabulary)
        if found.vocabulary is None:
            raise self.refuse(f"{what} is of pointers, not of numbers")
        return found

    def vector(self, v: NDArray, vocabulary: Vocabulary | None) -> Mixture:
        """A pointer by its values, in any vocabulary of its size."""
        if vocabulary is None or len(v) != vocabulary.dimensions:
            wanted = "a number" if vocabulary is None else f"one of {vocabulary!r}"
            raise self.refuse(f"{wanted} is needed, and a pointer of {len(v)} values is given")
        return Mixture(np.array(v), (), vocabulary)

    def made(self, pointer: Mixture, method: str) -> Mixture:
        """A constant pointer after one of its methods."""
        if pointer.terms:
            raise self.refuse(f".{method}() is of pointers that do not change, it is not linear")
        return replace(pointer, constant=applied(SemanticPointer(pointer.constant), method).v)

    def moved(self, moved: Moved) -> Mixture:
        """Pointers of one vocabulary in another."""
        inner, own, other = moved.inner, self.vocabulary_of(moved.inner), moved.vocabulary
        found = self.pointer(inner, own, format_expression(moved)) if own is not None else None
        if found is None or own is None:
            raise self.refuse(
                f"{format_expression(moved)} needs a module, whose vocabulary it comes from"
            )
        if not moved.same:
            return replace(found.mapped(own.transform_to(other)), vocabulary=other)
        if own.dimensions != other.dimensions:
            raise self.refuse(
                f"{format_expression(moved)}: pointers have {own.dimensions} values, there "
                f"{other.dimensions}"
            )
        return replace(found, vocabulary=other)

    def sent(self, reference: Reference, vocabulary: Vocabulary | None) -> Mixture:
        """The output of a module."""
        node, own = reference.module.find_output()
        if own is not None and own is not vocabulary:
            raise self.refuse(
                f"{reference} has pointers of {own!r}, where "
                + ("a number is needed" if vocabulary is None else f"those of {vocabulary!r} are")
            )
        size = node.size_out
        return Mixture(np.zeros(size), (Term(node, np.eye(size)),), own)

    def vocabulary_of(self, expression: Expression, inside: bool = False) -> Vocabulary | None:
        """The vocabulary of an expression; None for numbers, and where no module has one.

        With `inside` the vocabulary of pointers inside a dot product counts too.
        """
        found: Vocabulary | None = None
        match expression:
            case Reference():
                found = expression.module.find_output().vocabulary
            case Moved():
                found = expression.vocabulary
            case Inverse(inner) | Made(inner):
                found = self.vocabulary_of(inner, inside)
            case Dot() if not inside:
                pass
            case SumExpression(left, right) | ProductExpression(left, right) | Dot(left, right):
                found = self.vocabulary_of(left, inside)
                found = self.vocabulary_of(right, inside) if found is None else found
        return found

    def sum(self, left: Mixture, right: Mixture) -> Mixture:
        """Two pointers or two numbers, added."""
        if (left.vocabulary is None) != (right.vocabulary is None):
            raise self.refuse("a pointer and a number cannot be added")
        total = left.constant + right.constant
        return Mixture(total, left.terms + right.terms, left.vocabulary)

    def times(self, left: Mixture, right: Mixture) -> Mixture:
        """A number times something, or two pointers, bound."""
        if right.vocabulary is None and not right.terms:
            left, right = right, left
        if left.vocabulary is None and not left.terms:
            return right.scaled(float(left.constant[0]))
        if right.terms and left.terms:
            if left.vocabulary is not None and right.vocabulary is not None:
                return self.bound(left, right)
            number, other = (left, right) if left.vocabulary is None else (right, left)
            return self.multiplied(number, other)
        if left.terms:
            left, right = right, left
        if right.vocabulary is None:  # a constant pointer, as long as a number says
            return replace(right.mapped(left.constant[:, None]), vocabulary=left.vocabulary)
        return right.mapped(SemanticPointer(left.constant).binding_matrix())

    def bound(self, left: Mixture, right: Mixture) -> Mixture:
        """Two pointers, neither constant: a circular convolution."""
        d = len(left.constant)
        network = CircularConvolution(self.n_neurons, d, label=f"binding of {self.quote}")
        left.connect(network.input_a)
        right.connect(network.input_b)
        return Mixture(np.zeros(d), (Term(network.output, np.eye(d)),), left.vocabulary)

    def multiplied(self, number: Mixture, other: Mixture) -> Mixture:
        """A number times something, neither constant: a product of every value."""
        d = len(other.constant)
        unit = min(1.0, 3.0 / d**0.5)  # values of a pointer are that large, as in `Compare`
        network = ProductNetwork(self.n_neurons, d, label=f"product of {self.quote}")
        number.mapped(np.ones((d, 1))).connect(network.input_a)
        other.scaled(1.0 / unit).connect(network.input_b)
        return Mixture(np.zeros(d), (Term(network.output, unit * np.eye(d)),), other.vocabulary)

    def dot(self, left: Mixture, right: Mixture) -> Mixture:
        """A number: linear where one side is constant, else a product of every value."""
        if left.terms and right.terms:
            d = len(left.constant)
            largest = min(1.0, 3.0 / d**0.5)  # as in `Compare`
            network = ProductNetwork(self.n_neurons, d, largest, label=f"dot of {self.quote}")
            left.connect(network.input_a)
            right.connect(network.input_b)
            term = Term(network.output, dot_product_transform(d))
            return Mixture(np.zeros(1), (term,), None)
        if left.terms:
            left, right = right, left
        row = left.constant[None, :]
        mapped = right.mapped(row)
        return Mixture(mapped.constant, mapped.terms, None)


class Effect(NamedTuple):
    """`value >> target`: the value is sent to the target, a `Reference` or a node."""

    target: Any
    value: Expression
    text: str


class Action(NamedTuple):
    """An action: its `utility`, a number, and its `effects`."""

    utility: Expression
    effects: tuple[Effect, ...]
    text: str


SYNAPSE = 0.01
N_NEURONS = 200


def resolve(effect: Effect, n_neurons: int) -> tuple[End, Mixture]:
    """The target of an effect and the value it sends there.

    Raises `NetworkError` quoting the effect where a number leads to an input of pointers or a
    pointer to one of numbers. The number 0 is the zero of both.
    """
    mixer = Mixer(n_neurons, repr(effect.text))
    end = _end(mixer, effect)
    value = mixer.mixture(effect.value, end.vocabulary)
    if (value.vocabulary is None) != (end.vocabulary is None):
        if end.vocabulary is not None and not value.terms and not value.constant.any():
            return end, Mixture(np.zeros(end.node.size_in), (), end.vocabulary)
        kinds = ("a number", "pointers") if value.vocabulary is None else ("a pointer", "numbers")
        raise NetworkError(
            f"{effect.text!r} sends {kinds[0]}, and {effect.target} takes {kinds[1]}"
        )
    return end, value


def _end(mixer: Mixer, effect: Effect) -> End:
    """The target of an effect: an input of a module, or a node."""
    target = effect.target
    if isinstance(target, Reference):
        found: End = target.module.find_input()
        return found
    for outermost in being_filled()[:1]:
        for network in (outermost, *outermost.all_networks):
            for end in getattr(network, "inputs", {}).values():
                if end.node is target:
                    return End(*end)
    vocabulary = mixer.vocabulary_of(effect.value)
    if isinstance(effect.value, Symbol) or target.size_in == 0:
        raise NetworkError(f"{effect.text!r}: {target!r} is no input of a module")
    return End(target, vocabulary)


def connect(effect: Effect) -> None:
    """Connect an effect's value to its target, in the network that is being filled."""
    end, value = resolve(effect, N_NEURONS)
    for node, matrix in value.terms:
        Connection(node, end.node, SYNAPSE, transform=matrix)
    if value.constant.any():
        constant = Node(value.constant, label=f"constant of {effect.text!r}")
        Connection(constant, end.node, SYNAPSE)


class CollectedEffects(NamedTuple):
    """Effects and actions collected inside an `ActionSelection`."""

    effects: list[Effect]
    actions: list[Action]

    @property
    def idle(self) -> list[Effect]:
        """Effects that belong to no action."""
        used = [effect for action in self.actions for effect in action.effects]
        return [effect for effect in self.effects if not any(effect is one for one in used)]


COLLECTING: Stack[CollectedEffects] = Stack()
"""The open collections of effects, the innermost last; empty outside any."""


def connect_or_collect(effect: Effect) -> Effect:
    """An effect, connected at once outside an `ActionSelection`, else collected."""
    if COLLECTING.items:
        COLLECTING.items[-1].effects.append(effect)
    else:
        connect(effect)
    return effect
