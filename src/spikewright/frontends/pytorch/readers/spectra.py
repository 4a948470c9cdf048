"""Spectra of windows: products with constant cosines and sines, and parts of complex values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.pytorch.call import Call
from spikewright.frontends.pytorch.complex_values import NOT_READ, Complex
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.arithmetic import combined, product
from spikewright.frontends.reading.layout import BATCH_FIRST
from spikewright.frontends.reading.refusal import Unknown, Unreadable
from spikewright.frontends.reading.selection import stacked
from spikewright.frontends.reading.values import Value
from spikewright.frontends.reading.windows import windowed
from spikewright.graph.layers import Activation, Convolution, Identity, Reshape


@reads("aten.stft.default")
def _spectra(call: Call) -> Value:
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


def _kernels(call: Call, size: int) -> tuple[NDArray, NDArray]:
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


def _complex(call: Call, name: str = "self") -> Complex:
    value = call[name]
    if isinstance(value, Value) and value.name is None:
        raise Unknown
    if not isinstance(value, Complex):
        raise Unreadable(*NOT_READ)
    return value


@reads("aten.view_as_real.default")
def _view_as_real(call: Call) -> Value:
    parts = _complex(call).parts
    return stacked(call, parts, len(parts[0].shape))


@reads("aten.real.default", "aten.imag.default")
def _part(call: Call) -> Value:
    value: Any = call["self"]
    if not isinstance(value, Complex):
        return call.add(Identity(), value)
    return call.add(Identity(), value.parts["imag" in call.target])


def size_of(call: Call, value: Complex) -> Value:
    """`sqrt(re^2 + im^2)`."""
    squares = [
        product(call, x, x, f"{name}/square")
        for name, x in zip(("real", "imaginary"), value.parts, strict=True)
    ]
    power = combined(call, (1.0, squares[0]), (1.0, squares[1]), part="power")
    return call.add(Activation("sqrt"), power)
