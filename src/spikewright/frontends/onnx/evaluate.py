"""The source model's own values: of its outputs, as a user has them, and of values between."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.errors import ReadError
from spikewright.frontends.mixing import Place, divisors, multiplied
from spikewright.frontends.onnx.files import type_name
from spikewright.frontends.onnx.inputs import ModelInputs
from spikewright.frontends.onnx.runtime import Runtime, observed
from spikewright.frontends.onnx.values import integer_types
from spikewright.frontends.onnx.walk import Tensor
from spikewright.frontends.source import Values
from spikewright.graph import checked_inputs
from spikewright.graph.layers import Shape


class Evaluator:
    """Callable `{input: (batch, *shape)} -> {name: value}` for any batch size.

    `tensors` maps the names of results to ONNX values: outputs of the model, called as it is, or
    with `inside` values of any kind, of operators that run one by one and sample by sample. A model
    whose file fixes the batch size runs in slices of that size, the last one filled up. `places`
    has those outputs whose samples lie behind other values on an axis.
    """

    def __init__(
        self, proto: Any, tensors: Mapping[str, Tensor], inputs: ModelInputs, inside: bool = False
    ) -> None:
        self._proto, self._tensors, self._inputs = proto, dict(tensors), inputs
        self._inside = inside
        self._runtime: Runtime | None = None
        self.places: dict[str, Place] = {}

    def __call__(self, inputs: Values) -> dict[str, NDArray]:
        feed = self.feed(inputs)
        batch = len(next(iter(feed.values())))
        alone = self._inside or self._inputs.alone or bool(self._inputs.single)
        size = 1 if alone else batch if self._inputs.several == 1 else self._inputs.several
        parts = []
        for start in range(0, batch, size):
            part = {name: rows[start : start + size] for name, rows in feed.items()}
            parts.append(self._rows(part))
        return {name: np.concatenate([part[name] for part in parts]) for name in self._tensors}

    def _rows(self, feed: Mapping[str, NDArray]) -> dict[str, NDArray]:
        """The values of one run, samples first; as the model has them where they lie nowhere."""
        samples, found = len(next(iter(feed.values()))), self.run(feed)
        run = max(samples, self._inputs.several)
        rows = {}
        for name, tensor in self._tensors.items():
            value = found[name]
            axis = multiplied(value.shape, tensor.full, run)
            if samples == 1:
                value = _one_of(value, tensor.full, run)[None]
            elif axis is not None:
                at = self.places.get(name, Place(axis, 1))
                value = at.first(value, run)[:samples]
            fits = value.size == samples * math.prod(tensor.shape)
            rows[name] = value.reshape(samples, *tensor.shape) if fits else value
        return rows

    def run(self, feed: Mapping[str, NDArray]) -> dict[str, NDArray]:
        """The values for some samples together, as the model has them.

        Of a model with a fixed batch size the last sample fills up what is missing.
        """
        part = {}
        for name, rows in feed.items():
            missing = max(self._inputs.several - len(rows), 0)
            filled = np.concatenate([rows, np.repeat(rows[-1:], missing, 0)])
            part[name] = self._inputs.batched(name, filled)
        if self._runtime is None:
            model = self._proto
            if self._inside:
                names = (tensor.name for tensor in self._tensors.values())
                model = observed(model, names, self._inputs.shapes)
            self._runtime = Runtime(model, optimised=not self._inside)
        wanted = {t.name: t for t in self._tensors.values() if t.name not in part}
        found = dict(zip(wanted, self._runtime.run(list(wanted), part), strict=True))
        return {
            name: np.asarray((part | found)[tensor.name]) for name, tensor in self._tensors.items()
        }

    def alone(self, sample: Values) -> dict[str, NDArray]:
        """The values of one sample, of a run on copies of it where the file fixes their number."""
        fulls, copies = self._tensors, self._inputs.several
        return {n: _one_of(v, fulls[n].full, copies) for n, v in self.run(sample).items()}

    def ran(self) -> str:
        """The program that runs the model."""
        return "ONNX" if self._runtime is None else self._runtime.name

    def feed(self, inputs: Values) -> dict[str, NDArray]:
        """The inputs in the model's data types; raises `ReadError` where they do not fit."""
        types = {v.name: v.type.tensor_type.elem_type for v in self._proto.graph.input}
        given = checked_inputs(self._inputs.shapes, inputs, ReadError)
        feed = {name: _typed(name, value, types[name]) for name, value in given.items()}
        empty = [
            f"{name!r} of shape {value.shape}" for name, value in feed.items() if not len(value)
        ]
        if empty:
            raise ReadError(f"inputs hold no sample: {', '.join(empty)}.")
        return feed


def _one_of(value: NDArray, full: Shape, copies: int) -> NDArray:
    """The value of one sample, of a run on so many copies of it; as it is where it has no such."""
    axis = multiplied(value.shape, full, copies)
    if axis is None:
        return value
    apart = (Place(axis, n).first(value, copies) for n in divisors(full[axis]))
    return next((rows[0] for rows in apart if np.array_equal(rows[:1], rows[1:2])), value)


def _typed(name: str, value: NDArray, kind: int) -> NDArray:
    """An input in its element type; raises `ReadError` for numbers that a whole one cannot hold."""
    dtype = require("onnx").helper.tensor_dtype_to_np_dtype(kind)
    with np.errstate(invalid="ignore"):  # said below
        typed: NDArray = np.asarray(value).astype(dtype)
    truth = require("onnx").TensorProto.BOOL
    if kind in (*integer_types(), truth) and not np.array_equal(typed, value):
        wrong = np.asarray(value)[typed != value].flat[0]
        raise ReadError(f"input {name!r} takes whole numbers ({type_name(kind)}), got {wrong:g}.")
    return typed
