"""The base of modules: networks whose inputs and outputs carry pointers or numbers."""

from __future__ import annotations

from typing import Any

from spikewright._base.arguments import is_number
from spikewright.errors import NetworkError
from spikewright.modelling.semantic.effects import Effect, connect_or_collect
from spikewright.modelling.semantic.expression import (
    Dot,
    Expression,
    Inverse,
    Moved,
    Number,
    ProductExpression,
    Reference,
    SumExpression,
    Symbol,
    Vector,
    format_expression,
    read,
)
from spikewright.modelling.semantic.pointer import SemanticPointer
from spikewright.modelling.semantic.vocabulary import End, Vocabulary
from spikewright.network import Network, Node


class Operand:
    """An operand of expressions: a module, or an expression of modules.

    `+`, `-`, `*` (binding, or scaling by a number), `/` by a number, `~` and `@` (the dot product)
    give further operands. `value >> target` sends it to a module, to one of its inputs (a node), or
    to a node of that size; inside an `ActionSelection` it is an effect of an action.
    """

    @property
    def expression(self) -> Expression:
        """The operand as an expression."""
        raise NotImplementedError  # modules and expressions each have theirs

    def __add__(self, other: Any) -> ExpressionValue:
        return ExpressionValue(SumExpression(self.expression, operand(other, "+")))

    def __radd__(self, other: Any) -> ExpressionValue:
        return ExpressionValue(SumExpression(operand(other, "+"), self.expression))

    def __sub__(self, other: Any) -> ExpressionValue:
        return ExpressionValue(
            SumExpression(self.expression, ProductExpression(Number(-1.0), operand(other, "-")))
        )

    def __rsub__(self, other: Any) -> ExpressionValue:
        return ExpressionValue(
            SumExpression(operand(other, "-"), ProductExpression(Number(-1.0), self.expression))
        )

    def __neg__(self) -> ExpressionValue:
        return ExpressionValue(ProductExpression(Number(-1.0), self.expression))

    def __mul__(self, other: Any) -> ExpressionValue:
        return ExpressionValue(ProductExpression(self.expression, operand(other, "*")))

    def __rmul__(self, other: Any) -> ExpressionValue:
        return ExpressionValue(ProductExpression(operand(other, "*"), self.expression))

    def __truediv__(self, other: Any) -> ExpressionValue:
        if not is_number(other) or other == 0:
            raise NetworkError(f"{self!r} is divided by a number other than 0, got {other!r}")
        return ExpressionValue(ProductExpression(self.expression, Number(1.0 / float(other))))

    def __invert__(self) -> ExpressionValue:
        return ExpressionValue(Inverse(self.expression))

    def __matmul__(self, other: Any) -> ExpressionValue:
        return dot(self, other)

    def __rmatmul__(self, other: Any) -> ExpressionValue:
        return dot(other, self)

    def __rshift__(self, target: Any) -> Effect:
        return send(self, target)

    def __rrshift__(self, value: Any) -> Effect:
        return send(value, self)


class ExpressionValue(Operand):
    """The result of operators on modules."""

    def __init__(self, expression: Expression) -> None:
        self._expression = expression

    @property
    def expression(self) -> Expression:
        return self._expression

    def __repr__(self) -> str:
        return f"<{format_expression(self._expression)}>"


class _Symbols:
    """Pointers by name, of the vocabulary that they are sent to: `sym.A`, `sym("A * ~B")`."""

    def __getattr__(self, name: str) -> ExpressionValue:
        if not (name.isidentifier() and name[0].isupper()):
            raise AttributeError(f"a pointer's name begins with a capital letter, got {name!r}")
        return ExpressionValue(Symbol(name))

    def __call__(self, text: str) -> ExpressionValue:
        return ExpressionValue(read(text))


sym = _Symbols()


def dot(left: Any, right: Any) -> ExpressionValue:
    """The dot product of two pointers, a number."""
    return ExpressionValue(Dot(operand(left, "dot"), operand(right, "dot")))


def translate(value: Any, vocabulary: Vocabulary) -> ExpressionValue:
    """Pointers of another vocabulary, as those of the same names in this one."""
    return ExpressionValue(
        Moved(operand(value, "translate"), as_vocabulary(vocabulary, "vocabulary"), False)
    )


def reinterpret(value: Any, vocabulary: Vocabulary) -> ExpressionValue:
    """The same values, as pointers of another vocabulary."""
    return ExpressionValue(
        Moved(operand(value, "reinterpret"), as_vocabulary(vocabulary, "vocabulary"), True)
    )


def send(value: Any, target: Any) -> Effect:
    """The effect of `value >> target`, connected at once outside an `ActionSelection`."""
    expression = operand(value, ">>")
    if isinstance(target, Operand) and isinstance(target.expression, Reference):
        into: Any = target.expression
        name = str(into)
    elif isinstance(target, Node):
        into, name = target, repr(target)
    else:
        raise NetworkError(
            f"{format_expression(expression)} >> {target!r}: a module or a node is sent to"
        )
    return connect_or_collect(
        Effect(into, expression, f"{format_expression(expression)} >> {name}")
    )


def operand(value: Any, operator: str) -> Expression:
    """The expression of a module, pointer or number; raises `NetworkError` for anything else."""
    if isinstance(value, Operand):
        return value.expression
    if isinstance(value, SemanticPointer):
        return Vector(value.v)
    if is_number(value):
        return Number(float(value))
    raise NetworkError(
        f"{operator} is of modules, pointers and numbers, got {value!r}; texts are read by sym()"
    )


class Module(Network, Operand):
    """A network with inputs and an output, which operators connect.

    Subclasses fill `inputs` and `outputs`. A module stands for its output, and as a target for its
    input; one of several inputs is a target by its node.
    """

    def __init__(self, label: str | None = None, seed: int | None = None) -> None:
        super().__init__(label, seed)
        self.inputs: dict[str, End] = {}
        self.outputs: dict[str, End] = {}

    @property
    def expression(self) -> Reference:
        """The module's output."""
        return Reference(self)

    @property
    def name(self) -> str:
        """The name in the labels of its parts: its own label, or its class where it has none."""
        return type(self).__name__.lower() if self.label is None else self.label

    def find_input(self) -> End:
        """The only input; raises `NetworkError` with the names of several."""
        return self._only(self.inputs, "input")

    def find_output(self) -> End:
        """The output; raises `NetworkError` where there is none."""
        return self._only(self.outputs, "output")

    def _only(self, ends: dict[str, End], what: str) -> End:
        if len(ends) == 1:
            return next(iter(ends.values()))
        there = ", ".join(ends) or f"it has no {what}"
        raise NetworkError(f"{self!r} has no single {what}; there are: {there}")


def as_vocabulary(value: Any, what: str) -> Vocabulary:
    """A vocabulary; raises `NetworkError` naming `what` for anything else."""
    if not isinstance(value, Vocabulary):
        raise NetworkError(
            f"{what} must be a Vocabulary, such as sw.semantic.Vocabulary(64), got {value!r}"
        )
    return value
