"""Rules of chips by the number of a profile that they are about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from spikewright._base.registries import Registry
from spikewright.chips.case import ChipMapping, ConvolutionPath, Placed
from spikewright.chips.chip import FigureSource
from spikewright.chips.layers import ChipLayer


class Breach(NamedTuple):
    """A rule is broken: by which layer (none: the whole network), how, and what would help."""

    layer: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class Broken:
    """A broken rule of a chip.

    `rule` is the number of the profile, such as "limits.channels", and `source` where it is from.
    """

    rule: str
    layer: str
    reason: str
    remedy: str
    source: FigureSource

    def __str__(self) -> str:
        where = f"layer {self.layer!r}: " if self.layer else ""
        return f"{where}{self.reason}. {self.remedy}."


Placements = Mapping[str, Placed]
Check = Callable[[ChipMapping, Placements, Any], Iterator[Breach]]
RULES: Registry[Check] = Registry("rule")
"""Every rule, by the number of a profile that it is about (read only)."""


rule = RULES.named
"""Decorator: a function that finds where a network breaks the rule of a number."""


def broken_rules(case: ChipMapping, placed: Placements) -> list[Broken]:
    """All rules of the chip that a network breaks, once it is laid out."""
    figures = case.chip.figures
    return [
        Broken(number, *breach, figures[number].source)
        for number, check in RULES.items()
        if number in figures
        for breach in check(case, placed, figures[number].value)
    ]


def fewer(found: int, most: int, what: str) -> str:
    """`2 channels fewer`."""
    return f"{found - most:,} {what if found - most != 1 else what.rstrip('s')} fewer"


def formless(case: ChipMapping) -> Iterator[Breach]:
    """Layers that read a function or a process, or are no convolution on cores of convolutions."""
    for layer in case.layers:
        yield from _processes(case, layer)
        for path in layer.paths:
            if path.origin in case.network.functions:
                reason = f"it reads {path.origin!r}, a function of values that no spikes carry"
                remedy = "a layer with a form in spikes, or the function on the host"
                yield Breach(layer.name, reason, remedy)
    if case.chip.placement == "one layer a core":
        for layer in case.layers:
            yield from _no_convolution(case, layer)


def _processes(case: ChipMapping, layer: ChipLayer) -> Iterator[Breach]:
    """Currents of a layer's own: biases of each step, where they are not memory, and noise."""
    if layer.noise is None:
        return
    if layer.step_biases is None:
        reason = f"its neurons get a current of their own, {layer.noise!r}, that no weights carry"
        yield Breach(layer.name, reason, "the network without noise")
    elif case.chip.limits.core_bytes is None:
        steps = len(layer.step_biases)
        reason = f"it has a bias for each of {steps:,} steps, and the chip's biases stay"
        yield Breach(layer.name, reason, "one bias for all steps: sw.BiasCorrection(steps)")


def _no_convolution(case: ChipMapping, layer: ChipLayer) -> Iterator[Breach]:
    remedy = "one convolution, matrix or sum pool between two layers"
    for path in layer.paths:
        kernel = case.kernels[path]
        if isinstance(kernel, str):
            yield Breach(layer.name, f"what it reads is no convolution: {kernel}", remedy)
        elif set(kernel.dilation) != {1}:
            reason = f"its kernel is dilated by {max(kernel.dilation)}"
            yield Breach(layer.name, reason, "a kernel without dilation")
    kernels = case.convolutions(layer)
    if any(_differ(kernels[0], other) for other in kernels[1:]):
        reason = (
            f"it reads {len(kernels)} layers through different weights, and a core has one kernel"
        )
        yield Breach(layer.name, reason, "a sum before the weights in place of one behind them")


def _differ(one: ConvolutionPath, other: ConvolutionPath) -> bool:
    geometry = ("size", "stride", "padding", "whole")
    same = all(getattr(one, name) == getattr(other, name) for name in geometry)
    return not (same and one.held is other.held)
