"""Elementwise arithmetic of signals and constants, broadcast against each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Signal
from spikewright.frontends.reading.arithmetic import combined, extremum, product, quotient
from spikewright.frontends.reading.attention import HIDDEN, LEAST
from spikewright.frontends.reading.values import Operand, Value
from spikewright.graph.layers import Maximum, Minimum


@reads("Add", "Sum", "Mean", "Sub")
def add(node: OnnxNode) -> Signal:
    """Sum, mean or difference of signals and constants."""
    signs = [1.0] + [-1.0 if node.kind == "Sub" else 1.0] * (len(node.inputs) - 1)
    terms, masked = finite_terms(list(zip(signs, node.inputs_of_sample(), strict=True)))
    made = combined(node, *terms, divisor=len(terms) if node.kind == "Mean" else 1.0)
    return signal(made, not masked)


def signal(made: Value, comparable: bool = True) -> Signal:
    """A result, which may differ from the ONNX value by design."""
    assert isinstance(made, Signal)
    return replace(made, comparable=comparable)


def finite_terms(terms: list[tuple[float, Operand]]) -> tuple[list[tuple[float, Operand]], bool]:
    """Factors and operands with `HIDDEN` for minus infinity, and whether there was any."""
    found: list[tuple[float, Operand]] = []
    any_masked = False
    for factor, x in terms:
        if not isinstance(x, Value):
            shift, masked = finite(factor * x if factor != 1 else x)
            factor, x, any_masked = 1.0, shift, any_masked or masked
        found.append((factor, x))
    return found, any_masked


def finite(value: NDArray) -> tuple[NDArray, bool]:
    """A constant with `HIDDEN` for minus infinity, and whether it had any."""
    if not np.issubdtype(value.dtype, np.floating):
        return value, False
    masked = value <= LEAST
    return (np.where(masked, HIDDEN, value), True) if masked.any() else (value, False)


@reads("Mul")
def multiply(node: OnnxNode) -> Value:
    """A product of signals, or of a signal and a constant."""
    first, second = node.inputs_of_sample()
    return product(node, first, second)


@reads("Div")
def divide(node: OnnxNode) -> Value:
    """A quotient of signals, or of a signal and a constant on either side."""
    first, second = node.inputs_of_sample()
    return quotient(node, first, second)


@reads("Max", "Min")
def maximum(node: OnnxNode) -> Value:
    """The larger, or smaller, of signals and constants; of one signal and one number, a bound."""
    operands = node.inputs_of_sample()
    if node.origin.kind == node.kind:
        return extremum(node, node.kind == "Max", *operands)
    x, bound = operands  # a limit of a quantised input or output, for which no neurons stand
    assert isinstance(x, Value)
    limit = node.constant_like(np.full(x.shape, bound), x, "limit")
    return node.add(Maximum() if node.kind == "Max" else Minimum(), x, limit)
