"""A small integrator of NIR graphs, written from the equations of its paper alone.

It knows nothing of the project: nodes in order, sums of what arrives, one step after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def run(
    graph: Any, x: Mapping[str, NDArray], steps: int, dt: float, reset: str = "stated"
) -> dict[str, NDArray]:
    """What every node sends, `(steps, *shape)`, for constant inputs by name.

    `reset` is "zero" (one spike a step, hard), "subtract" (as many as fit, soft), or "stated": as
    the metadata of a node say. Metadata `v_init` is where a voltage starts.
    """
    order = list(_order(graph))
    sent = {name: [] for name in graph.nodes}
    state: dict[str, Any] = {}
    for _ in range(steps):
        for name in order:
            node = graph.nodes[name]
            arriving = [sent[pre][-1] for pre, post in graph.edges if post == name]
            value = x[name] if type(node).__name__ == "Input" else sum(arriving)
            sent[name].append(_step(name, node, value, state, dt, reset))
    return {name: np.array(values) for name, values in sent.items()}


def _order(graph: Any) -> Iterator[str]:
    done: set[str] = set()
    while len(done) < len(graph.nodes):
        for name in graph.nodes:
            before = {pre for pre, post in graph.edges if post == name}
            if name not in done and before <= done:
                done.add(name)
                yield name


def _step(name: str, node: Any, x: Any, state: dict[str, Any], dt: float, reset: str) -> Any:
    kind = type(node).__name__
    if kind in ("Input", "Output"):
        return x
    if kind == "Affine":
        return node.weight.astype(float) @ x + node.bias
    if kind in ("Conv1d", "Conv2d"):
        return _convolution(node, np.asarray(x, float))
    if kind == "IF":
        v = state.get(name, node.metadata.get("v_init", np.zeros(node.r.shape)))
        v = v + dt * node.r * x
        how = node.metadata.get("reset", "zero") if reset == "stated" else reset
        if how == "subtract":
            count = np.maximum(np.floor(v / node.v_threshold), 0)
            state[name] = v - count * node.v_threshold
            return count
        fired = v > node.v_threshold
        state[name] = np.where(fired, node.v_reset, v)
        return fired * 1.0
    raise NotImplementedError(kind)


def _pair(value: Any, rank: int) -> tuple[int, ...]:
    return tuple(int(v) for v in np.broadcast_to(value, rank))


def _convolution(node: Any, x: NDArray) -> NDArray:
    weight = node.weight.astype(float)
    rank = weight.ndim - 2
    stride, pad, dilation = (_pair(v, rank) for v in (node.stride, node.padding, node.dilation))
    padded = np.pad(x, [(0, 0), *((p, p) for p in pad)])
    extent = [
        (n - d * (k - 1) - 1) // s + 1
        for n, d, k, s in zip(padded.shape[1:], dilation, weight.shape[2:], stride, strict=True)
    ]
    out = np.zeros((len(weight), *extent))
    for tap in np.ndindex(*weight.shape[2:]):
        view = padded[
            (
                slice(None),
                *(
                    slice(u * d, u * d + (n - 1) * s + 1, s)
                    for u, d, n, s in zip(tap, dilation, extent, stride, strict=True)
                ),
            )
        ]
        out += np.tensordot(weight[(..., *tap)], view, 1)
    return out + node.bias.reshape(-1, *(1,) * rank)
