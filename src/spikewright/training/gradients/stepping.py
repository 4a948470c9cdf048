"""A network over its steps: one layer after the other, through all steps of a block.

Linear layers act at every step. Functions of nodes send `t f(m_t) - (t-1) f(m_(t-1))` of the
running mean `m_t` of their inputs. Neurons follow the equations of their types. A graph has no
loops, so one layer is run through all steps of a block before the next one. Values of steps are
`(steps, batch, *shape)`. Every part is told its state and gives a new one, so that blocks can be
done again for gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from spikewright.engines.torch.device import Tensor
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Input
from spikewright.training.gradients.layers import Equation, equation, numbers_alone

Values = dict[str, Tensor]
State = dict[str, Tensor]
States = dict[tuple[str, str], State]


class Passed(NamedTuple):
    """The values that neurons pass on in some steps, their state behind these, and their counts."""

    values: Tensor
    state: State
    counts: Any


Filtered = tuple[Tensor, State]
NeuronsOverSteps = Callable[[Tensor, State, int], Passed]
FilterOverSteps = Callable[[Tensor, State, int], Filtered]
"""Parts over steps: told the values that arrive, the state, and the number of steps before."""


class SteppedBlock(NamedTuple):
    """What became of some steps: values of nodes, counts of neurons, and the states behind them."""

    values: Values
    counts: dict[str, Any]
    states: States


@dataclass(frozen=True, eq=False)
class SteppedNetwork:
    """A network over blocks of steps, with its weights of now.

    Layers have `equations` over their `weights`; those in `skipped` are part of the weights before
    them. `neurons` are those of layers: the ones in `following` pass on the value of a function.
    Functions in `present` act on values of the present step, as linear layers do. Of the input
    `shares` arrive in each step.
    """

    graph: Graph
    weights: Mapping[str, Mapping[str, Tensor]]
    equations: Mapping[str, Equation]
    neurons: Mapping[str, NeuronsOverSteps]
    skipped: Collection[str] = ()
    following: Collection[str] = ()
    synapses: Mapping[str, FilterOverSteps] = field(default_factory=dict)
    present: Collection[str] = ()
    shares: Tensor | None = None

    def block(
        self,
        inputs: Values,
        before: States,
        first: int,
        keep: Collection[str] = (),
    ) -> SteppedBlock:
        """The steps behind the `first` ones, of inputs there; values of nodes in `keep` are kept.

        What is known of other nodes may stand among the inputs. A value is dropped behind the last
        layer that reads it.
        """
        values, kept, after = dict(inputs), Values(), States()
        counts: dict[str, Any] = {}
        last = {name: node.name for node in self.graph for name in node.inputs}
        like = max(inputs.values(), key=lambda x: x.shape[1])  # of one sample for all, or a batch
        for node in self.graph:
            name, neurons = node.name, self.neurons.get(node.name)
            alone = neurons is not None and name not in self.following
            if name not in inputs and not alone:
                read, at = [values[n] for n in node.inputs], ("function", name)
                values[name], after[at] = self._layer(node, read, before.get(at, {}), first, like)
            if neurons is not None:
                current, at = values[node.inputs[0] if alone else name], ("neurons", name)
                values[name], after[at], counts[name] = neurons(current, before.get(at, {}), first)
            if name in self.synapses:
                arriving, at = values[name], ("synapse", name)
                values[name], after[at] = self.synapses[name](arriving, before.get(at, {}), first)
            if name in keep:
                kept[name] = values[name]
            for read_there in node.inputs:
                if last[read_there] == name:
                    values.pop(read_there, None)
        return SteppedBlock(kept, counts, after)

    def held(self, inputs: Values, batch: int) -> Values:
        """Values of layers that are the same at every step, of inputs `(batch, *shape)` that are.

        These are layers and functions that keep no state, with no neurons before them.
        """
        found = dict(inputs)
        for node in self.graph:
            stateless = node.layer.linear or node.name in self.present
            read = [found[name] for name in node.inputs if name in found]
            known = isinstance(node.layer, Input) or node.name in self.neurons
            if stateless and not known and len(read) == len(node.inputs):
                value = (
                    read[0]
                    if node.name in self.skipped
                    else self.equations[node.name](node.layer, self.weights[node.name], *read)
                )
                found[node.name] = value if read else value.expand(batch, *value.shape[1:])
        return found

    def over_time(self, held: Tensor, steps: int) -> Tensor:
        """A held value `(batch, *shape)` as it arrives in the first steps."""
        every = as_held(held, steps)
        return every if self.shares is None else every * _like(self.shares.to(held), every)

    def _layer(
        self, node: GraphNode, read: list[Tensor], state: State, first: int, like: Tensor
    ) -> Filtered:
        """The values that a layer passes on, from those that it reads, and its state."""
        if node.name in self.skipped:
            return read[0], {}
        act, weights = self.equations[node.name], self.weights[node.name]
        steps, batch = like.shape[:2]
        if not read:
            value = equation(node.layer, weights)
            return self.over_time(value.expand(batch, *value.shape[1:]), steps), {}
        if all(x.stride(0) == 0 for x in read):  # the same at every step
            return as_held(act(node.layer, weights, *(x[0] for x in read)), steps), {}
        if not (node.layer.linear or node.name in self.present):
            return _of_means(node, weights, read, state, first)
        made = _at_every_step(node, act, weights, read)
        if self.shares is None or not node.layer.linear:
            return made, {}
        constant = equation(node.layer, weights, *(torch.zeros_like(x[0, :1]) for x in read))
        moved = _like((self.shares - 1.0).to(made), made)
        return made + moved * constant if constant.any() else made, {}


def as_held(value: Tensor, steps: int) -> Tensor:
    """A value for each step without a copy: it has no stride along them, be it a single one."""
    return value.expand(steps + 1, *value.shape)[:steps]


def stepwise(
    step: Callable[[Tensor, State, int], Filtered], values: Tensor, state: State, first: int
) -> Filtered:
    """Values of a part that is told one step at a time, by its number from 1, and its state."""
    sent = []
    for number, value in enumerate(values, first + 1):
        one, state = step(value, state, number)
        sent.append(one)
    return torch.stack(sent), state


def _of_means(
    node: GraphNode, weights: Mapping[str, Tensor], read: list[Tensor], state: State, first: int
) -> Filtered:
    """A function of running means: it sends `t f(m_t)` less all that it has sent.

    Where that is not finite it sends nothing.
    """
    numbers = torch.arange(
        first + 1.0, first + len(read[0]) + 1.0, dtype=read[0].dtype, device=read[0].device
    )
    totals = [x.cumsum(0) for x in read]
    if state:
        totals = [total + state[str(i)] for i, total in enumerate(totals)]
    means = [numbers_alone(total / _like(numbers, total)) for total in totals]
    reached = _at_every_step(node, equation, weights, means)
    reached = reached * _like(numbers, reached)
    sent = state["sent"] if state else torch.zeros_like(reached[0])
    if node.layer.partial:
        reached = _last_numbers(reached, sent)
    made = torch.diff(reached, dim=0, prepend=sent[None])
    return made, {"sent": reached[-1], **{str(i): total[-1] for i, total in enumerate(totals)}}


def _last_numbers(values: Tensor, before: Tensor) -> Tensor:
    """Values of steps, in which those of the step before replace what is infinite or NaN."""
    finite = torch.isfinite(values)
    if bool(finite.all()):
        return values
    found = []
    for now, known in zip(values, finite, strict=True):
        before = torch.where(known, now, before)
        found.append(before)
    return torch.stack(found)


def _at_every_step(
    node: GraphNode, act: Equation, weights: Mapping[str, Tensor], read: list[Tensor]
) -> Tensor:
    if len(read[0]) == 1:
        return act(node.layer, weights, *(x.squeeze(0) for x in read))[None]
    value = act(node.layer, weights, *(x.flatten(0, 1) for x in read))
    return value.unflatten(0, (len(read[0]), -1))


def _like(numbers: Tensor, values: Tensor) -> Tensor:
    return numbers.reshape(-1, *(1,) * (values.ndim - 1))
