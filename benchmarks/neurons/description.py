"""A random network of leaky integrate-and-fire neurons as plain arrays, in a file that all read.

Nothing here needs more than NumPy, so that a simulator may live in another Python.

A neuron obeys `tau_m dv/dt = drive + I - v`, `v` and `I` in units of the threshold. Where `v` is
above 1 at the end of a step it fires and is reset to 0, where it stays for `tau_ref`. A spike that
arrives adds its weight to a current that decays with `tau_exc` if the weight is positive, with
`tau_inh` if it is negative; `I` is the sum of both. All of it is integrated exactly, on a grid of
`dt`. Times are in seconds, delays in steps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRID = 2.0**-20
"""Of weights, in thresholds: each simulator holds them as they are."""


@dataclass(frozen=True, eq=False)
class Wiring:
    """Synapses by sending neuron: those of neuron `i` are `firsts[i]` up to `firsts[i + 1]`.

    `targets`, `weights` (in thresholds) and `delays` (in steps, from 1) hold one value a synapse.
    """

    firsts: NDArray
    targets: NDArray
    weights: NDArray
    delays: NDArray

    @classmethod
    def of(cls, n: int, senders: NDArray, targets: NDArray, weights: Any, delays: Any) -> Wiring:
        """From lists in any order of the synapses of `n` neurons."""
        order = np.argsort(senders, kind="stable")
        counts = np.bincount(senders, minlength=n)

        def sorted_as(values: Any, kind: type) -> NDArray:
            return np.broadcast_to(values, senders.shape)[order].astype(kind)

        on_grid = np.round(np.asarray(weights, np.float64) / GRID) * GRID
        return cls(
            np.concatenate([[0], np.cumsum(counts)]),
            sorted_as(targets, np.int32),
            sorted_as(on_grid, np.float64),
            sorted_as(delays, np.uint8),
        )

    @property
    def senders(self) -> NDArray:
        """The sending neuron of each synapse."""
        return np.repeat(np.arange(len(self.firsts) - 1, dtype=np.int32), np.diff(self.firsts))

    def part(self, chosen: NDArray) -> Wiring:
        """The synapses for which `chosen` is true."""
        firsts = np.concatenate([[0], np.cumsum(chosen)])[self.firsts]
        return Wiring(firsts, self.targets[chosen], self.weights[chosen], self.delays[chosen])

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, eq=False)
class Model:
    """A network; arrays hold one value a neuron.

    `sizes` are those of the populations, in their order. `background` is the mean number of spikes
    a second that arrive from outside, Poisson, each of weight `background_weight`.
    """

    name: str
    dt: float
    tau_m: float
    tau_ref: float
    tau_exc: float
    tau_inh: float
    sizes: Mapping[str, int]
    drive: NDArray
    start: NDArray
    wiring: Wiring
    background: NDArray
    background_weight: float

    @property
    def n(self) -> int:
        """Number of neurons."""
        return len(self.drive)

    @property
    def populations(self) -> Iterator[tuple[str, slice]]:
        """Names and places of the populations."""
        ends = np.concatenate([[0], np.cumsum(list(self.sizes.values()))]).tolist()
        for name, (begin, end) in zip(self.sizes, pairwise(ends), strict=True):
            yield name, slice(begin, end)

    @property
    def noisy(self) -> bool:
        """True if random spikes arrive from outside."""
        return bool(self.background.any())

    def steps(self, seconds: float) -> int:
        """The number of steps of a time."""
        return round(seconds / self.dt)

    def save(self, path: Path) -> None:
        """Write a file of arrays and plain data."""
        arrays = {f"wiring.{f.name}": getattr(self.wiring, f.name) for f in fields(Wiring)}
        plain: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                arrays[field.name] = value
            elif field.name != "wiring":
                plain[field.name] = value
        np.savez(path, plain=np.array(json.dumps(plain)), **arrays)

    @classmethod
    def load(cls, path: Path) -> Model:
        """Read a model from a file that `save` wrote."""
        with np.load(path) as file:
            given = {name: file[name] for name in file.files}
        plain = json.loads(str(given.pop("plain")))
        wiring = Wiring(**{f.name: given.pop(f"wiring.{f.name}") for f in fields(Wiring)})
        return cls(wiring=wiring, **given, **plain)


def kick(tau_m: float, tau_s: float, dt: float) -> float:
    """Voltage gained in one step of `dt` from a synaptic current that is 1 at its start.

    The current decays with `tau_s`: `tau_s (exp(-dt/tau_m) - exp(-dt/tau_s)) / (tau_m - tau_s)`
    (Rotter & Diesmann 1999, Biological Cybernetics 81, 381-402).
    """
    difference = math.exp(-dt / tau_m) - math.exp(-dt / tau_s)
    return tau_s * difference / (tau_m - tau_s)


def peak(tau_m: float, tau_s: float) -> float:
    """The highest voltage that a synaptic current makes that begins at 1 and decays."""
    at = math.log(tau_m / tau_s) * tau_m * tau_s / (tau_m - tau_s)
    return kick(tau_m, tau_s, at)
