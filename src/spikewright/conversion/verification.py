"""Source model against its unscaled rate network: as it is called, and layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright import engines
from spikewright.conversion.verification_result import (
    OWN_SUM,
    UNITS,
    Difference,
    Verification,
    relative_error,
    rounding_bounds,
    sum_errors,
)
from spikewright.engines import Execution
from spikewright.errors import SpikewrightError, VerificationError
from spikewright.frontends import Source
from spikewright.graph import Graph, GraphNode, evaluate, evaluate_all
from spikewright.graph.integer_inputs import random_inputs, random_rows, whole_inputs
from spikewright.graph.layers import Affine, Convolution, ScaleShift
from spikewright.lower import Lowered, Options, RowStepping, lower
from spikewright.running.inputs import stepped
from spikewright.running.protocols import ConversionLike
from spikewright.running.recording import probes_of

READ, NETWORK = "the graph that was read", "the rate network"
_MEASURED = 16  # samples whose rounding is measured, at most


def verify(
    conversion: ConversionLike,
    source: Source,
    x: Mapping[str, NDArray] | None,
    rtol: float | None,
    seed: int,
) -> Verification:
    """See `Conversion.verify`.

    The graph that was read evaluates every sample alone, whatever the model does. So outputs are
    compared with the model's own call on all samples at once, two at least: one that mixes them
    gives something else. Shapes are compared for another number of samples too. Every layer that is
    observable in the source is compared with the graph,
    and the graph with the rate network wherever a value exists there. Each value of the network is
    also compared with its own sum, so that no small one is lost beside large ones.
    """
    graph = conversion.graph
    canonical = conversion.canonical
    drawn = random_inputs_for(graph, canonical, seed) if x is None else DrawnInputs(x, ())
    inputs = _several(graph, drawn.values)
    read = evaluate_all(graph, inputs)
    network = network_values(conversion.canonical, inputs, conversion.lowered.stepping)
    pairs = [
        *_outputs(source, inputs, read),
        *_other_size(source, inputs, read),
        *_layers(conversion, source, source.activations(inputs), network, read),
    ]
    rounded = {pair.precision for pair in pairs if pair.error} if rtol is None else ()
    bounds = {precision: _bounds(graph, inputs, read, precision) for precision in rounded}
    differences = []
    for pair in pairs:
        explained = bounds.get(pair.precision, {}).get(pair.node, 0.0)
        if pair.compared == NETWORK:  # its means are rounded, also where nothing else is
            explained = max(explained, UNITS["float32"])
        differences.append(_difference(pair, graph, explained if rtol is None else rtol))
    if rtol is None:
        differences += _sums(conversion, network, graph)
    samples = len(next(iter(inputs.values())))
    found = Verification(tuple(differences), _ran(source), samples, drawn.scaled)
    _judge(found, conversion.graph, source, inputs, rtol)
    return found


class _Pair(NamedTuple):
    """The distance of a node's value from another, one of them in this precision.

    `output` names the output of the model's own call, if the node is one.
    """

    node: str
    compared: str
    error: float
    precision: str
    output: str = ""


def _difference(pair: _Pair, graph: Graph, bound: float) -> Difference:
    if pair.output:
        return Difference(pair.output, "output", pair.compared, pair.error, bound, output=True)
    node = graph[pair.node]
    kind = node.source_kind or node.layer.kind
    return Difference(node.name, kind, pair.compared, pair.error, bound)


def _outputs(
    source: Source, inputs: Mapping[str, NDArray], read: Mapping[str, NDArray]
) -> Iterator[_Pair]:
    """Outputs of the model as it is called, those that it has itself."""
    precision = source.call_precision or source.precision
    for output, value in called(source, inputs).items():
        node = source.graph.outputs[output]
        yield _Pair(node, READ, relative_error(value, read[node]), precision, output)


def _other_size(
    source: Source, inputs: Mapping[str, NDArray], read: Mapping[str, NDArray]
) -> Iterator[_Pair]:
    """Outputs of the model's own call that have another shape for a batch of another size.

    `x.reshape(6, -1)` has a row a sample for six samples and for no other number.
    """
    batch = len(next(iter(inputs.values())))
    size = 2 if batch == 3 else 3
    others = {name: np.take(rows, np.arange(size) % batch, 0) for name, rows in inputs.items()}
    precision = source.call_precision or source.precision
    for output, value in called(source, others).items():
        node = source.graph.outputs[output]
        if np.shape(value) != (size, *read[node].shape[1:]):
            yield _Pair(node, READ, math.inf, precision, output)


def _sums(
    conversion: ConversionLike, network: Mapping[str, NDArray], graph: Graph
) -> Iterator[Difference]:
    """Values of the network beside the sums that they are, each measured by its own terms."""
    if conversion.lowered.stepping is not None:  # values of several steps
        return
    canonical = conversion.canonical
    for name, error, bound in sum_errors(canonical, network):
        node = graph[name] if name in graph else canonical[name]
        kind = node.source_kind or node.layer.kind
        yield Difference(node.name, kind, OWN_SUM, error, bound)


def _layers(
    conversion: ConversionLike,
    source: Source,
    inside: Mapping[str, NDArray],
    network: Mapping[str, NDArray],
    read: Mapping[str, NDArray],
) -> Iterator[_Pair]:
    """Every layer's value in the source, and in the network, beside that in the graph."""
    for name, value in read.items():
        if name in inside:
            error = relative_error(inside[name], value)
            yield _Pair(name, READ, error, source.precision)
        if name in network:
            yield _Pair(name, NETWORK, relative_error(value, network[name]), "float32")


def _bounds(
    graph: Graph, inputs: Mapping[str, NDArray], read: Mapping[str, NDArray], precision: str
) -> dict[str, float]:
    """The errors that rounding explains, measured on some of the samples."""
    given, exact = ({n: v[:_MEASURED] for n, v in values.items()} for values in (inputs, read))
    return rounding_bounds(graph, given, exact, precision)


def _ran(source: Source) -> str:
    """The computation of the source's values, and its precision, in words."""
    if source.call_precision:
        return f"{source.ran()} in {source.call_precision}, its layers in {source.precision}"
    return f"{source.ran()} in {source.precision}"


def _several(graph: Graph, inputs: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """The inputs; beside one sample alone another one, so that mixing shows.

    It holds the values of the first in another order, or other numbers where they are whole.
    """
    if len(next(iter(inputs.values()))) > 1:
        return dict(inputs)
    rng, bounds = np.random.default_rng(0), whole_inputs(graph)
    return {
        name: np.concatenate(
            [
                value,
                random_rows(rng, bounds[name], value.shape)
                if name in bounds
                else rng.permuted(value.reshape(-1)).reshape(value.shape),
            ]
        )
        for name, value in inputs.items()
    }


def _judge(
    found: Verification,
    graph: Graph,
    source: Source,
    inputs: Mapping[str, NDArray],
    rtol: float | None,
) -> None:
    """Raise for the first layer that differs, or else for an output."""
    wrong = [one for one in found.differences if not one.agrees]
    layers = [one for one in wrong if not one.output]
    if layers:
        name = _source_name(graph, layers[0].layer)
        what = f"layer {name!r} ({layers[0].kind}) is the first that differs"
        apart = [one.layer for one in wrong if one.output]
        outputs = f"outputs {apart} differ too" if apart else "outputs agree"
        more = f"; {outputs}" if found.outputs else ""
        raise VerificationError(f"{what}: {_apart(layers[0], rtol)}{more}.", found)
    if wrong:
        raise VerificationError(
            f"output {wrong[0].layer!r} of the model as it is called ({found.source}) differs, "
            f"though every layer agrees: {_apart(wrong[0], rtol)}. "
            f"{_why(wrong[0], graph, source, inputs)}",
            found,
        )


def _source_name(graph: Graph, layer: str) -> str:
    """The name of a layer in the source; layers that passes made keep theirs."""
    return (graph[layer].source if layer in graph else None) or layer


def _apart(one: Difference, rtol: float | None) -> str:
    """The error of a difference, and the bound that it exceeds, in words."""
    if math.isnan(one.error):
        return f"{one.compared}, or the source, holds NaN or infinity"
    if math.isinf(one.error):
        return f"{one.compared} has another shape, or infinity"
    bound = (
        f"{one.bound:.2g}, which is what rounding explains" if rtol is None else f"rtol={rtol:g}"
    )
    return f"{one.compared} is off by {one.error:.2g} of {one.relative_to}, above {bound}"


def _why(wrong: Difference, graph: Graph, source: Source, inputs: Mapping[str, NDArray]) -> str:
    """Whether a sample alone gives the graph's values, so that batching makes the difference."""
    alone = {name: value[:1] for name, value in inputs.items()}
    error = relative_error(called(source, alone)[wrong.layer], evaluate(graph, alone)[wrong.layer])
    if error <= wrong.bound:
        return "A sample alone agrees: the model mixes samples, so axis 0 is not the batch."
    return "A sample alone differs too."


def called(source: Source, inputs: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """The model's own call; whatever it raises becomes a `VerificationError`."""
    try:
        return source.call(inputs)
    except SpikewrightError:
        raise
    except Exception as error:
        samples = len(next(iter(inputs.values())))
        raise VerificationError(
            f"the model itself cannot be called on {samples} samples "
            f"({type(error).__name__}: {error})"
        ) from error


def network_values(
    graph: Graph, inputs: Mapping[str, NDArray], stepping: RowStepping | None = None
) -> dict[str, NDArray]:
    """One step of the unscaled rate network: the value of every layer that exists in it.

    Where its time is that of a sequence, one step for each of the sequence, and their values as
    the source has them.
    """
    lowered = lower(graph, Options(stepping=stepping and replace(stepping, steps=1)))
    layers = {n: item for n, item in lowered.layers.items() if n in lowered.exact_values}
    probes = probes_of(layers)
    program = engines.compile_network(lowered.network, 1.0, 0, "float32", probes)
    batch = len(next(iter(inputs.values())))
    execution = Execution(program, engines.get("reference", program), batch)
    if stepping is not None:
        steps, feeds = stepped(stepping, inputs, lowered.inputs)
        found = dict(zip(layers, execution.run(steps, feeds), strict=True))
        return _over_sequence(found, graph, lowered, stepping)
    feeds = {lowered.inputs[name]: np.asarray(v, np.float64)[:, None] for name, v in inputs.items()}
    values = {
        name: array[:, 0] for name, array in zip(layers, execution.run(1, feeds), strict=True)
    }
    values.update(_readout_values(graph, lowered, values))
    return values


def _over_sequence(
    found: Mapping[str, NDArray], graph: Graph, lowered: Lowered, stepping: RowStepping
) -> dict[str, NDArray]:
    """Values `(batch, steps, *shape)` with time where the source has it, or those of the end."""
    flat = {name: value.reshape(-1, *value.shape[2:]) for name, value in found.items()}
    flat.update(_readout_values(graph, lowered, flat))
    batch, steps = next(iter(found.values())).shape[:2]
    values = {}
    for name, time in stepping.values.items():
        if name in flat:
            shape = graph.shapes[name] if name in graph else flat[name].shape[1:]
            whole = flat[name].reshape(batch, steps, *shape)
            values[name] = whole[:, -1] if time is None else np.moveaxis(whole, 1, time + 1)
    return values


def _readout_values(
    graph: Graph, lowered: Lowered, values: Mapping[str, NDArray]
) -> dict[str, NDArray]:
    """Outputs with the activation that is applied to the readout."""
    result = {}
    for output, activation in lowered.readouts.items():
        name = graph.outputs[output]
        result[name] = activation.evaluate(np.asarray(values[graph[name].inputs[0]], np.float64))
    return result


_USUAL = 16.0
"""Weights of two features that differ by no more than this factor are alike."""


class DrawnInputs(NamedTuple):
    """Inputs `{name: (batch, *shape)}`, and the layers to whose weights they were `scaled`."""

    values: Mapping[str, NDArray]
    scaled: tuple[str, ...]


def random_inputs_for(graph: Graph, canonical: Graph, seed: int) -> DrawnInputs:
    """Seeded normal inputs for a graph, as `random_inputs` draws them.

    `canonical` is the graph whose first layers read them: its weights have normalisations in them.
    Where a first layer's weights differ between features by more than a factor of sixteen, as
    those of unscaled features do, each feature is multiplied by the power of two that is nearest to
    the inverse of its largest weight. So all features matter to the layer's sums.
    """
    values, scaled = dict(random_inputs(graph, seed)), []
    for name in graph.inputs:
        if canonical.shapes.get(name) != graph.shapes[name]:  # of one step of a sequence
            continue
        for reader in canonical.consumers[name]:
            scales = _scales(canonical[reader], values[name].shape[1:])
            if scales is not None:
                values[name] = values[name] * scales
                scaled.append(canonical[reader].source or reader)
                break
    return DrawnInputs(values, tuple(scaled))


def _scales(node: GraphNode, shape: tuple[int, ...]) -> NDArray | None:
    """Powers of two that level a layer's weights over its input, or None where they are level."""
    sizes = _sizes(node, shape)
    if sizes is None or not np.any(sizes > 0.0):
        return None
    used = sizes[sizes > 0.0]
    if used.max() <= _USUAL * used.min():
        return None
    middle = np.exp(np.median(np.log(used)))
    exponents = np.log2(middle / np.where(sizes > 0.0, sizes, middle))
    scales: NDArray = np.exp2(np.rint(np.clip(exponents, -60.0, 60.0)))
    return scales


def _sizes(node: GraphNode, shape: tuple[int, ...]) -> NDArray | None:
    """The largest weight that each value of an input of `shape` meets; broadcasts to it."""
    layer = node.layer
    if isinstance(layer, Affine):
        return np.asarray(np.abs(layer.weight).max(axis=0, initial=0.0), np.float64)
    if isinstance(layer, ScaleShift) and layer.scale is not None:
        return np.broadcast_to(np.abs(np.asarray(layer.scale, np.float64)), shape)
    if not isinstance(layer, Convolution):
        return None
    out, inner = layer.weight.shape[:2]
    kernels = np.abs(layer.weight).reshape(layer.groups, out // layer.groups, inner, -1)
    channels = kernels.max(axis=(1, 3)).reshape(-1).astype(np.float64)
    return channels if layer.channels_last else channels.reshape(-1, *[1] * (len(shape) - 1))
