"""Backpropagation through time: the spiking network as a module, differentiable at every step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from spikewright._base.options import options_of
from spikewright._base.samples import check_rows, over_time
from spikewright.engines.torch.device import Tensor, Tensors
from spikewright.errors import SimulationError, TrainingError
from spikewright.frontends.provenance import ArrayKey, Provenance
from spikewright.graph import Graph
from spikewright.lower import NeuronChoice
from spikewright.lower.populations import Roles
from spikewright.measure.readout import read_out
from spikewright.network.synapses import Synapse
from spikewright.running.inputs import fitted
from spikewright.running.protocols import ConversionLike
from spikewright.running.recording import outputs_of
from spikewright.running.runner import Runner
from spikewright.training.gradients.layers import check_gradients, equation
from spikewright.training.gradients.parameters import taken_in, weighted_before
from spikewright.training.gradients.stepping import States, SteppedNetwork, Values, as_held
from spikewright.training.gradients.straight_through import DigitNeurons
from spikewright.training.gradients.surrogate import (
    Differentiable,
    ModuleNeurons,
    check_surrogates,
    stepwise_filter,
)
from spikewright.training.options import ModuleOptions
from spikewright.training.quantized_layers import quantized_layers_of, trained_graph
from spikewright.training.surrogates import surrogate_of
from spikewright.training.trainable import NamedParameters


class ModuleOutputs(NamedTuple):
    """What a run gave: outputs before their activations, and spikes of layers, at every step.

    Each is `(batch, steps, *shape)`, by name, with gradients. Spikes that receivers take as sent
    are part of these counts.
    """

    outputs: Values
    counts: Values


class NamedArrays(nn.Module):
    """The arrays of a graph's layers: made of named parameters, or constants."""

    def __init__(self, graph: Graph, named: NamedParameters, dtype: torch.dtype) -> None:
        super().__init__()
        self._made: dict[ArrayKey, tuple[list[str], str]] = {}
        self._fixed: dict[ArrayKey, str] = {}
        for node in graph:
            for field, array in node.layer.arrays().items():
                place, key = (node.name, field), f"_{len(self._made)}_{len(self._fixed)}"
                origin = named.origins.get(place)
                if origin is None:
                    kept = torch.tensor(array, dtype=dtype)
                    self._fixed[place] = key
                else:
                    kept = torch.from_numpy(_index(origin, named))
                    self._made[place] = origin.held, key
                self.register_buffer(key, kept, persistent=False)

    def forward(self, parameters: Mapping[str, Tensor]) -> dict[str, Values]:
        """All arrays, by node and field."""
        found: dict[str, Values] = {}
        for (node, field), key in self._fixed.items():
            found.setdefault(node, {})[field] = self.get_buffer(key)
        for (node, field), (names, key) in self._made.items():
            flat = [parameters[name].reshape(-1) for name in names]
            values = flat[0] if len(flat) == 1 else torch.cat(flat)
            found.setdefault(node, {})[field] = values[self.get_buffer(key)]
        return found


def _index(origin: Provenance, named: NamedParameters) -> Any:
    """The place of every value of an array in the parameters that it holds, laid end to end."""
    first, end = np.zeros(len(origin.names), np.int64), 0
    for number, name in zip(np.unique(origin.which), origin.held, strict=True):
        first[number], end = end, end + named.arrays[name].size
    return np.asarray(origin.index + first[origin.which])


class BpttModule(nn.Module):
    """A converted network through time; its parameters have the names of the source's.

    It begins anew with every call. `forward` takes `(batch, *shape)`, held constant, or `(batch,
    steps, *shape)`; of several inputs `{name: tensor}`, or one after the other. It returns the
    readout `(batch, *out)`, of several outputs `{name: tensor}`. `through` returns every step.
    Signed digits are one step: that in which each layer has all of its input.
    """

    def __init__(
        self,
        conversion: ConversionLike,
        named: NamedParameters,
        frozen: Collection[ArrayKey],
        steps: int,
        options: ModuleOptions,
    ) -> None:
        super().__init__()
        dt, precision = options["dt"], options["precision"]
        self.whole = conversion.lowered.times is not None
        if self.whole:
            _check_whole(options)
        self.steps, self.options = 1 if self.whole else steps, options
        self.surrogate = surrogate_of(options["surrogate"])
        graph = self.graph = trained_graph(conversion)
        dtype: torch.dtype = getattr(torch, precision)
        for node in graph:
            check_gradients(node.layer, node.name)
        ensembles = conversion.populations()
        kinds = {name: ensemble.neuron_type for name, ensemble in ensembles.items()}
        if not self.whole:
            check_surrogates(kinds, self.functions(torch.empty((), dtype=dtype)), dt)
        self.layers = tuple(ensembles)
        self.following = frozenset(Roles(conversion.canonical).functions) & ensembles.keys()
        self.normalised = weighted_before(graph)
        self.synapses = {n: stepwise_filter(s, dt) for n, s in _synapses(conversion).items()}
        roles = Roles(graph)
        accumulate = NeuronChoice(conversion.arguments["spiking"]).is_spiking
        self.present = [n.name for n in graph if not accumulate or n.name in roles.fed]
        self.read = dict(zip(graph.outputs, roles.read_from(), strict=True))
        self.outputs = outputs_of(conversion.lowered)
        trained = named.trained(ensembles.keys() - self.following, frozen)
        for name, array in named.arrays.items():
            _put(self, name, torch.tensor(array, dtype=dtype), name in trained)
        program = Runner(conversion.lowered).program(dt, options["seed"], precision)
        offsets = conversion.resolved.get("bias_correction") or {}
        quantized = quantized_layers_of(conversion, dt) if self.whole else {}
        self._populations = nn.ModuleList(
            DigitNeurons(quantized[name], steps, dtype)
            if self.whole
            else ModuleNeurons(program.neurons[ensemble], offsets.get(name), dt, dtype)
            for name, ensemble in ensembles.items()
        )
        self._arrays = NamedArrays(graph, named, dtype)

    def forward(self, *x: Any, **named: Any) -> Any:
        """The readout of a run."""
        sent, found = self._sent(x, named, ()).outputs, {}
        for name, raw in sent.items():
            values: Any = read_out(raw, self.options["readout"], self.options["dt"])
            activation = self.outputs[name].activation
            found[name] = values if activation is None else equation(activation, {}, values)
        return found if len(found) > 1 else next(iter(found.values()))

    def through(self, *x: Any, record: Sequence[str] = (), **named: Any) -> ModuleOutputs:
        """Outputs at every step, and spikes of the layers in `record`.

        Raises `SimulationError` for inputs of other names or shapes, and `TrainingError` for signed
        digits, which have no steps here.
        """
        if self.whole:
            raise TrainingError(
                "through: this module answers whole samples in signed digits, whose layers start "
                "one after the other, and has nothing at every step. Call the module itself, or "
                "run the conversion"
            )
        return self._sent(x, named, record)

    def _sent(
        self, x: tuple[Any, ...], named: Mapping[str, Any], record: Sequence[str]
    ) -> ModuleOutputs:
        unknown = [name for name in record if name not in self.layers]
        if unknown:
            raise SimulationError(f"record: {unknown} are none of the layers {self.layers}")
        inputs = self._inputs(x, named)
        return _ModuleRun(self, inputs, tuple(record)).sent()

    def _inputs(self, x: tuple[Any, ...], named: Mapping[str, Any]) -> Values:
        """Inputs by name, `(batch, steps or 1, *shape)`, in the module's own type."""
        names = self.graph.inputs
        given = (
            dict(x[0])
            if len(x) == 1 and isinstance(x[0], Mapping)
            else dict(zip(names, x, strict=False))
        )
        given.update(named)
        if set(given) != set(names) or len(x) > len(names):
            raise SimulationError(f"inputs are {list(names)}, got {list(given)}")
        return {name: self._input(name, torch.as_tensor(given[name])) for name in names}

    def _input(self, name: str, x: Tensor) -> Tensor:
        x = fitted(name, over_time, x.to(self.like()), self.graph.shapes[name], self.steps)
        if not bool(torch.isfinite(x).all()):
            raise SimulationError(f"input {name!r} holds values that are NaN or infinite")
        rows = self.graph.structure.rows.get(name)
        if rows is not None:
            fitted(name, check_rows, x.detach().cpu().numpy(), rows)
        return x

    def like(self) -> Tensor:
        """A tensor of the module's type, on its device."""
        none = torch.empty((), dtype=getattr(torch, self.options["precision"]))
        return next(iter((*self.parameters(), *self.buffers())), none)

    def functions(self, like: Tensor) -> Differentiable:
        """The array functions of neurons' equations, with gradients."""
        tensors = Tensors(like.device, like.dtype)
        return Differentiable(tensors, self.surrogate, self.options["reset"] == "detached")


class _ModuleRun:
    """One run of a module, step by step."""

    def __init__(self, module: BpttModule, inputs: Values, record: tuple[str, ...]) -> None:
        self.module, self.record, graph = module, record, module.graph
        batch = max(map(len, inputs.values()))
        inputs = {name: x.expand(batch, *x.shape[1:]) for name, x in inputs.items()}
        self.series = {name: x for name, x in inputs.items() if x.shape[1] > 1}
        named = dict([*module.named_parameters(), *module.named_buffers()])
        weights = taken_in(graph, module.normalised, module._arrays(named))
        xp = module.functions(module.like())
        self.stepping = SteppedNetwork(
            graph,
            {node.name: weights.get(node.name, {}) for node in graph},
            {node.name: equation for node in graph},
            {n: partial(p, xp) for n, p in zip(module.layers, module._populations, strict=True)},
            skipped=module.normalised,
            following=module.following,
            synapses=module.synapses,
            present=module.present,
        )
        held = {name: x[:, 0] for name, x in inputs.items() if name not in self.series}
        self.held = {n: as_held(x, 1) for n, x in self.stepping.held(held, batch).items()}

    def sent(self) -> ModuleOutputs:
        """All steps."""
        steps, every = self.module.steps, self.module.options["checkpoint"]
        if every is False or not torch.is_grad_enabled():
            _, made = self._steps({}, 0, steps)
        elif every is True:
            _, made = self._halves({}, 0, steps)
        else:
            states, made = States(), []
            for start in range(0, steps, every):
                stop = min(start + every, steps)
                states, some = self._again(self._steps, states, start, stop)
                made += some
        whole = [torch.cat(parts).movedim(0, 1) for parts in zip(*made, strict=True)]
        outputs = dict(zip(self.module.read, whole, strict=False))
        return ModuleOutputs(outputs, dict(zip(self.record, whole[len(outputs) :], strict=True)))

    def _halves(self, states: States, start: int, stop: int) -> tuple[States, list[list[Tensor]]]:
        """Steps of which one at a time is remembered: halves of halves are run again."""
        if stop - start == 1:
            return self._steps(states, start, stop)
        middle = (start + stop + 1) // 2
        states, first = self._again(self._halves, states, start, middle)
        states, second = self._again(self._halves, states, middle, stop)
        return states, first + second

    @staticmethod
    def _again(function: Any, states: States, start: int, stop: int) -> Any:
        """Some steps, run once more for their gradients.

        States are arguments one by one: so PyTorch need not keep those of inner checkpoints.
        """
        names = [(place, name) for place, state in states.items() for name in state]

        def again(*values: Tensor) -> Any:
            given: States = {}
            for (place, name), value in zip(names, values, strict=True):
                given.setdefault(place, {})[name] = value
            return function(given, start, stop)

        values = (states[place][name] for place, name in names)
        return checkpoint(again, *values, use_reentrant=False, preserve_rng_state=False)

    def _steps(self, states: States, start: int, stop: int) -> tuple[States, list[list[Tensor]]]:
        """Some steps: the states after them, and outputs and counts of each.

        They are done one at a time: so results are the same bits however many are remembered.
        """
        made, read = [], self.module.read.values()
        for t in range(start, stop):
            now = {n: x[:, t : t + 1].movedim(1, 0) for n, x in self.series.items()}
            found = self.stepping.block({**self.held, **now}, states, t, keep=read)
            states = found.states
            made.append([*(found.values[n] for n in read), *(found.counts[n] for n in self.record)])
        return states, made


def _check_whole(options: ModuleOptions) -> None:
    """Raise `TrainingError` for options of steps and spikes, of which whole samples have none."""
    for name in ("surrogate", "reset", "readout", "checkpoint"):
        if options[name] != options_of(ModuleOptions)[name].option.default:
            raise TrainingError(
                f"{name}={options[name]!r}: a module of signed digits answers whole samples, in "
                "one pass whose gradient goes straight through rounding. Leave it out"
            )


def _put(root: nn.Module, name: str, value: Tensor, trained: bool) -> None:
    """Put a parameter, or a buffer, where a state dict has it under this name.

    Straight into PyTorch's dictionaries: names of sources may be those of attributes of modules.
    """
    *path, last = name.split(".")
    for part in path:
        root = root._modules.setdefault(part, nn.Module())
    if trained:
        root._parameters[last] = nn.Parameter(value)
    else:
        root._buffers[last] = value


def _synapses(conversion: ConversionLike) -> dict[str, Synapse]:
    """The synapse of every population that has one: all its connections have the same."""
    names = {ensemble.neurons: name for name, ensemble in conversion.populations().items()}
    return {
        names[connection.pre]: connection.synapse
        for connection in conversion.network.all_connections
        if connection.pre in names and connection.synapse is not None
    }
