"""Python's operators between variables and symbolic tensors, which Keras lacks in part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from spikewright._base.optional import require

_OPERATORS = {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "add": "add",
    "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
    "mod": "mod", "pow": "power", "matmul": "matmul", "and": "logical_and", "or": "logical_or",
    "xor": "logical_xor", "eq": "equal", "ne": "not_equal",
}  # fmt: skip


@contextmanager
def symbolic_operators() -> Iterator[None]:
    """A context in which `variable * x` and `x == y` are operations of symbolic tensors.

    Keras computes the first with numbers, which fails, and takes the second for `x is y`.
    """
    keras = require("keras")
    tensor, variable = keras.KerasTensor, keras.Variable
    replaced = [(variable, f"__{name}__", name) for name in _OPERATORS]
    replaced.append((tensor, "__eq__", "eq"))
    before = [(owner, name, owner.__dict__.get(name)) for owner, name, _ in replaced]
    for owner, name, operation in replaced:
        function = getattr(keras.ops, _OPERATORS[operation])
        setattr(owner, name, _operator(getattr(owner, name), function, tensor))
    try:
        yield
    finally:
        for owner, name, method in before:
            if method is None:
                delattr(owner, name)
            else:
                setattr(owner, name, method)


def _operator(method: Any, function: Callable[..., Any], tensor: Any) -> Any:
    """A method that applies an operation where a symbolic tensor is involved."""

    def apply(self: Any, other: Any) -> Any:
        symbolic = isinstance(self, tensor) and not (other is None or isinstance(other, str))
        if symbolic or isinstance(other, tensor):
            return function(self, other)
        return method(self, other)

    return apply
