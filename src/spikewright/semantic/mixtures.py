"""What expressions of modules amount to: constants, and linear maps of what modules send."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError
from spikewright.network import Connection, Node
from spikewright.networks import CircularConvolution, dot_product_transform
from spikewright.networks import Product as ProductNetwork
from spikewright.semantic.expression import (
    Dot,
    Expression,
    Inverse,
    Number,
    Product,
    Reference,
    Sum,
    Symbol,
)
from spikewright.semantic.model import Model
from spikewright.semantic.pointer import SemanticPointer, involution
from spikewright.semantic.vocabulary import Vocabulary


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
        """The same behind a linear map."""
        terms = tuple(Term(node, matrix @ part) for node, part in self.terms)
        return Mixture(matrix @ self.constant, terms, self.vocabulary)

    def scaled(self, factor: float) -> Mixture:
        """The same, `factor` times."""
        return self.mapped(factor * np.eye(len(self.constant)))

    def connect(self, end: Node) -> None:
        """Send all of it into a node, without delay."""
        for node, matrix in self.terms:
            Connection(node, end, None, transform=matrix)
        if self.constant.any():
            Connection(Node(self.constant), end, None)


@dataclass(frozen=True)
class Mixer:
    """Evaluates expressions in a model; products of what changes become networks of neurons.

    `n_neurons` are for each product of two values. `quote` says where an expression is from.
    """

    model: Model
    n_neurons: int
    quote: str

    def refuse(self, what: str) -> NetworkError:
        """The error of an expression that means nothing."""
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
            case Sum(left, right):
                return self.sum(self.mixture(left, vocabulary), self.mixture(right, vocabulary))
            case Product(left, right):
                return self.times(self.mixture(left, vocabulary), self.mixture(right, vocabulary))
            case Dot(left, right):
                shared = self.vocabulary_of(expression)
                return self.dot(
                    self.pointer(left, shared, "dot"), self.pointer(right, shared, "dot")
                )

    def pointer(self, expression: Expression, vocabulary: Vocabulary | None, what: str) -> Mixture:
        """The value of an expression that has to be a pointer."""
        found = self.mixture(expression, vocabulary)
        if found.vocabulary is None:
            raise self.refuse(f"{what} is of pointers, not of numbers")
        return found

    def sent(self, reference: Reference, vocabulary: Vocabulary | None) -> Mixture:
        """What a module sends."""
        node, own = self.model.module(reference.module).find_output(reference.end)
        if own is not None and own is not vocabulary:
            raise self.refuse(
                f"{reference} has pointers of {own!r}, where "
                + ("a number is needed" if vocabulary is None else f"those of {vocabulary!r} are")
            )
        size = node.size_out
        return Mixture(np.zeros(size), (Term(node, np.eye(size)),), own)

    def vocabulary_of(self, dot: Dot) -> Vocabulary:
        """The vocabulary of the modules in a dot product."""
        found = [self.model.module(r.module).find_output(r.end).vocabulary for r in references(dot)]
        known = [v for v in found if v is not None]
        if not known:
            raise self.refuse("dot needs a module, whose vocabulary says what its pointers are")
        return known[0]

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
            if left.vocabulary is None or right.vocabulary is None:
                raise self.refuse(
                    "a number that changes cannot scale what changes; put a sw.networks.Product "
                    "between them"
                )
            return self.bound(left, right)
        if left.terms:
            left, right = right, left
        if right.vocabulary is None:  # a constant pointer, as long as a number says
            return replace(right.mapped(left.constant[:, None]), vocabulary=left.vocabulary)
        return right.mapped(SemanticPointer(left.constant).binding_matrix())

    def bound(self, left: Mixture, right: Mixture) -> Mixture:
        """Two changing pointers: a circular convolution."""
        d = len(left.constant)
        network = CircularConvolution(self.n_neurons, d, label=f"binding of {self.quote}")
        left.connect(network.input_a)
        right.connect(network.input_b)
        return Mixture(np.zeros(d), (Term(network.output, np.eye(d)),), left.vocabulary)

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


def references(expression: Expression) -> list[Reference]:
    """All modules that an expression names."""
    match expression:
        case Reference():
            return [expression]
        case Inverse(inner):
            return references(inner)
        case Sum(left, right) | Product(left, right) | Dot(left, right):
            return references(left) + references(right)
    return []
