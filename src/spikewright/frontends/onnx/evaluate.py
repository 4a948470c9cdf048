"""The source model's own values, whether it keeps its samples apart, and the node that does not."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.errors import MissingExtraError, ReadError, Refusal, UnsupportedLayerError
from spikewright.frontends.mixing import MixingPlace, MixingRuns, divisors, multiplied, on_pairs
from spikewright.frontends.onnx.files import type_name
from spikewright.frontends.onnx.inputs import ModelInputs
from spikewright.frontends.onnx.registry import KEEP_BATCH
from spikewright.frontends.onnx.runtime import Runtime, observed
from spikewright.frontends.onnx.traversal import OnnxTraversal, Tensor
from spikewright.frontends.onnx.values import SignalValue, full_shape, integer_types
from spikewright.frontends.source import SourceNote, Values
from spikewright.graph import Graph, checked_inputs, evaluate_all
from spikewright.graph.integer_inputs import random_inputs
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
        self.places: dict[str, MixingPlace] = {}

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
                at = self.places.get(name, MixingPlace(axis, 1))
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
    apart = (MixingPlace(axis, n).first(value, copies) for n in divisors(full[axis]))
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


_TOGETHER = 3  # samples: the first two of any number would be all of two
_ROUNDING = 2.0**-6  # of the largest value
_MIXES = "it mixes the samples of a batch: {}"


def check_apart(
    call: Evaluator, walk: OnnxTraversal, graph: Graph, example: Values
) -> tuple[SourceNote, ...]:
    """Compare two samples at once with each alone; raises `UnsupportedLayerError` where they part.

    Notes the place of outputs whose samples lie behind other values. Returns a note where the model
    cannot be run at all.
    """
    if walk.inputs.alone:
        return ()
    drawn = call.feed(_example(graph, walk.inputs, example))
    notes: list[SourceNote] = []
    found = on_pairs(lambda *pair: _mixed(call, walk, graph, notes, *pair), drawn)
    if found is not None:
        raise _refusal(walk, found)
    return tuple(notes)


def _mixed(
    call: Evaluator,
    walk: OnnxTraversal,
    graph: Graph,
    notes: list[SourceNote],
    first: Values,
    second: Values,
) -> tuple[str, str] | None:
    """The node, or else the output, that mixes two samples; notes that nothing runs the model."""
    inputs = walk.inputs
    second = {**second, **{name: first[name] for name in inputs.single}}
    try:
        call.run(first)
    except (MissingExtraError, ReadError) as error:
        nowhere = inputs.several == 1 and not _runs(call, first, second)
        if nowhere or isinstance(error, MissingExtraError):
            notes.append(_unknown(walk, error))
            return None
        raise _fails(walk, error, "it fails on one") from error
    try:
        runs = _run(call, first, second, inputs)
    except ReadError as error:
        raise _fails(walk, error, "it runs on one and fails on several at once") from error
    places = {name: runs.place(name) for name in runs.together}
    parted = next(((name, "graph output") for name, at in places.items() if at is None), None)
    inside = _inside(walk, graph, first, second) if parted or inputs.several > 1 else None
    if not (parted or inside):
        call.places.update({n: at for n, at in places.items() if at is not None and at.outer > 1})
    return inside or parted


def _runs(call: Evaluator, first: Values, second: Values) -> bool:
    """Whether a model runs on two samples at once."""
    try:
        call.run({name: np.concatenate([first[name], second[name]]) for name in first})
    except (MissingExtraError, ReadError):
        return False
    return True


def _example(graph: Graph, inputs: ModelInputs, example: Values) -> dict[str, NDArray]:
    """The user's samples, or drawn ones."""
    drawn = random_inputs(graph, 0)
    rng = np.random.default_rng(0)
    for name, shape in inputs.shapes.items():
        given = example.get(name)
        if given is not None:
            drawn[name] = np.asarray(given)[:2]
        elif name not in drawn:
            drawn[name] = rng.integers(0, 2, (2, *shape)).astype(np.float64)
    rows = min(map(len, drawn.values()))
    return {name: drawn[name][:rows] for name in inputs.shapes}


def _run(call: Evaluator, first: Values, second: Values, inputs: ModelInputs) -> MixingRuns:
    samples = _TOGETHER if inputs.several == 1 else inputs.several
    rows = _TOGETHER if inputs.several == 1 else 2  # a fixed number is filled up
    together = {name: np.concatenate([first[name], *[second[name]] * (rows - 1)]) for name in first}
    return MixingRuns(
        call.run(together), [call.alone(first), *[call.alone(second)] * (samples - 1)]
    )


def _unknown(walk: OnnxTraversal, error: Exception) -> SourceNote:
    own = [label for node, label in zip(walk.nodes, walk.labels, strict=True) if node.domain]
    return SourceNote(
        (own or walk.labels)[0],
        f"{error} So it is not known whether two samples at once give what each gives alone",
    )


def _fails(walk: OnnxTraversal, error: ReadError, what: str) -> Exception:
    """The error for a model that does not run on one sample, or on several."""
    kinds = dict(zip(walk.labels, (node.op_type for node in walk.nodes), strict=True))
    named = [name for name in re.findall(r"Name: ?'([^']*)'", str(error)) if name in kinds]
    if not named:
        return ReadError(f"{walk.place}: of samples, {what}: {error}")
    refusal = Refusal(named[0], kinds[named[0]], _MIXES.format(what), KEEP_BATCH)
    return UnsupportedLayerError([refusal], walk.builder.nodes, walk.builder.met)


def _refusal(walk: OnnxTraversal, found: tuple[str, str]) -> UnsupportedLayerError:
    """The refusal of a node, or of an output, that mixes samples."""
    reason = _MIXES.format("several at once give other values than each of them alone")
    refusal = Refusal(*walk.origins.get(found[0], found), reason, KEEP_BATCH)
    return UnsupportedLayerError([refusal], walk.builder.nodes, walk.builder.met)


def _inside(
    walk: OnnxTraversal, graph: Graph, first: Values, second: Values
) -> tuple[str, str] | None:
    """The first node whose inputs correspond sample by sample, and whose results do not.

    Else one that knows how many samples a file fixes, and makes another value of one.
    """
    known = (name for name, value in walk.values.items() if isinstance(value, SignalValue))
    reading = _reading(walk.nodes, walk.inputs.shapes).intersection(known)
    names = {name: Tensor(name, (), full_shape(walk.values.get(name))) for name in reading}
    runs = _run(Evaluator(walk.proto, names, walk.inputs, inside=True), first, second, walk.inputs)
    labelled = zip(walk.nodes, walk.labels, strict=True)
    found = runs.first_mixing(((at, n.op_type), n.input, n.output) for n, at in labelled)
    if found or walk.inputs.several == 1:
        return found
    values = evaluate_all(graph, {name: first[name] for name in graph.inputs})
    for made, tensor in walk.tensors.items():
        if made in values and tensor.name in reading:
            one, own = np.ravel(runs.alone[0][tensor.name]), np.ravel(values[made])
            if np.abs(one - own).max() > _ROUNDING * np.abs(one).max():
                return graph[made].source or made, graph[made].source_kind
    return None


def _reading(nodes: Sequence[Any], inputs: Iterable[str]) -> set[str]:
    """The values that depend on the data; shapes of values do not."""
    found = set(inputs)
    for node in nodes:
        if node.op_type not in ("Shape", "Size") and any(name in found for name in node.input):
            found.update(filter(None, node.output))
    return found
