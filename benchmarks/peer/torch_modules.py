"""What all contestants on PyTorch share: weights in modules, steps in a loop, spikes counted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.network import (
    Conv,
    Dense,
    Flatten,
    Pool,
    Weighted,
    Workload,
    set_weights,
    torch_module,
)
from benchmarks.peer.base import Contestant, Layout, Outcome, Runner, Spikes

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
LAYOUTS: tuple[Layout, ...] = ("contiguous", "channels_last")


@dataclass(frozen=True)
class Makers:
    """How a library makes each kind of layer; the arguments are those of PyTorch's modules."""

    conv: Callable[..., nn.Module] = nn.Conv2d
    dense: Callable[..., nn.Module] = nn.Linear
    pool: Callable[..., nn.Module] = nn.AvgPool2d
    flatten: Callable[..., nn.Module] = nn.Flatten


TORCH = Makers()


def modules(
    work: Workload, neuron: Callable[[], nn.Module], makers: Makers = TORCH
) -> list[nn.Module]:
    """The network's modules in order, a `neuron()` after every weighted layer but the last."""
    result = []
    for layer in work.layers:
        match layer:
            case Conv(weight, _, stride, padding):
                out, channels, *window = weight.shape
                made = makers.conv(channels, out, tuple(window), stride=stride, padding=padding)
            case Dense(weight):
                made = makers.dense(weight.shape[1], weight.shape[0])
            case Pool(size):
                made = makers.pool(size)
            case Flatten():
                made = makers.flatten()
        result.append(made)
        if isinstance(layer, Weighted):
            set_weights(made, layer)
            if layer is not work.last:
                result.append(neuron())
    return result


def formatted(net: nn.Module, work: Workload, layout: Layout) -> tuple[Any, torch.Tensor]:
    """The network in evaluation mode and its inputs, both in one memory format.

    Inputs are `(steps or 1, batch, *shape)`.
    """
    x = torch.from_numpy(work.values)
    if work.convolutional:
        net = net.to(memory_format=FORMATS[layout])
        every = x.flatten(0, 1).contiguous(memory_format=FORMATS[layout])
        x = every.unflatten(0, x.shape[:2])
    return net.eval(), x


class TorchRunner(Runner):
    """Runs under `torch.inference_mode`; spikes are counted by hooks on the neurons.

    `neurons` are the modules that spike. Hooks stand before anything is compiled, so that the
    compiled code counts too; a runner that has counted is not timed. Where the first layer is
    computed `once` in a run, since its input is constant, `first` is that layer, and the network
    begins with its neurons.
    """

    neurons: Sequence[nn.Module]
    steps: int
    x: torch.Tensor
    first: nn.Module | None = None

    def made(
        self, layers: list[nn.Module], work: Workload, layout: Layout, once: bool
    ) -> list[nn.Module]:
        """The modules of a step; sets `x` and `first`."""
        first = torch_module(work.layers[0])
        first, self.x = formatted(first, work, layout)
        if not once:
            return layers
        self.first = first
        return layers[1:]

    @property
    def inputs(self) -> torch.Tensor:
        """Inputs of the network by step, `(steps, batch, *shape)`; a held input has one step."""
        x = self.x
        if self.first is not None:
            (held,) = x
            x = self.first(held)[None]
        return x.expand(self.steps, *x.shape[1:])

    @abstractmethod
    def simulate(self) -> torch.Tensor:
        """Outputs `(batch, 10)` summed over all steps, from a fresh state."""

    def spikes(self, output: Any) -> torch.Tensor:
        """The spikes in what a neuron's module returns."""
        return output

    def run(self) -> object:
        with torch.inference_mode():
            return self.simulate()

    def outcome(self) -> Outcome:
        totals = [torch.zeros((), dtype=torch.float64) for _ in self.neurons]

        def counter(index: int) -> Callable[..., None]:
            def count(module: nn.Module, inputs: Any, output: Any) -> None:
                totals[index] = totals[index] + self.spikes(output).sum(dtype=torch.float64)

            return count

        handles = [n.register_forward_hook(counter(i)) for i, n in enumerate(self.neurons)]
        with torch.inference_mode():
            outputs = self.simulate()
        for handle in handles:
            handle.remove()
        return Outcome(outputs.numpy().astype(np.float64), tuple(float(total) for total in totals))


def compiled(net: Any) -> Any:
    """The network as one graph: what cannot be compiled whole is an error, not a fallback."""
    torch.compiler.reset()  # shapes and hooks of an earlier network would be looked up otherwise
    return torch.compile(net, fullgraph=True, dynamic=False)


def contestants(
    ways: Sequence[tuple[str, Callable[..., Runner], bool]], spikes: Spikes = "one"
) -> list[Contestant]:
    """Each way as it is, and with its first layer computed once; each says if it is compiled."""
    return [
        Contestant(
            f"{name}{', first layer once' * once}",
            "peer",
            spikes,
            partial(build, once=once),
            is_compiled,
            LAYOUTS,
        )
        for name, build, is_compiled in ways
        for once in (False, True)
    ]
