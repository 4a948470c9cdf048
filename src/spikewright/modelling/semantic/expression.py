"""Expressions of pointers and modules; those of pointers are read from text too.

::

    expression  ::= sum | product | "-" expression | "~" expression | "(" expression ")"
                  | number | NAME | dot(expression, expression)
                  | expression.unitary() | expression.normalized()

Python's parser makes the tree, nothing of the text is run, and everything that is not listed here
is refused. Operators on modules make the other expressions.
"""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from spikewright.errors import NetworkError

_LONGEST, _DEEPEST = 10_000, 100
_DAMAGE = (SyntaxError, ValueError, RecursionError, MemoryError)


@dataclass(frozen=True)
class Number:
    """A finite number."""

    value: float


@dataclass(frozen=True)
class Symbol:
    """The name of a pointer, which begins with a capital letter."""

    name: str


@dataclass(frozen=True)
class Reference:
    """The output of a module, or as a target its input."""

    module: Any

    def __str__(self) -> str:
        return str(self.module.name)


@dataclass(frozen=True)
class SumExpression:
    """`left + right`."""

    left: Expression
    right: Expression


@dataclass(frozen=True)
class ProductExpression:
    """`left * right`: binding, or scaling by a number."""

    left: Expression
    right: Expression


@dataclass(frozen=True)
class Inverse:
    """`~inner`."""

    inner: Expression


@dataclass(frozen=True)
class Dot:
    """`dot(left, right)`, a number."""

    left: Expression
    right: Expression


@dataclass(frozen=True)
class Made:
    """`inner.unitary()` or `inner.normalized()`: a pointer made of one that does not change."""

    inner: Expression
    method: str


@dataclass(frozen=True, eq=False)
class Vector:
    """A pointer by its values, `(d,)`."""

    v: NDArray


@dataclass(frozen=True, eq=False)
class Moved:
    """`inner` in another vocabulary: by the names that both have, or with `same` by its values."""

    inner: Expression
    vocabulary: Any
    same: bool


Expression = (
    Number
    | Symbol
    | Reference
    | SumExpression
    | ProductExpression
    | Inverse
    | Dot
    | Made
    | Vector
    | Moved
)
METHODS = ("unitary", "normalized")


def format_expression(expression: Expression) -> str:
    """The text of an expression."""
    match expression:
        case Number(value):
            return repr(value).removesuffix(".0")
        case Symbol(name):
            return name
        case Reference():
            return str(expression)
        case SumExpression(left, ProductExpression(Number(-1.0), right)):
            return f"{format_expression(left)} - {_factor(right, SumExpression)}"
        case SumExpression(left, right):
            return f"{format_expression(left)} + {_factor(right, SumExpression)}"
        case ProductExpression(Number(-1.0), right):
            return f"-{_factor(right)}"
        case ProductExpression(left, right):
            return f"{_factor(left, SumExpression)} * {_factor(right)}"
        case Inverse(inner):
            return f"~{_factor(inner)}"
        case Dot(left, right):
            return f"dot({format_expression(left)}, {format_expression(right)})"
        case Made(inner, method):
            return f"{_factor(inner)}.{method}()"
        case Vector(v):
            return f"<pointer of {len(v)} values>"
        case Moved(inner, vocabulary, same):
            method = "reinterpret" if same else "translate"
            return f"{method}({format_expression(inner)}, {vocabulary!r})"


def _factor(expression: Expression, *kinds: type) -> str:
    """The text of a factor, in brackets if of `kinds` (none: a sum or a product)."""
    text = format_expression(expression)
    return (
        f"({text})" if isinstance(expression, kinds or (SumExpression, ProductExpression)) else text
    )


def read(text: str) -> Expression:
    """The expression of a text.

    Raises `NetworkError` quoting the text, and the part that no expression allows.
    """
    if not isinstance(text, str):
        raise NetworkError(f"an expression is text, such as 'A * B + C', got {text!r}")
    if len(text) > _LONGEST:
        raise NetworkError(f"an expression has at most {_LONGEST} characters, got {len(text)}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except _DAMAGE as error:
        raise NetworkError(f"{_quoted(text)} cannot be read as an expression: {error}") from None
    return _ExpressionReader(text).expression(tree.body, 0)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")


class _ExpressionReader:
    """Turns Python's tree into ours."""

    def __init__(self, text: str) -> None:
        self.text = text

    def refuse(self, what: str, advice: str = "") -> NetworkError:
        """The error of a part that no expression allows."""
        return NetworkError(
            f"{_quoted(self.text)}: {what}. Expressions are made of names, numbers, + - * / ~, "
            f"brackets, dot(a, b), .unitary() and .normalized().{advice}"
        )

    def expression(self, node: ast.expr, depth: int) -> Expression:
        """The expression of a part of the tree."""
        if depth > _DEEPEST:
            raise self.refuse(f"it is nested more than {_DEEPEST} deep")
        match node:
            case ast.Name(id=name):
                return self.name(name)
            case ast.Constant(value=value):
                return self.number(value)
            case ast.UnaryOp(op=op, operand=operand):
                return self.unary(op, self.expression(operand, depth + 1))
            case ast.BinOp(left=left, op=op, right=right):
                first = self.expression(left, depth + 1)
                return self.binary(op, first, self.expression(right, depth + 1))
            case ast.Call(func=ast.Name(id="dot"), args=[left, right], keywords=[]):
                first = self.expression(left, depth + 1)
                return Dot(first, self.expression(right, depth + 1))
            case ast.Call(func=ast.Attribute(value=inner, attr=method), args=[], keywords=[]) if (
                method in METHODS
            ):
                return Made(self.expression(inner, depth + 1), method)
        raise self.refuse(f"{type(node).__name__} is no part of one")

    def name(self, name: str) -> Symbol:
        """A pointer."""
        if not (name.isascii() and name[0].isupper()):
            raise self.refuse(
                f"the name {name!r} does not begin with a capital letter A-Z",
                " Modules stand outside of texts: 0.5 * state + sym('A * B').",
            )
        return Symbol(name)

    def number(self, value: object) -> Number:
        """A finite number."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(f"{value!r} is not a number")
        if (isinstance(value, int) and abs(value) > 1e15) or not math.isfinite(value):
            raise self.refuse("it holds a number that is not finite, or too large")
        return Number(float(value))

    def unary(self, op: ast.unaryop, inner: Expression) -> Expression:
        """A sign or an inversion."""
        match op:
            case ast.UAdd():
                return inner
            case ast.USub():
                return ProductExpression(Number(-1.0), inner)
            case ast.Invert():
                return Inverse(inner)
        raise self.refuse(f"{type(op).__name__} is no part of one")

    def binary(self, op: ast.operator, left: Expression, right: Expression) -> Expression:
        """A sum, a difference, a product or a quotient by a number."""
        match op:
            case ast.Add():
                return SumExpression(left, right)
            case ast.Sub():
                return SumExpression(left, ProductExpression(Number(-1.0), right))
            case ast.Mult():
                return ProductExpression(left, right)
            case ast.Div():
                if not isinstance(right, Number) or right.value == 0:
                    raise self.refuse("it divides by something other than a number")
                return ProductExpression(left, Number(1.0 / right.value))
        raise self.refuse(f"{type(op).__name__} is no part of one")
