"""Equations of the standard that neither onnxruntime nor ONNX's own evaluator computes as written.

Each takes data, constant operands and attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def conv_transpose(
    x: NDArray,
    weight: NDArray,
    bias: NDArray,
    strides: Sequence[int],
    output_shape: Sequence[int] = (),
    auto_pad: str = "",
    **_: Any,
) -> NDArray:
    """Every value adds its kernel; then as much is cut off, or added, as the extent demands.

    Of an odd number of rows SAME_UPPER cuts one less before, an explicit extent one more.
    """
    size, spatial = weight.shape[2:], x.shape[2:]
    wanted = output_shape or [n * s for n, s in zip(spatial, strides, strict=True)]
    reach = [s * (n - 1) + k for n, k, s in zip(spatial, size, strides, strict=True)]
    y = np.zeros((len(x), weight.shape[1], *map(max, reach, wanted)))
    for i, j in np.ndindex(*size):
        rows, columns = (slice(t, t + (n - 1) * s + 1, s) for t, n, s in
                         zip((i, j), spatial, strides, strict=True))  # fmt: skip
        y[:, :, rows, columns] += np.einsum("bchw,co->bohw", x, weight[:, :, i, j])
    spare = [max(0, r - w) for r, w in zip(reach, wanted, strict=True)]
    first = [s // 2 if auto_pad == "SAME_UPPER" else (s + 1) // 2 for s in spare]
    rows, columns = (slice(f, f + w) for f, w in zip(first, wanted, strict=True))
    return y[:, :, rows, columns] + bias[:, None, None]


def local_response(x: NDArray, size: int, bias: float, beta: float, **_: Any) -> NDArray:
    """`x / (bias + alpha / size s)^beta`, s the sum of squares over `size` channels around one."""
    before, after = (size - 1) // 2, size // 2
    squares = np.pad(x.astype(np.float64) ** 2, ((0, 0), (before, after), (0, 0), (0, 0)))
    total = sum(squares[:, k : k + x.shape[1]] for k in range(size))
    return x / (bias + 1e-4 / size * total) ** beta


def lstm(x: NDArray, w: NDArray, r: NDArray, biases: NDArray, clip: float) -> NDArray:
    """All outputs `(steps, batch, units)` of time-first data; what enters a function is clipped."""

    def clipped(value: NDArray) -> NDArray:
        return np.clip(value, -clip, clip)

    def sigmoid(value: NDArray) -> NDArray:
        return 1 / (1 + np.exp(-clipped(value)))

    h = c = np.zeros((x.shape[1], r.shape[1]))
    outputs = []
    for now in x:
        gates = now @ w.T + h @ r.T + sum(np.split(biases, 2))
        into, out, forget, fresh = np.split(gates, 4, axis=-1)
        c = sigmoid(forget) * c + sigmoid(into) * np.tanh(clipped(fresh))
        h = sigmoid(out) * np.tanh(clipped(c))
        outputs.append(h)
    return np.stack(outputs)
