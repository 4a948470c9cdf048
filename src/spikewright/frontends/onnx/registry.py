"""The registry of the functions that read ONNX operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.values import Constant, Missing
from spikewright.frontends.reading.values import Value

Result = Value | Constant | Missing
Reader = Callable[[OnnxNode], Result | Sequence[Result]]

EVALUATORS: list[type] = []
"""Reference-evaluator operators (`onnx.reference.op_run.OpRun`) of custom domains."""

_readers: dict[tuple[str, str], Reader] = {}
READERS = MappingProxyType(_readers)
"""Every registered reader, by (domain, operator type); the standard domain is ""."""


def reads(
    *operators: str, domain: str = "", replace: bool = False, evaluator: type | None = None
) -> Callable[[Reader], Reader]:
    """Decorator: let a function read these operator types of a domain.

    The function gets an `OnnxNode` and returns the value of the operator's first output (or
    one value per output). It raises `Unreadable` with the reason where it cannot.
    `replace` allows to take over an operator that has a reader; ValueError otherwise. `evaluator`,
    an `onnx.reference.op_run.OpRun` named like the operator, lets `verify` evaluate a domain of
    your own.

    ::

        @reads("Negate", domain="my.domain")
        def negate(node: OnnxNode) -> Value:
            return node.add(ScaleShift(scale=np.array(-1.0)), node.signal(0))

    `node.signal` wants the batch on axis 0. A reader that takes it wherever it is asks for a view,
    of the (full) axes that it needs::

        @reads("Total", domain="my.domain")
        def total(node: OnnxNode) -> Value:
            view = node.view(0, -1)
            return node.add(Sum((view.axis(-1),), keepdims=True), view)
    """
    domain = "" if domain == "ai.onnx" else domain  # two names of the standard operators

    def decorate(reader: Reader) -> Reader:
        for operator in operators:
            if (domain, operator) in _readers and not replace:
                raise ValueError(f"{operator!r} of domain {domain!r} has a reader; replace=True?")
            _readers[domain, operator] = reader
        if evaluator is not None:
            EVALUATORS.append(evaluator)
        return reader

    return decorate
