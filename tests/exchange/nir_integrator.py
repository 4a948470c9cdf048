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
    """The values that nodes send, `(steps, *shape)`, for inputs `(steps, *shape)` by name.

    `reset` is "zero" (one spike a step, hard), "subtract" (as many as fit, soft), or "stated": as
    the metadata of a node say. Metadata `v_init` is where a voltage starts. What closes a loop
    arrives one step later.
    """
    order = list(_order(graph))
    sent: dict[str, list] = {name: [] for name in graph.nodes}
    state: dict[str, Any] = {}
    for step in range(steps):
        for name in order:
            node = graph.nodes[name]
            arriving = [_sent(graph.nodes[p], sent[p], step) for p in _before(graph, name)]
            value = x[name][step] if type(node).__name__ == "Input" else sum(arriving)
            sent[name].append(_step(name, node, value, state, dt, reset))
    return {name: np.array(values) for name, values in sent.items()}


def _order(graph: Any) -> Iterator[str]:
    """Nodes behind those that they read; in a loop neurons come first."""
    done: set[str] = set()
    while len(done) < len(graph.nodes):
        ready = [n for n in graph.nodes if n not in done and _before(graph, n) <= done]
        if not ready:
            neurons = [n for n in graph.nodes if n not in done and hasattr(graph.nodes[n], "r")]
            ready = [n for n in neurons if _before(graph, n) & done][:1]
        done |= set(ready)
        yield from ready


def _sent(node: Any, values: list, step: int) -> Any:
    """Values of a node in a step, or in the last one; constants are there from the first."""
    if len(values) > step:
        return values[step]
    return values[-1] if values else getattr(node, "bias", 0.0)


def _before(graph: Any, name: str) -> set[str]:
    return {pre for pre, post in graph.edges if post == name}


def _step(name: str, node: Any, x: Any, state: dict[str, Any], dt: float, reset: str) -> Any:
    match type(node).__name__:
        case "Input" | "Output":
            return x
        case "Affine":
            return node.weight.astype(float) @ np.ravel(x) + node.bias
        case "Linear":
            return node.weight.astype(float) @ np.ravel(x)
        case "Scale":
            return node.scale * x
        case "Conv1d" | "Conv2d":
            return _convolution(node, np.asarray(x, float))
        case "SumPool2d" | "AvgPool2d" as kind:
            total = _pooled(node, np.asarray(x, float))
            return total / (np.prod(_pair(node.kernel_size, 2)) if kind == "AvgPool2d" else 1)
        case "Flatten":
            return np.reshape(x, node.output_type["output"])
        case "Delay":
            waiting = state.setdefault(name, [])
            waiting.append(np.asarray(x, float))
            steps = np.round(node.delay / dt).astype(int)
            late = [waiting[-1 - n] if len(waiting) > n else 0 * waiting[-1] for n in range(9)]
            return np.take_along_axis(np.array(late), steps[None], 0)[0]
        case "Threshold":
            return (x > node.threshold) * 1.0
        case "I":
            state[name] = state.get(name, 0.0) + dt * node.r * x
            return state[name]
        case "LI":
            return _leak(name, state, dt, node.tau, node.v_leak + node.r * x)
        case "CubaLI" | "CubaLIF" as kind:
            current = _leak(f"{name}.i", state, dt, node.tau_syn, node.w_in * x)
            target = node.v_leak + node.r * current
            v = _leak(name, state, dt, node.tau_mem, target)
            return v if kind == "CubaLI" else _fire(name, node, v, state, reset)
        case "LIF":
            v = _leak(name, state, dt, node.tau, node.v_leak + node.r * x)
            return _fire(name, node, v, state, reset)
        case "IF":
            v = state.get(name, node.metadata.get("v_init", np.zeros(node.r.shape)))
            return _fire(name, node, v + dt * node.r * x, state, reset)
    raise NotImplementedError(type(node).__name__)


def _leak(name: str, state: dict[str, Any], dt: float, tau: NDArray, target: NDArray) -> NDArray:
    """`tau dv/dt = target - v`, for a constant target."""
    left = np.exp(-dt / tau)
    state[name] = left * state.get(name, 0.0) + (1 - left) * target
    return state[name]


def _fire(name: str, node: Any, v: NDArray, state: dict[str, Any], reset: str) -> NDArray:
    how = node.metadata.get("reset", "zero") if reset == "stated" else reset
    if how == "subtract":
        most = node.metadata.get("max_spikes", np.inf)
        count = np.clip(np.floor(v / node.v_threshold), 0, most)
        state[name] = v - count * node.v_threshold
        return count
    fired = v > node.v_threshold
    state[name] = np.where(fired, node.v_reset, v)
    return fired * 1.0


def _pair(value: Any, rank: int) -> tuple[int, ...]:
    return tuple(int(v) for v in np.broadcast_to(value, rank))


def _taps(
    x: NDArray, size: Any, stride: Any, pads: Any, dilation: Any
) -> Iterator[tuple[tuple[int, ...], NDArray]]:
    padded = np.pad(x, [(0, 0), *pads])
    extent = [
        (n - d * (k - 1) - 1) // s + 1
        for n, d, k, s in zip(padded.shape[1:], dilation, size, stride, strict=True)
    ]
    for tap in np.ndindex(*size):
        places = [
            slice(u * d, u * d + (n - 1) * s + 1, s)
            for u, d, n, s in zip(tap, dilation, extent, stride, strict=True)
        ]
        yield tap, padded[(slice(None), *places)]


def _convolution(node: Any, x: NDArray) -> NDArray:
    weight = node.weight.astype(float)
    rank = weight.ndim - 2
    stride, dilation = _pair(node.stride, rank), _pair(node.dilation, rank)
    if isinstance(node.padding, str):
        wide = node.padding == "same"
        sizes = zip(dilation, weight.shape[2:], strict=True)
        totals = [d * (k - 1) * wide for d, k in sizes]
        pads = [(t // 2, t - t // 2) for t in totals]
    else:
        pads = [(p, p) for p in _pair(node.padding, rank)]
    groups = int(node.groups)
    out: Any = 0.0
    for tap, view in _taps(x, weight.shape[2:], stride, pads, dilation):
        parts = zip(np.split(weight[(..., *tap)], groups), np.split(view, groups), strict=True)
        out = out + np.concatenate([np.tensordot(w, v, 1) for w, v in parts])
    return out + node.bias.reshape(-1, *(1,) * rank)


def _pooled(node: Any, x: NDArray) -> NDArray:
    pads = [(p, p) for p in _pair(node.padding, 2)]
    size, stride = _pair(node.kernel_size, 2), _pair(node.stride, 2)
    return sum(view for _, view in _taps(x, size, stride, pads, (1, 1)))
