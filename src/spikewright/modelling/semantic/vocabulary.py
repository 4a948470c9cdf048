"""Vocabularies: pointers by name, and the inputs and outputs of modules that carry them."""

from __future__ import annotations

import difflib
import itertools
import warnings
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.arguments import is_number, is_whole
from spikewright.errors import NetworkError
from spikewright.modelling.semantic.expression import (
    Dot,
    Expression,
    Inverse,
    Made,
    Number,
    ProductExpression,
    SumExpression,
    Symbol,
    format_expression,
    read,
)
from spikewright.modelling.semantic.pointer import SemanticPointer, applied
from spikewright.network import Node
from spikewright.network.shapes import as_real, as_seed

_TRIES = 100


class Vocabulary:
    """Semantic pointers of `dimensions` values by name, `vocabulary["A"]`.

    `add` draws a random direction that is no more similar to the others (cosine, of either sign)
    than `max_similarity`, or takes a given pointer. Drawn ones are unitary where `unitary` is True,
    or a collection with their names. With `strict=False` unknown names are added when an expression
    uses them. `seed` fixes random draws.
    """

    def __init__(
        self,
        dimensions: int,
        max_similarity: float = 0.1,
        unitary: bool | Collection[str] = False,
        strict: bool = True,
        seed: int | None = None,
        label: str | None = None,
    ) -> None:
        self.label = label
        if not (is_whole(dimensions) and dimensions >= 1):
            raise NetworkError(f"{self!r}: dimensions must be at least 1, got {dimensions!r}")
        if not (is_number(max_similarity) and 0 <= max_similarity <= 1):
            raise NetworkError(f"{self!r}: max_similarity is from 0 to 1, got {max_similarity!r}")
        self.dimensions = int(dimensions)
        self.max_similarity = float(max_similarity)
        self.unitary = unitary if isinstance(unitary, bool) else self._names(unitary, "unitary")
        self.strict = bool(strict)
        self.seed = as_seed(seed, f"{self!r}")
        self._rng = np.random.default_rng(self.seed)
        self._pointers: dict[str, SemanticPointer] = {}

    def _names(self, value: Any, what: str) -> frozenset[str]:
        """Several names; raises `NetworkError` for one text, a collection of letters."""
        several = isinstance(value, Collection) and not isinstance(value, str | bytes)
        if not (several and all(isinstance(name, str) for name in value)):
            raise NetworkError(f"{self!r}: {what} is a list of names, got {value!r}")
        return frozenset(value)

    @property
    def keys(self) -> tuple[str, ...]:
        """Names, in the order in which they were added."""
        return tuple(self._pointers)

    @property
    def vectors(self) -> NDArray:
        """`(names, dimensions)`, in that order."""
        rows = [pointer.v for pointer in self._pointers.values()]
        return np.array(rows).reshape(len(rows), self.dimensions)

    def __len__(self) -> int:
        return len(self._pointers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._pointers)

    def __contains__(self, name: object) -> bool:
        return name in self._pointers

    def __getitem__(self, name: str) -> SemanticPointer:
        if name not in self._pointers:
            if self.strict:
                raise NetworkError(f"{self!r} has no pointer {name!r}{self._advice(name)}")
            self.add(name)
        return self._pointers[name]

    def _advice(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._pointers, 3)
        if near:
            return f"; did you mean {' or '.join(near)}?"
        return f"; add it first: `vocabulary.add({name!r})`"

    def __repr__(self) -> str:
        return f"<Vocabulary {self.label!r}>" if self.label else f"<Vocabulary at {id(self):#x}>"

    def add(self, name: str, pointer: str | ArrayLike | SemanticPointer | None = None) -> None:
        """Add a name with a new random pointer, a given one, or the value of a text.

        Raises `NetworkError` for a name that is taken or does not begin with a capital letter, and
        for a vector of another length.
        """
        if not (isinstance(name, str) and name.isidentifier() and name.isascii()):
            raise NetworkError(f"{self!r}: the name of a pointer is an identifier, got {name!r}")
        if not name[0].isupper():
            raise NetworkError(f"{self!r}: the name {name!r} must begin with a capital letter")
        if name in self._pointers:
            raise NetworkError(f"{self!r} has a pointer {name!r} already")
        if pointer is None:
            made = self._drawn(name)
        else:
            made = self.parse(pointer) if isinstance(pointer, str) else SemanticPointer(pointer)
        if len(made) != self.dimensions:
            raise NetworkError(
                f"{self!r}: {name!r} must have {self.dimensions} values, got {len(made)}"
            )
        self._pointers[name] = made

    def populate(self, names: str | Iterable[str]) -> None:
        """Add several: `"A; B; C = A * B.unitary(); D.unitary()"`, or a list of such.

        A name with a method is that method of a new random pointer.
        """
        parts = names.split(";") if isinstance(names, str) else list(names)
        self._names(parts, "what is added")
        for part in parts:
            name, equals, text = map(str.strip, part.partition("="))
            if equals or name.isidentifier():
                self.add(name, text if equals else None)
            else:
                self._add_made(name)

    def _add_made(self, text: str) -> None:
        """A new pointer by a text such as `"D.unitary()"`."""
        methods, inner = [], read(text)
        while isinstance(inner, Made):
            methods.append(inner.method)
            inner = inner.inner
        if not (methods and isinstance(inner, Symbol)):
            raise NetworkError(f"{self!r}: what is added is a name, 'NAME = ...', got {text!r}")
        pointer = self._drawn(inner.name, "unitary" in methods)
        for method in reversed(methods):
            pointer = applied(pointer, method)
        self.add(inner.name, pointer)

    def _drawn(self, name: str, unitary: bool = False) -> SemanticPointer:
        """A random pointer dissimilar to all others, or the least similar of many."""
        unitary |= self.unitary if isinstance(self.unitary, bool) else name in self.unitary
        others = self.vectors
        lengths = np.linalg.norm(others, axis=1)
        best, smallest = None, np.inf
        for _ in range(_TRIES):
            pointer = SemanticPointer.random(self.dimensions, self._rng)
            pointer = pointer.unitary() if unitary else pointer
            similar = np.abs(others @ pointer.v) / np.maximum(lengths, 1e-300)
            largest = float(similar.max(initial=0.0)) / pointer.length()
            if largest < smallest:
                best, smallest = pointer, largest
            if smallest <= self.max_similarity:
                break
        if best is None:
            raise NetworkError(f"{self!r}: no pointer could be drawn")
        if smallest > self.max_similarity:
            warnings.warn(
                f"{self!r}: of {_TRIES} random pointers for {name!r} the least similar to the "
                f"others has a similarity of {smallest:.2f}, above max_similarity = "
                f"{self.max_similarity}; take more than {self.dimensions} dimensions, or allow it",
                UserWarning,
                stacklevel=4,
            )
        return best

    def parse(self, text: str) -> SemanticPointer:
        """The value of an expression such as `"0.5 * (A + B) * ~C"`; `"0"` is the zero vector.

        Raises `NetworkError` for unknown names, and for any part that no expression allows (see
        `spikewright.semantic.expression`): no text is ever run as Python.
        """
        value = self.evaluate(read(text))
        if isinstance(value, SemanticPointer):
            return value
        if value == 0:
            return SemanticPointer(np.zeros(self.dimensions))
        raise NetworkError(f"{text!r} is a number, {value:g}, where a pointer is needed")

    def evaluate(self, expression: Expression) -> SemanticPointer | float:
        """The value of an expression without modules."""
        match expression:
            case Number(value):
                return value
            case Symbol(name):
                return self[name]
            case Inverse(inner):
                return ~self._pointer(self.evaluate(inner))
            case Made(inner, method):
                return applied(self._pointer(self.evaluate(inner)), method)
            case Dot(left, right):
                return self._pointer(self.evaluate(left)).dot(self._pointer(self.evaluate(right)))
            case ProductExpression(left, right):
                return self._times(self.evaluate(left), self.evaluate(right))
            case SumExpression(left, right):
                a, b = self.evaluate(left), self.evaluate(right)
                if isinstance(a, SemanticPointer) or isinstance(b, SemanticPointer):
                    return self._pointer(a) + self._pointer(b)
                return a + b
        raise NetworkError(f"{format_expression(expression)} is of what modules send")

    @staticmethod
    def _times(a: SemanticPointer | float, b: SemanticPointer | float) -> SemanticPointer | float:
        if isinstance(a, SemanticPointer):
            return a * b
        return b * a if isinstance(b, SemanticPointer) else a * b

    def _pointer(self, value: SemanticPointer | float) -> SemanticPointer:
        if isinstance(value, SemanticPointer):
            return value
        raise NetworkError(f"a pointer of {self!r} is needed here, not the number {value:g}")

    def dot(self, vectors: ArrayLike | SemanticPointer) -> NDArray:
        """Dot products of one vector `(d,)`, or of many `(..., d)`, with every pointer.

        The result is `(..., names)`, in the order of `keys`.
        """
        given = vectors.v if isinstance(vectors, SemanticPointer) else vectors
        array = as_real(given)
        if array.shape[-1:] != (self.dimensions,):
            raise NetworkError(
                f"{self!r}: vectors must have {self.dimensions} values, got shape {array.shape}"
            )
        products: NDArray = array @ self.vectors.T
        return products

    def compare(self, vectors: ArrayLike | SemanticPointer) -> NDArray:
        """Cosines of the angles between vectors and pointers, otherwise as `dot`; 0 for zero."""
        given = vectors.v if isinstance(vectors, SemanticPointer) else as_real(vectors)
        products = self.dot(given)
        lengths = np.linalg.norm(given, axis=-1, keepdims=True) * np.linalg.norm(
            self.vectors, axis=1
        )
        cosines: NDArray = products / np.where(lengths > 0, lengths, 1.0)
        return cosines

    def text(
        self,
        vector: ArrayLike | SemanticPointer,
        terms: int = 5,
        threshold: float = 0.1,
        pairs: bool = False,
    ) -> str:
        """The pointers most similar to a vector, as `"0.92A + 0.31B"`: up to `terms` names.

        Only dot products from `threshold` on count; "0" where there are none. With `pairs` it is
        also compared with the bindings of every two different pointers.
        """
        similar = self.dot(vector)
        if similar.ndim != 1:
            raise NetworkError(f"{self!r}: text is of one vector, got many, {similar.shape[:-1]}")
        names = list(self.keys)
        if pairs:
            v = vector if isinstance(vector, SemanticPointer) else SemanticPointer(vector)
            for a, b in itertools.combinations(self.keys, 2):
                names.append(f"{a}*{b}")
                similar = np.append(similar, v.dot(self[a] * self[b]))
        order = np.argsort(-similar, kind="stable")[:terms]
        found = [f"{similar[i]:.2f}{names[i]}" for i in order if similar[i] >= threshold]
        return " + ".join(found) or "0"

    def create_subset(self, keys: Iterable[str]) -> Vocabulary:
        """A vocabulary of some of the pointers, unchanged."""
        subset = Vocabulary(
            self.dimensions, self.max_similarity, self.unitary, self.strict, self.seed
        )
        for key in keys:
            subset.add(key, self[key])
        return subset

    def transform_to(self, other: Vocabulary, keys: Iterable[str] | None = None) -> NDArray:
        """`(d_other, d)`: maps each of `keys` (None: all common names) to the other's pointer.

        The sum of outer products, as for vectors that are nearly orthogonal (Eliasmith 2013).
        Raises `NetworkError` where they have no name in common.
        """
        wanted = [k for k in self.keys if k in other] if keys is None else list(keys)
        if not wanted:
            raise NetworkError(f"{self!r} and {other!r} have no pointer of the same name")
        pairs: list[Any] = [np.outer(other[key].v, self[key].v) for key in wanted]
        total: NDArray = np.sum(pairs, axis=0)
        return total


class End(NamedTuple):
    """An input or output of a module, and its vocabulary (None: it carries a number)."""

    node: Node
    vocabulary: Vocabulary | None
