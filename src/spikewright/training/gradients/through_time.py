"""The network through time as a module, with gradients through every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from spikewright._base.samples import check_rows, over_time
from spikewright.engines.torch.device import Tensor, Tensors
from spikewright.errors import SimulationError
from spikewright.frontends.origins import Origin, Place
from spikewright.measure.readout import read_out
from spikewright.running.inputs import fitted
from spikewright.training.gradients.along_time import ModuleNeurons, along_time, check_surrogates
from spikewright.training.gradients.layers import check_gradients, equation
from spikewright.training.gradients.normalised import taken_in, weighted_before
from spikewright.training.gradients.stepping import States, SteppedNetwork, Values, as_held
from spikewright.training.gradients.surrogate import Differentiable
from spikewright.training.named import NamedParameters
from spikewright.training.planned import ModulePlan, ModuleSettings


class ModuleOutputs(NamedTuple):
    """What a run gave: outputs before their activations, and spikes of layers, at every step.

    Each is `(batch, steps, *shape)`, by name, with gradients. Spikes that receivers take as sent
    are part of these counts.
    """

    outputs: Values
    counts: Values


class NamedArrays(nn.Module):
    """The arrays of a graph's layers: made of named parameters, or constants."""

    def __init__(self, plan: ModulePlan, dtype: torch.dtype) -> None:
        super().__init__()
        self._made: dict[Place, tuple[list[str], str]] = {}
        self._fixed: dict[Place, str] = {}
        for node in plan.graph:
            for field, array in node.layer.arrays().items():
                place, key = (node.name, field), f"_{len(self._made)}_{len(self._fixed)}"
                origin = plan.named.origins.get(place)
                if origin is None:
                    kept = torch.tensor(array, dtype=dtype)
                    self._fixed[place] = key
                else:
                    kept = torch.from_numpy(_index(origin, plan.named))
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


def _index(origin: Origin, named: NamedParameters) -> Any:
    """The place of every value of an array in the parameters that it holds, laid end to end."""
    first, end = np.zeros(len(origin.names), np.int64), 0
    for number, name in zip(np.unique(origin.which), origin.held, strict=True):
        first[number], end = end, end + named.arrays[name].size
    return np.asarray(origin.index + first[origin.which])


class ThroughTime(nn.Module):
    """A converted network through time; its parameters have the names of the source's.

    It begins anew with every call. `forward` takes `(batch, *shape)`, held constant, or `(batch,
    steps, *shape)`; of several inputs `{name: tensor}`, or one after the other. It returns the
    readout `(batch, *out)`, of several outputs `{name: tensor}`. `through` returns every step.
    """

    def __init__(self, plan: ModulePlan, settings: ModuleSettings) -> None:
        super().__init__()
        dtype = getattr(torch, settings.precision)
        self.plan, self.settings = plan, settings
        xp = self._functions(torch.empty((), dtype=dtype))
        for node in plan.graph:
            check_gradients(node.layer, node.name)
        kinds = {name: op.neuron_type for name, op in plan.populations.items()}
        check_surrogates(kinds, xp, settings.dt)
        for name, array in plan.named.arrays.items():
            _put(self, name, torch.tensor(array, dtype=dtype), name in plan.named.trained)
        self._layers = tuple(plan.populations)
        self._populations = nn.ModuleList(
            ModuleNeurons(op, plan.offsets.get(name), settings.dt, dtype)
            for name, op in plan.populations.items()
        )
        self._arrays = NamedArrays(plan, dtype)
        self._normalised = weighted_before(plan.graph)
        self._synapses = {name: along_time(s, settings.dt) for name, s in plan.synapses.items()}

    def forward(self, *x: Any, **named: Any) -> Any:
        """The readout of a run."""
        sent, found = self.through(*x, **named).outputs, {}
        for name, raw in sent.items():
            values: Any = read_out(raw, self.settings.readout, self.settings.dt)
            activation = self.plan.outputs[name].activation
            found[name] = values if activation is None else equation(activation, {}, values)
        return found if len(found) > 1 else next(iter(found.values()))

    def through(self, *x: Any, record: Sequence[str] = (), **named: Any) -> ModuleOutputs:
        """Outputs at every step, and spikes of the layers in `record`.

        Raises `SimulationError` for inputs of other names or shapes.
        """
        unknown = [name for name in record if name not in self._layers]
        if unknown:
            raise SimulationError(f"record: {unknown} are none of the layers {self._layers}")
        inputs = self._inputs(x, named)
        return _ModuleRun(self, inputs, tuple(record)).sent()

    def _inputs(self, x: tuple[Any, ...], named: Mapping[str, Any]) -> Values:
        """Inputs by name, `(batch, steps or 1, *shape)`, in the module's own type."""
        names = self.plan.graph.inputs
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
        shape, steps = self.plan.graph.shapes[name], self.settings.steps
        like = self._arrays_like()
        x = x.to(like)
        x = fitted(name, over_time, x, shape, steps)
        if not bool(torch.isfinite(x).all()):
            raise SimulationError(f"input {name!r} holds values that are NaN or infinite")
        rows = self.plan.graph.structure.rows.get(name)
        if rows is not None:
            fitted(name, check_rows, x.detach().cpu().numpy(), rows)
        return x

    def _arrays_like(self) -> Tensor:
        return next(iter((*self.parameters(), *self.buffers())))

    def _functions(self, like: Tensor) -> Differentiable:
        settings = self.settings
        return Differentiable(
            Tensors(like.device, like.dtype), settings.surrogate, settings.detached
        )


class _ModuleRun:
    """One run of a module, step by step."""

    def __init__(self, module: ThroughTime, inputs: Values, record: tuple[str, ...]) -> None:
        plan = self.plan = module.plan
        self.settings, self.record = module.settings, record
        batch = max(map(len, inputs.values()))
        inputs = {name: x.expand(batch, *x.shape[1:]) for name, x in inputs.items()}
        self.series = {name: x for name, x in inputs.items() if x.shape[1] > 1}
        named = dict([*module.named_parameters(), *module.named_buffers()])
        weights = taken_in(plan.graph, module._normalised, module._arrays(named))
        xp = module._functions(module._arrays_like())
        functions = [n.name for n in plan.graph if not plan.accumulate or n.name in plan.fed]
        self.stepping = SteppedNetwork(
            plan.graph,
            {node.name: weights.get(node.name, {}) for node in plan.graph},
            {node.name: equation for node in plan.graph},
            {n: partial(p, xp) for n, p in zip(module._layers, module._populations, strict=True)},
            skipped=module._normalised,
            following=plan.following,
            synapses=module._synapses,
            present=functions,
        )
        held = {name: x[:, 0] for name, x in inputs.items() if name not in self.series}
        self.held = {n: as_held(x, 1) for n, x in self.stepping.held(held, batch).items()}

    def sent(self) -> ModuleOutputs:
        """All steps."""
        steps, every = self.settings.steps, self.settings.checkpoint
        if every is None or not torch.is_grad_enabled():
            _, made = self._steps({}, 0, steps)
        elif every == 0:
            _, made = self._halves({}, 0, steps)
        else:
            states, made = States(), []
            for start in range(0, steps, every):
                stop = min(start + every, steps)
                states, some = self._again(self._steps, states, start, stop)
                made += some
        whole = [torch.cat(parts).movedim(0, 1) for parts in zip(*made, strict=True)]
        outputs = dict(zip(self.plan.read, whole, strict=False))
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
        made, read = [], self.plan.read.values()
        for t in range(start, stop):
            now = {n: x[:, t : t + 1].movedim(1, 0) for n, x in self.series.items()}
            found = self.stepping.block({**self.held, **now}, states, t, keep=read)
            states = found.states
            made.append([*(found.values[n] for n in read), *(found.counts[n] for n in self.record)])
        return states, made


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
