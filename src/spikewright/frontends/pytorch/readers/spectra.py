"""Complex values, as their parts side by side, and spectra of windows: products with constants."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils import _pytree as pytree

from spikewright.frontends.pytorch.registry import TorchCall, reads
from spikewright.frontends.reading.arithmetic import combined, product
from spikewright.frontends.reading.call import BATCH_FIRST, Unknown, Unreadable, Value
from spikewright.frontends.reading.selection import stacked
from spikewright.frontends.reading.windows import windowed
from spikewright.graph.layers import Activation, Convolution, Identity, Reshape

BY_PARTS = frozenset((
    "aten.view.default", "aten.reshape.default", "aten.permute.default", "aten.transpose.int",
    "aten.squeeze.dim", "aten.squeeze.default", "aten.unsqueeze.default", "aten.slice.Tensor",
    "aten.select.int", "aten.clone.default", "aten.contiguous.default", "aten.flatten.using_ints",
    "aten.mT.default",
))  # fmt: skip
"""Operators that move values, which do to a complex one what they do to its parts."""

NOT_READ = (
    "it computes with complex numbers, of which only the parts and the size are read",
    "Use torch.view_as_real, .real, .imag or .abs() before it.",
)


@dataclass(frozen=True)
class Complex(Value):
    """The real part, and the imaginary part of the same shape beside it."""

    imaginary: Value | None = None

    @classmethod
    def of(cls, real: Value, imaginary: Value) -> Complex:
        """The complex value of these parts."""
        return cls(real.name, real.shape, real.layout, imaginary=imaginary)

    @property
    def parts(self) -> tuple[Value, Value]:
        """The real part and the imaginary part."""
        if self.imaginary is None:
            raise Unknown
        return Value(self.name, self.shape, self.layout), self.imaginary


def part_of(arguments: Any, index: int) -> Any:
    """Arguments with the real (0) or imaginary (1) parts of their complex values."""
    return pytree.tree_map_only(Complex, lambda value: value.parts[index], arguments)


def with_kind(value: Value, kind: Any) -> Value:
    """A value that knows whether the program holds whole numbers or truth values, by its type."""
    truth = str(kind) == "torch.bool"
    whole = not (truth or kind.is_floating_point or kind.is_complex)
    return replace(value, whole=int(whole), truth=truth)


@reads("aten.stft.default")
def _spectra(call: TorchCall) -> Value:
    """A convolution over each signal, whose channels are the frequencies `(frequencies, frames)`.

    Frames hold `n_fft` values from each `hop_length` on; what surrounds the signal, if `center`
    asks for that, was added before.
    """
    x = call.value("self")
    if x.layout != BATCH_FIRST or len(x.shape) != 1:
        raise Unreadable(
            f"it is applied to {len(x.shape)} axes of a sample", "Give it one signal (batch, time)."
        )
    size = call["n_fft"]
    hop = call["hop_length"] or size // 4
    signal = call.add(Reshape((1, *x.shape)), x, part="signal")
    made = [
        windowed(call, Convolution(kernel, None, (hop,), ((0, 0),), (1,)), signal, part)
        for part, kernel in zip(("real", "imaginary"), _kernels(call, size), strict=True)
    ]
    return Complex.of(*made) if call["return_complex"] else stacked(call, made, 2)


def _kernels(call: TorchCall, size: int) -> tuple[NDArray, NDArray]:
    """The kernels `(frequencies, 1, n_fft)` of real and imaginary parts."""
    length = call["win_length"] or size
    window = np.ones(length) if call["window"] is None else call.array("window")
    before = (size - length) // 2
    window = np.pad(np.asarray(window, np.float64), (before, size - length - before))
    if call["normalized"]:
        window = window / np.sqrt(size)
    every = size if call["onesided"] is False else size // 2 + 1
    angles = 2 * np.pi * (np.outer(np.arange(every), np.arange(size)) % size) / size
    return (np.cos(angles) * window)[:, None], (-np.sin(angles) * window)[:, None]


def _complex(call: TorchCall, name: str = "self") -> Complex:
    value = call[name]
    if isinstance(value, Value) and value.name is None:
        raise Unknown
    if not isinstance(value, Complex):
        raise Unreadable(*NOT_READ)
    return value


@reads("aten.view_as_real.default")
def _view_as_real(call: TorchCall) -> Value:
    parts = _complex(call).parts
    return stacked(call, parts, len(parts[0].shape))


@reads("aten.real.default", "aten.imag.default")
def _part(call: TorchCall) -> Value:
    value: Any = call["self"]
    if not isinstance(value, Complex):
        return call.add(Identity(), value)
    return call.add(Identity(), value.parts["imag" in call.target])


def size_of(call: TorchCall, value: Complex) -> Value:
    """`sqrt(re^2 + im^2)`."""
    squares = [
        product(call, x, x, f"{name}/square")
        for name, x in zip(("real", "imaginary"), value.parts, strict=True)
    ]
    power = combined(call, (1.0, squares[0]), (1.0, squares[1]), part="power")
    return call.add(Activation("sqrt"), power)
