"""The choices that NIR leaves to its readers, as each reader makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikewright.exchange.nir.waits import SPIKING


@dataclass(frozen=True)
class Semantics:
    """The choices of a reader where NIR says nothing, or says it and readers differ.

    `reset` is what a spike leaves of the voltage: what is above the threshold, or zero, of all
    neurons or of leaky ones. A neuron that is `strict` fires above the threshold only, and `most`
    is the number of spikes that it may send in a step. The voltage stays above `floor` thresholds
    below zero. Spikes come `late` steps after the current, and an IF loses the share `leak` of its
    voltage in each step. With `again` a neuron that a spike left above the threshold fires again a
    threshold higher only. `stated` says whether the file's metadata are read: initial voltages,
    floors and limits of spikes. The voltage of a leaky neuron keeps the share `k` of itself in a
    step: `1 - dt/tau` ("euler") or `exp(-dt/tau)` ("exact"). It gains `1 - k` of the current, or
    all of it where `unscaled`. The resistance `r` of what `resists` is read, and `w_in` with it;
    else both are 1, and an IF adds its input as it is, not `dt r` times. `dt` is the length of its
    leaky neurons' steps in the file's unit of time, None for the one that it is told. In the
    `order` "sources" a node computes behind all that it reads. In that of a "walk" each branch
    computes to the end before the next, so that the next one's values come a step late. `edges` are
    those that are read: all, all but those from nodes later in the order, or one a node; or all,
    but those into neurons with recurrent weights of their own lead to these weights.
    """

    reset: Literal["subtract", "zero", "zero if leaky"] = "subtract"
    strict: bool = False
    most: int | None = None
    floor: float | None = None
    late: int = 0
    leak: float = 0.0
    again: bool = False
    stated: bool = True
    lif: Literal["euler", "exact"] = "exact"
    unscaled: bool = False
    resists: tuple[str, ...] = ("IF", "LIF", "CubaLIF")
    dt: float | None = None
    order: Literal["sources", "walk"] = "sources"
    edges: Literal["all", "no late ones", "chain", "through loops"] = "all"

    def resets(self, kind: str) -> Literal["subtract", "zero"]:
        """The reset of neurons that are this primitive: to zero, or by subtraction."""
        hard = self.reset == "zero" or (self.reset == "zero if leaky" and kind != "IF")
        return "zero" if hard else "subtract"

    def left(self, tau: NDArray | float, dt: float = 1.0) -> NDArray:
        """The share of a decaying value that is left after a step of `dt`."""
        rate = (dt if self.dt is None else self.dt) / np.asarray(tau, np.float64)
        return np.exp(-rate) if self.lif == "exact" else 1.0 - rate

    def leaving(self, left: NDArray) -> NDArray:
        """The time constant, in steps, by which a step leaves that share."""
        return -1.0 / np.log(left) if self.lif == "exact" else 1.0 / (1.0 - left)

    def gain(self, kind: str, factor: NDArray | float, left: NDArray) -> NDArray:
        """The gain of a decaying value in a step from an input of 1; `factor` is `r` or `w_in`."""
        read = kind in self.resists or kind not in SPIKING
        share = np.ones_like(left) if self.unscaled else 1.0 - left
        return np.asarray(share * factor if read else share)

    def in_time_of(self, other: Semantics) -> Semantics:
        """These semantics with the decay and the currents of another's."""
        return replace(self, lif=other.lif, unscaled=other.unscaled, resists=other.resists)

    def differences(self, other: Semantics) -> tuple[str, ...]:
        """The names of the choices in which two readers differ."""
        names = (field.name for field in fields(self))
        return tuple(n for n in names if getattr(self, n) != getattr(other, n))

    def taking(self, name: str, other: Semantics) -> Semantics:
        """These semantics with one choice of another's."""
        return replace(self, **{name: getattr(other, name)})

    def said(self, name: str) -> str:
        """One of the choices in words."""
        return _WORDS[name](getattr(self, name))


OURS = Semantics()
"""The semantics of `spikewright.nir.load` with `reset="subtract"`."""

RESETS = {"subtract": OURS, "zero": Semantics(reset="zero", strict=True, most=1)}
"""Those of `spikewright.nir.load` by its argument `reset`."""


def _resisting(read: Sequence[str]) -> str:
    """The resistances that are not read, in words."""
    left = [kind for kind in _RESIST if kind not in read]
    if len(left) > 1:
        left = [", ".join(left[:-1]), left[-1]]
    return f"the r of {' and '.join(left)} is not read" if left else "every r is read"


_RESIST = ("IF", "LIF", "CubaLIF")
_DECAYS = {"euler": "Euler's rule", "exact": "exact decay"}
_WORDS: dict[str, Callable[[Any], str]] = {
    "reset": lambda v: {
        "subtract": "reset by subtraction",
        "zero": "hard reset",
        "zero if leaky": "hard reset of leaky neurons",
    }[v],
    "strict": lambda v: "fires above the threshold only" if v else "fires at the threshold",
    "most": lambda v: "many spikes a step" if v is None else f"at most {v} spike a step",
    "floor": lambda v: "no floor" if v is None else f"the voltage stays above {-v:g}",
    "late": lambda v: f"spikes {v} step late a layer" if v else "spikes in the same step",
    "leak": lambda v: f"IF leaks, {1 - v:g} a step is left" if v else "IF without leak",
    "again": lambda v: "fires again at twice the threshold only" if v else "fires again as usual",
    "stated": lambda v: "metadata are read" if v else "metadata are not read: starts at zero",
    "lif": lambda v: f"leaky neurons with {_DECAYS[v]}",
    "unscaled": lambda v: f"current of leaky neurons {'not ' * v}divided by tau",
    "resists": _resisting,
    "dt": lambda v: (
        "steps as they are asked for" if v is None else f"a step of leaky neurons is {v:g} always"
    ),
    "order": lambda v: {
        "sources": "nodes compute behind their sources",
        "walk": "branches compute one after the other, so that one joins others too late",
    }[v],
    "edges": lambda v: {
        "all": "all edges are read",
        "no late ones": "edges from nodes that compute later are dropped",
        "chain": "edges beside a chain are dropped",
        "through loops": "what leads to recurrent neurons goes through their recurrent weights",
    }[v],
}
