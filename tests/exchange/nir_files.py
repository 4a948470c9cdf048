"""Small NIR graphs with random weights, of every wiring that readers are compared on."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np

from spikewright.exchange.nir.saving import as_bytes


def integrators(*shape: int, **metadata: Any) -> nir.IF:
    """Integrators with threshold 1 and resistance 1."""
    ones = np.ones(shape, np.float32)
    return nir.IF(r=ones, v_threshold=ones, v_reset=0 * ones, metadata=metadata)


class Draw:
    """Weights of a seed, on a grid of 1/64 so that sums of them are exact."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def __call__(self, *shape: int, scale: float = 0.5) -> np.ndarray:
        return (np.rint(64 * scale * self.rng.normal(size=shape)) / 64).astype(np.float32)

    def affine(self, outputs: int, inputs: int, scale: float = 0.5) -> nir.Affine:
        return nir.Affine(self(outputs, inputs, scale=scale), self(outputs, scale=0.1))

    def convolution(self, side: int, outputs: int, inputs: int, size: int, pad: int) -> nir.Conv2d:
        kernel = self(outputs, inputs, size, size, scale=1.5 / size)
        return nir.Conv2d((side, side), kernel, 1, pad, 1, 1, self(outputs, scale=0.1))


def ends(shape: tuple[int, ...], outputs: tuple[int, ...]) -> dict[str, Any]:
    """The nodes at both ends."""
    return {
        "input": nir.Input({"input": np.array(shape)}),
        "output": nir.Output({"output": np.array(outputs)}),
    }


def chain(*names: str) -> list[tuple[str, str]]:
    """Edges from each name to the next."""
    return list(pairwise(names))


def dense() -> nir.NIRGraph:
    """Two layers of neurons, and a layer of sums."""
    draw = Draw(1)
    nodes = {
        **ends((6,), (3,)), "a": draw.affine(12, 6, 0.7), "n": integrators(12),
        "b": draw.affine(8, 12), "m": integrators(8), "c": draw.affine(3, 8),
    }  # fmt: skip
    return nir.NIRGraph(nodes, chain("input", "a", "n", "b", "m", "c", "output"))


def residual() -> nir.NIRGraph:
    """Convolutions, one layer of which reads two others."""
    draw = Draw(2)
    nodes = {
        **ends((1, 6, 6), (3, 1, 1)),
        "a": draw.convolution(6, 4, 1, 3, 1), "n": integrators(4, 6, 6),
        "b": draw.convolution(6, 4, 4, 3, 1), "m": integrators(4, 6, 6),
        "c": draw.convolution(6, 4, 4, 3, 1), "k": integrators(4, 6, 6),
        "d": draw.convolution(6, 3, 4, 6, 0),
    }  # fmt: skip
    edges = chain("input", "a", "n", "b", "m", "c", "k", "d", "output")
    return nir.NIRGraph(nodes, [*edges, ("n", "k")])


def branched() -> nir.NIRGraph:
    """Two branches, each with weights, from one layer into another."""
    draw = Draw(4)
    nodes = {
        **ends((6,), (3,)), "a": draw.affine(12, 6, 0.7), "n": integrators(12),
        "b": draw.affine(12, 12), "m": integrators(12), "c": draw.affine(10, 12),
        "d": draw.affine(10, 12), "k": integrators(10), "e": draw.affine(3, 10),
    }  # fmt: skip
    edges = chain("input", "a", "n", "b", "m", "c", "k", "e", "output")
    return nir.NIRGraph(nodes, [*edges, *chain("n", "d", "k")])


def _around(neurons: nir.NIRNode) -> nir.NIRGraph:
    """Ten neurons that read their own spikes."""
    draw = Draw(3)
    ones = np.ones(10, np.float32)
    nodes = {
        **ends((6,), (3,)), "a": draw.affine(10, 6, 2.0), "n": neurons,
        "around": nir.Affine(draw(10, 10, scale=1.0), 0 * ones), "c": draw.affine(3, 10),
    }  # fmt: skip
    edges = [*chain("input", "a", "n", "c", "output"), *chain("n", "around", "n")]
    return nir.NIRGraph(nodes, edges)


def recurrent(step: float = 1.0) -> nir.NIRGraph:
    """Leaky neurons that read their own spikes; their time constants are in steps of `step`."""
    ones = np.ones(10, np.float32)
    fields = {"r": ones, "v_leak": 0 * ones, "v_threshold": ones, "v_reset": 0 * ones}
    return _around(nir.LIF(tau=8 * step * ones, **fields))


def synaptic() -> nir.NIRGraph:
    """The same behind a synapse, with `w_in` and `r` as readers want them."""
    ones = np.ones(10, np.float32)
    fields = {"r": 8 * ones, "v_leak": 0 * ones, "v_threshold": 12 * ones, "v_reset": 0 * ones}
    return _around(nir.CubaLIF(tau_syn=3 * ones, tau_mem=8 * ones, w_in=3 * ones, **fields))


GRAPHS = {
    "dense": dense,
    "residual": residual,
    "branched": branched,
    "recurrent": recurrent,
    "synaptic": synaptic,
}


def written(name: str, folder: Path, step: float = 1.0, stated: float | None = -1.0) -> Path:
    """The file of a graph, as this project writes it, which states the length of its step.

    With `stated` it states another one, with None none.
    """
    graph = GRAPHS[name]() if name != "recurrent" else recurrent(step)
    if stated is not None:
        graph.metadata["dt"] = step if stated < 0 else stated
    path = folder / f"{name}.nir"
    path.write_bytes(as_bytes(graph))
    return path


def samples(name: str, count: int = 3) -> np.ndarray:
    """Inputs for it on a grid of 1/64."""
    shape = tuple(GRAPHS[name]().nodes["input"].input_type["input"])
    drawn = np.random.default_rng(9).random((count, *shape))
    return (np.rint(64 * drawn) / 64).astype(np.float32)
