"""Whether a model keeps its samples apart, and the node that mixes them where it does not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import MissingExtraError, ReadError, Refusal, UnsupportedLayerError
from spikewright.frontends.mixing import Place, correspond, place, two_samples
from spikewright.frontends.onnx.evaluate import Evaluator, one_of
from spikewright.frontends.onnx.inputs import ModelInputs
from spikewright.frontends.onnx.node import KEEP_BATCH
from spikewright.frontends.onnx.values import Signal
from spikewright.frontends.onnx.walk import Tensor, Walk
from spikewright.frontends.source import Note, Values
from spikewright.graph import Graph, evaluate_all
from spikewright.graph.lookups import random_inputs

_TOGETHER = 3  # samples: the first two of any number would be all of two
_PAIRS = 2  # of samples: in a model that rounds, a value may fall on either side of a step
_ROUNDING = 2.0**-6  # of the largest value
_MIXES = "it mixes the samples of a batch: {}"


class _Runs(NamedTuple):
    """Values for several samples together, and for the two different ones of them alone."""

    together: dict[str, NDArray]
    first: dict[str, NDArray]
    second: dict[str, NDArray]
    samples: int

    def place(self, name: str) -> Place | None:
        """The place of the samples in a value for all of them, if it is made of those for each."""
        alone = [self.first[name], *[self.second[name]] * (self.samples - 1)]
        return place(self.together[name], alone)

    def apart(self, name: str) -> bool:
        """Whether a value for all is made of those for each, or is the same for all."""
        values = self.together[name], self.first[name], self.second[name]
        if len({value.shape for value in values}) == 1:
            return correspond(*values)
        return self.place(name) is not None


def check_apart(call: Evaluator, walk: Walk, graph: Graph, example: Values) -> tuple[Note, ...]:
    """Compare two samples at once with each alone; raises `UnsupportedLayerError` where they part.

    Notes the place of outputs whose samples lie behind other values. Returns a note where the model
    cannot be run at all.
    """
    inputs = walk.inputs
    if inputs.alone:
        return ()
    drawn = call.feed(_example(graph, inputs, example))
    for seed in range(_PAIRS):
        first, second = two_samples(drawn, seed)
        second |= {name: first[name] for name in inputs.single}
        try:
            call.run(first)
        except MissingExtraError as error:
            return (_unknown(walk, error),)
        except ReadError as error:
            if any(node.domain for node in walk.nodes) and inputs.several == 1:
                return (_unknown(walk, error),)  # an operator of one's own
            raise _fails(walk, error, "it fails on one") from error
        try:
            runs = _run(call, first, second, inputs)
        except ReadError as error:
            raise _fails(walk, error, "it runs on one and fails on several at once") from error
        parted = [name for name in runs.together if runs.place(name) is None]
        inside = None
        if parted or inputs.several > 1:
            inside = next(_mixing(walk, graph, first, second), None)
        if not parted and inside is None:
            _note_places(call, runs)
            return ()
    raise _refusal(walk, inside or (parted[0], "graph output"))


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


def _run(call: Evaluator, first: Values, second: Values, inputs: ModelInputs) -> _Runs:
    samples = _TOGETHER if inputs.several == 1 else inputs.several
    rows = _TOGETHER if inputs.several == 1 else 2  # a fixed number is filled up
    together = {name: np.concatenate([first[name], *[second[name]] * (rows - 1)]) for name in first}
    one, other = _alone(call, first, inputs), _alone(call, second, inputs)
    return _Runs(call.run(together), one, other, samples)


def _alone(call: Evaluator, sample: Values, inputs: ModelInputs) -> dict[str, NDArray]:
    """The values of one sample, of a run on copies of it where the file fixes their number."""
    found = call.run(sample)
    fulls = call.fulls
    return {name: one_of(value, fulls[name], inputs.several) for name, value in found.items()}


def _note_places(call: Evaluator, runs: _Runs) -> None:
    for name in runs.together:
        at = runs.place(name)
        if at is not None and at.outer > 1:
            call.places[name] = at


def _unknown(walk: Walk, error: Exception) -> Note:
    own = [label for node, label in zip(walk.nodes, walk.labels, strict=True) if node.domain]
    return Note(
        (own or walk.labels)[0],
        f"{error} So it is not known whether two samples at once give what each gives alone",
    )


def _fails(walk: Walk, error: ReadError, what: str) -> Exception:
    """The error for a model that does not run on one sample, or on several."""
    kinds = dict(zip(walk.labels, (node.op_type for node in walk.nodes), strict=True))
    named = [name for name in re.findall(r"Name: ?'([^']*)'", str(error)) if name in kinds]
    if not named:
        return ReadError(f"{walk.place}: of samples, {what}: {error}")
    refusal = Refusal(named[0], kinds[named[0]], _MIXES.format(what), KEEP_BATCH)
    return UnsupportedLayerError([refusal], walk.builder.nodes, walk.builder.met)


def _refusal(walk: Walk, found: tuple[str, str]) -> UnsupportedLayerError:
    """The refusal of a node, or of an output, that mixes samples."""
    reason = _MIXES.format("several at once give other values than each of them alone")
    refusal = Refusal(*walk.origins.get(found[0], found), reason, KEEP_BATCH)
    return UnsupportedLayerError([refusal], walk.builder.nodes, walk.builder.met)


def _mixing(walk: Walk, graph: Graph, first: Values, second: Values) -> Iterator[tuple[str, str]]:
    """Nodes all of whose inputs correspond sample by sample, and whose results do not.

    Then those that know how many samples a file fixes, and make another value of one.
    """
    known = (name for name, value in walk.values.items() if isinstance(value, Signal))
    reading = _reading(walk.nodes, walk.inputs.shapes).intersection(known)
    names = {name: Tensor(name, (), walk.full(name)) for name in reading}
    call = Evaluator(walk.proto, names, walk.inputs, inside=True)
    runs = _run(call, first, second, walk.inputs)
    apart = {name: runs.apart(name) for name in reading}
    for node, label in zip(walk.nodes, walk.labels, strict=True):
        made = [name for name in node.output if name in reading]
        if all(apart.get(name, True) for name in node.input) and not all(map(apart.get, made)):
            yield label, node.op_type
    if walk.inputs.several == 1:
        return
    values = evaluate_all(graph, {name: first[name] for name in graph.inputs})
    for graphs, tensor in walk.tensors.items():
        if graphs in values and tensor.name in reading:
            one, own = np.ravel(runs.first[tensor.name]), np.ravel(values[graphs])
            if np.abs(one - own).max() > _ROUNDING * np.abs(one).max():
                yield graph[graphs].source or graphs, graph[graphs].source_kind


def _reading(nodes: Sequence[Any], inputs: Iterable[str]) -> set[str]:
    """The values that depend on the data; shapes of values do not."""
    found = set(inputs)
    for node in nodes:
        if node.op_type not in ("Shape", "Size") and any(name in found for name in node.input):
            found.update(filter(None, node.output))
    return found
