"""Published random networks: parameters from the papers that the docstrings name."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.neurons.description import Model, Wiring, peak


def brunel(n: int, dt: float = 0.001, seed: int = 1) -> Model:
    """Four fifths excite, one fifth inhibits five times as much (Brunel 2000, J. Comput. Neurosci.
    8, 183-208), with synaptic currents of 2 ms in place of pulses.

    Every neuron has a tenth of both as its senders. The integral of a synaptic current, in
    thresholds and seconds, is 0.8 over the number of exciting senders. Drives are drawn around 1.3,
    so that nothing random comes from outside; delays are 1 ms.
    """
    rng = np.random.default_rng(seed)
    exciting = 4 * n // 5
    senders, weights = [], []
    tau_s, strength = 0.002, 0.8 / (exciting // 10)
    for first, size, sign in ((0, exciting, 1.0), (exciting, n - exciting, -5.0)):
        senders.append(rng.integers(first, first + size, (n, size // 10)).ravel())
        weights.append(np.full(senders[-1].size, sign * strength / tau_s))
    targets = [np.repeat(np.arange(n), s.size // n) for s in senders]
    delay = round(0.001 / dt)
    wiring = Wiring.of(n, *map(np.concatenate, (senders, targets, weights)), delay)  # type: ignore[arg-type]
    return Model(
        name=f"Brunel, {n}",
        dt=dt,
        tau_m=0.02,
        tau_ref=0.002,
        tau_exc=tau_s,
        tau_inh=tau_s,
        sizes={"E": exciting, "I": n - exciting},
        drive=rng.normal(1.3, 0.2, n),
        start=rng.uniform(0, 1, n),
        wiring=wiring,
        background=np.zeros(n),
        background_weight=0.0,
    )


def cuba(n: int = 4000, seed: int = 2) -> Model:
    """The network with synaptic currents of Vogels & Abbott (2005, J. Neurosci. 25, 10786-10795).

    Parameters are those of benchmark 2 of Brette et al. (2007, J. Comput. Neurosci. 23, 349-398):
    leak to -49 mV, threshold -50 mV, reset -60 mV; 2 % of all pairs are connected, with 1.62 mV and
    -9 mV. Steps of 0.1 ms, which are the delays too.
    """
    rng = np.random.default_rng(seed)
    reset, threshold, leak = -60.0, -50.0, -49.0  # mV
    height = threshold - reset
    exciting = 4 * n // 5
    pairs = rng.choice(n * n, rng.binomial(n * n, 0.02), replace=False)
    senders, targets = np.divmod(pairs, n)
    weights = np.where(senders < exciting, 1.62, -9.0) / height
    return Model(
        name=f"CUBA, {n}",
        dt=0.0001,
        tau_m=0.02,
        tau_ref=0.005,
        tau_exc=0.005,
        tau_inh=0.01,
        sizes={"E": exciting, "I": n - exciting},
        drive=np.full(n, (leak - reset) / height),
        start=rng.uniform(0, 1, n),
        wiring=Wiring.of(n, senders, targets, weights, 1),
        background=np.zeros(n),
        background_weight=0.0,
    )


LAYERS = ("L2/3E", "L2/3I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
SIZES = np.array([20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948])
PROBABILITIES = np.array(
    [
        [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0000, 0.0076, 0.0000],
        [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0000, 0.0042, 0.0000],
        [0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0000],
        [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0000, 0.1057, 0.0000],
        [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0000],
        [0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0000],
        [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
        [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],
    ]
)
"""Of a connection at least, receivers by row, senders by column."""
EXTERNAL = np.array([1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100])
EXTERNAL_RATE = 8.0  # Hz
RATES = np.array([0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829])
"""Hz, of the network in full size, as its authors publish them with their own description of it."""
STARTS = np.array(
    [
        [-68.28, -63.16, -63.33, -63.45, -63.11, -61.66, -66.72, -61.43],
        [5.36, 4.57, 4.74, 4.94, 4.94, 4.55, 5.46, 4.48],
    ]
)
"""Means and deviations of the first voltages, in mV, so that the start is no large event."""
_REST, _THRESHOLD = -65.0, -50.0  # mV
_HEIGHT = _THRESHOLD - _REST
_POTENTIAL = 0.15 / _HEIGHT  # the peak that a spike makes
_TAU_M, _TAU_S, _DT = 0.01, 0.0005, 0.0001
_DELAYS = ((0.0015, 0.00075), (0.00075, 0.000375))  # of those that excite and inhibit


def synapse_numbers() -> NDArray:
    """Of the network in full size: `(receivers, senders)`, from the probabilities (eq. 1)."""
    pairs = np.outer(SIZES, SIZES).astype(np.float64)
    return np.log1p(-PROBABILITIES) / np.log1p(-1.0 / pairs)


def mean_weights() -> NDArray:
    """Synaptic currents in thresholds, `(receivers, senders)`."""
    weights = np.tile([1.0, -4.0], (8, 4)) * _POTENTIAL / peak(_TAU_M, _TAU_S)
    weights[0, 2] *= 2.0  # from L4E to L2/3E
    return weights


def microcircuit(share: float = 0.2, seed: int = 3) -> Model:
    """The cortical microcircuit (Potjans & Diesmann 2014, Cerebral Cortex 24, 785-806).

    A `share` of the neurons and of each one's inputs; weights grow with the inverse root of it,
    and a constant current takes the place of the mean input that is left out, as by van Albada,
    Helias & Diesmann (2015, PLoS Comput. Biol. 11, e1004490). Weights are normal with a deviation
    of a tenth, delays normal, in steps of 0.1 ms. Input from outside is Poisson.
    """
    rng = np.random.default_rng(seed)
    sizes = np.round(SIZES * share).astype(int)
    n, starts = int(sizes.sum()), np.concatenate([[0], np.cumsum(sizes)])
    grown = mean_weights() / math.sqrt(share)
    numbers = np.round(synapse_numbers() * share * share).astype(int)
    parts: list[tuple[NDArray, ...]] = []
    for receiver, sender in np.ndindex(8, 8):
        count = numbers[receiver, sender]
        mean = grown[receiver, sender]
        weights = rng.normal(mean, 0.1 * abs(mean), count)
        parts.append(
            (
                rng.integers(starts[sender], starts[sender + 1], count),
                rng.integers(starts[receiver], starts[receiver + 1], count),
                np.where(weights * mean > 0, weights, 0.0),
                _delays(rng, _DELAYS[sender % 2], count),
            )
        )
    senders, targets, weights, delays = map(np.concatenate, zip(*parts, strict=True))
    drive, background = _input(share)
    first = rng.normal(np.repeat(STARTS[0], sizes), np.repeat(STARTS[1], sizes))
    return Model(
        name=f"microcircuit, {n}",
        dt=_DT,
        tau_m=_TAU_M,
        tau_ref=0.002,
        tau_exc=_TAU_S,
        tau_inh=_TAU_S,
        sizes=dict(zip(LAYERS, sizes.tolist(), strict=True)),
        drive=np.repeat(drive, sizes),
        start=(first - _REST) / _HEIGHT,
        wiring=Wiring.of(n, senders, targets, weights, delays),
        background=np.repeat(background, sizes),
        background_weight=float(grown[0, 0]),
    )


def _delays(rng: np.random.Generator, law: tuple[float, float], count: int) -> NDArray:
    """Whole steps, from 1."""
    return np.clip(np.round(rng.normal(*law, count) / _DT), 1, 255)


def _input(share: float) -> tuple[NDArray, NDArray]:
    """Constant input in thresholds and spikes a second from outside, of each population."""
    degrees = synapse_numbers() / SIZES[:, None]
    inside = (mean_weights() * degrees) @ RATES * _TAU_S
    outside = mean_weights()[0, 0] * EXTERNAL * EXTERNAL_RATE * _TAU_S
    missing = 1.0 - math.sqrt(share)
    return missing * (inside + outside), share * EXTERNAL * EXTERNAL_RATE


MODELS: dict[str, Callable[[], Model]] = {
    "brunel": lambda: brunel(10_000),
    "brunel-fine": lambda: brunel(10_000, 0.0001),
    "cuba": cuba,
    "microcircuit": microcircuit,
}
"""By the names of the command line."""
