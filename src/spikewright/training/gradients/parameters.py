"""The arrays of a graph as parameters, with normalisations as part of the weights before them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spikewright.engines.torch.device import Tensor
from spikewright.graph import Graph
from spikewright.graph.layers import Affine, BatchNormalization, Convolution
from spikewright.passes.folding import channel_axis
from spikewright.training.gradients.layers import normalisation
from spikewright.training.trainable import Group, memory_of, trained_arrays

Arrays = dict[str, dict[str, Tensor]]


class GraphParameters(nn.Module):
    """The arrays of a graph's layers as parameters; one that several layers share is one."""

    def __init__(
        self,
        graph: Graph,
        dtype: torch.dtype = torch.float32,
        fixed: Collection[tuple[str, str]] = (),
    ) -> None:
        """`fixed` names arrays, by node and field, that are not to be trained."""
        super().__init__()
        self._places: dict[str, dict[str, int]] = {}
        self._groups: dict[int, Group] = {}
        self._arrays = nn.ParameterList()
        known: dict[object, int] = {}
        groups = trained_arrays(graph)
        for node in graph:
            places = self._places[node.name] = {}
            for field, array in node.layer.arrays().items():
                if (memory := memory_of(array)) not in known:
                    known[memory] = len(self._arrays)
                    tensor = torch.tensor(array, dtype=dtype)
                    self._arrays.append(nn.Parameter(tensor, requires_grad=False))
                places[field] = known[memory]
                if (node.name, field) in groups and (node.name, field) not in fixed:
                    self._groups[places[field]] = groups[node.name, field]
                    if field == "weight" and not np.all(array):
                        kept = torch.tensor(array != 0, dtype=dtype)
                        self.register_buffer(f"kept_{places[field]}", kept, persistent=False)

    @torch.no_grad()
    def keep_pruned(self) -> None:
        """Weights that were zero at first, as those of a pruned model, are zero again."""
        for name, kept in self.named_buffers():
            self._arrays[int(name.removeprefix("kept_"))].mul_(kept)

    def of(self, node: str) -> dict[str, nn.Parameter]:
        """A layer's arrays, by field."""
        return {field: self._arrays[place] for field, place in self._places[node].items()}

    def group(self, name: Group) -> list[nn.Parameter]:
        """All parameters of a group."""
        return [self._arrays[place] for place, group in self._groups.items() if group == name]

    def renewed(self, graph: Graph) -> Graph:
        """A graph with layers of these names, with the present values of what may be trained."""
        return graph.with_arrays(
            {
                (node.name, field): self._value(place, getattr(node.layer, field))
                for node in graph
                for field, place in self._places.get(node.name, {}).items()
                if place in self._groups
            }
        )

    def _value(self, place: int, before: NDArray) -> NDArray:
        """A parameter's value in the type of the array that it was; that array if it is equal."""
        now = self._arrays[place].detach().cpu().numpy().astype(before.dtype)
        return before if np.array_equal(now, before) else now


def weighted_before(graph: Graph) -> dict[str, str]:
    """The layer before each normalisation whose weights can take it in, by the normalisation.

    Nothing else sees that layer's value, and its channels are on the same axis.
    """
    found = {}
    for node in graph:
        if not isinstance(node.layer, BatchNormalization):
            continue
        (name,) = node.inputs
        layer, rank = graph[name].layer, len(graph.shapes[name])
        seen = len(graph.consumers[name]) > 1 or graph.is_output(name)
        if seen or not isinstance(layer, Affine | Convolution):
            continue
        if channel_axis(layer, rank) == node.layer.axis % rank:
            found[node.name] = name
    return found


def taken_in(graph: Graph, before: Mapping[str, str], arrays: Arrays) -> Arrays:
    """Arrays in which the weights in `before` have the scale and shift of what follows them."""
    found = dict(arrays)
    for name, producer in before.items():
        layer, weights = graph[name].layer, arrays[producer]
        assert isinstance(layer, BatchNormalization)
        scale, shift = normalisation(layer, arrays[name])
        weight, bias = weights["weight"], weights.get("bias")
        found[producer] = {
            "weight": weight * scale.reshape(-1, *(1,) * (weight.ndim - 1)),
            "bias": shift if bias is None else shift + scale * bias,
        }
    return found
