"""The same network step by step, without gradient: what its neurons send in truth.

Linear layers act at every step. Functions of nodes send `t f(m_t) - (t-1) f(m_(t-1))` of the
running mean `m_t` of their inputs. Neurons follow the equations of their types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from spikewright.engines.torch.device import Tensor, Tensors
from spikewright.engines.torch.neurons import Namespace
from spikewright.graph import Node
from spikewright.graph.layers import Input
from spikewright.network.neurons import Clock
from spikewright.training.gradients.layers import equation
from spikewright.training.gradients.rounded import RoundedNetwork, Rounding


@dataclass(eq=False)
class Sent:
    """Spikes by site after all steps: less those taken back, and all that were sent."""

    net: dict[str, Tensor] = field(default_factory=dict)
    all: dict[str, Tensor] = field(default_factory=dict)


class _Neurons:
    """One population along time."""

    def __init__(self, rounding: Rounding, like: Tensor) -> None:
        self._kind = rounding.site.kind
        self._xp: Any = Namespace(Tensors(like.device, like.dtype))
        self._threshold = rounding.threshold
        self._state = {
            name: torch.full_like(like, float(value))
            for name, value in self._kind.initial_state().items()
        }
        self._state["voltage"] = (rounding.start * self._threshold).expand_as(like).clone()

    def step(self, current: Tensor, step: int) -> Tensor:
        clock = Clock(step, 1.0, self._threshold, _no_draws)
        counts: Tensor = self._kind.step(self._xp, current, self._state, clock)
        return counts


def _no_draws(index: int) -> Any:
    raise AssertionError("stochastic neurons are refused before")


class _Function:
    """A function of running means along time."""

    def __init__(self) -> None:
        self._sums: list[Tensor] = []
        self._sent: Any = 0.0

    def step(self, node: Node, arrays: Mapping[str, Tensor], read: list[Tensor], t: int) -> Tensor:
        before = self._sums or [torch.zeros_like(x) for x in read]
        self._sums = [total + x for total, x in zip(before, read, strict=True)]
        reached = t * equation(node.layer, arrays, *(total / t for total in self._sums))
        made, self._sent = reached - self._sent, reached
        return made


@torch.no_grad()
def sent(network: RoundedNetwork, inputs: Mapping[str, Tensor]) -> Sent:
    """All that the network's neurons send in its steps, on inputs that are held constant."""
    roundings, found = network.roundings, Sent()
    neurons: dict[str, _Neurons] = {}
    functions: dict[str, _Function] = {}
    batch = len(next(iter(inputs.values())))
    for t in range(1, network.steps + 1):
        values = dict(inputs)
        for node in network.graph:
            name, arrays = node.name, network.arrays.of(node.name)
            read = [values[n] for n in node.inputs]
            rounding = roundings.get(name)
            alone = rounding is not None and not rounding.site.follows
            if not isinstance(node.layer, Input) and not alone:
                if node.layer.linear:
                    value = equation(node.layer, arrays, *read)
                    value = value.expand(batch, *value.shape[1:])
                else:
                    value = functions.setdefault(name, _Function()).step(node, arrays, read, t)
                values[name] = value
            if rounding is not None:
                current = read[0] if alone else values[name]
                if name not in neurons:
                    neurons[name] = _Neurons(rounding, current)
                counts = neurons[name].step(current, t)
                values[name] = counts * rounding.threshold
                _add(found.net, name, counts)
                _add(found.all, name, counts.abs())
    return found


def _add(totals: dict[str, Tensor], name: str, counts: Tensor) -> None:
    totals[name] = totals[name] + counts if name in totals else counts.clone()
