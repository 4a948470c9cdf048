"""NIR graphs read as networks: an independent integrator finds the same values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nir_integrator import run

import spikewright as sw
from slowly import in_turn
from spikewright.errors import ExchangeError, NetworkError, UnsupportedLayerError
from spikewright.exchange.nir.primitives import READERS

nir = pytest.importorskip("nir")

DT, STEPS = 1e-3, 60
RNG = np.random.default_rng(5)


def _some(*shape: int, low: float = 0.5, high: float = 1.5) -> np.ndarray:
    return RNG.uniform(low, high, shape)


def _tau(*shape: int) -> np.ndarray:
    return _some(*shape, low=2e-3, high=2e-2)


def _weights(*shape: int) -> np.ndarray:
    return RNG.normal(0.0, 1.0, shape).astype(np.float32)


def _pool(kind: Any) -> Any:
    return kind(np.array([2, 3]), np.array([2, 1]), np.array([1, 0]))


def _lif(*shape: int, **more: Any) -> Any:
    leak = _some(*shape, low=-0.1, high=0.2)
    values = (_tau(*shape), _some(*shape, low=2, high=4), leak, _some(*shape))
    return nir.LIF(*values, v_reset=_some(*shape, low=-0.3, high=0.1), **more)


def _cuba(kind: Any, *shape: int, **more: Any) -> Any:
    leak = _some(*shape, low=-0.1, high=0.2)
    values = (_tau(*shape), _tau(*shape), _some(*shape, low=2, high=4), leak)
    return kind(*values, w_in=_some(*shape), **more)


EXAMPLES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "Affine": (nir.Affine(_weights(4, 6), _weights(4)), (6,)),
    "Linear": (nir.Linear(_weights(4, 6)), (6,)),
    "Scale": (nir.Scale(_some(2, 5)), (2, 5)),
    "Conv1d": (nir.Conv1d(9, _weights(4, 1, 3), 2, 1, 1, 2, _weights(4)), (2, 9)),
    "Conv1d same": (nir.Conv1d(9, _weights(4, 2, 4), 1, "same", 2, 1, _weights(4)), (2, 9)),
    "Conv2d": (
        nir.Conv2d((7, 8), _weights(4, 1, 3, 2), (2, 1), (1, 0), (1, 2), 2, _weights(4)),
        (2, 7, 8),
    ),
    "Conv2d valid": (
        nir.Conv2d((7, 8), _weights(4, 2, 3, 3), 1, "valid", 1, 1, _weights(4)),
        (2, 7, 8),
    ),
    "SumPool2d": (_pool(nir.SumPool2d), (2, 6, 7)),
    "AvgPool2d": (_pool(nir.AvgPool2d), (2, 6, 7)),
    "Flatten": (nir.Flatten({"input": np.array([2, 3, 4])}, 1, -1), (2, 3, 4)),
    "Flatten all": (nir.Flatten({"input": np.array([2, 3, 4])}, 0, -1), (2, 3, 4)),
    "Delay": (nir.Delay(np.full(5, 3 * DT)), (5,)),
    "Delay each": (nir.Delay(np.array([0, 1, 4, 2, 0]) * DT), (5,)),
    "Threshold": (nir.Threshold(_some(5, low=-1, high=1)), (5,)),
    "I": (nir.I(_some(5)), (5,)),
    "LI": (nir.LI(_tau(5), _some(5), _some(5, low=-1, high=1)), (5,)),
    "CubaLI": (_cuba(nir.CubaLI, 5), (5,)),
    "IF": (nir.IF(_some(2, 3) / DT, _some(2, 3) * 3, -_some(2, 3)), (2, 3)),
    "IF of one value": (nir.IF(np.array(1 / DT), np.array(2.5)), (2, 3)),
    "LIF": (_lif(5), (5,)),
    "CubaLIF": (_cuba(nir.CubaLIF, 5, v_threshold=_some(5)), (5,)),
}
SPIKING = ("IF", "LIF", "CubaLIF")


def _graph(node: Any, shape: tuple[int, ...]) -> Any:
    nodes = {"input": nir.Input(np.array(shape)), "node": node}
    made = nir.NIRGraph(nodes, [("input", "node")], type_check=False)
    given = np.zeros((1, *shape))
    out = run(made, {"input": given}, 1, DT)["node"].shape[1:]
    nodes["output"] = nir.Output(np.array(out))
    return nir.NIRGraph(nodes, [("input", "node"), ("node", "output")], type_check=False)


def _simulated(net: sw.Network, x: dict[str, np.ndarray], engine: str) -> Any:
    """The values of the outputs, `(steps, *shape)`, by name."""
    simulator = sw.Simulator(net, engine=engine, precision="float64", progress=False)
    steps = len(next(iter(x.values())))
    simulator.run_steps(steps, {net.inputs[name]: value for name, value in x.items()})
    return {probe.label: simulator.data[probe] for probe in net.probes}


def _fed(*shape: int, seed: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.6, 1.0, (STEPS, *shape))


@pytest.mark.parametrize(
    ("name", "reset", "engine"),
    in_turn(2 * [*EXAMPLES], ["zero", "subtract"], ["reference", "native"]),
)
def test_every_primitive_is_what_its_equation_says(name: str, reset: str, engine: str) -> None:
    """Of every primitive there is an example, fed with values that change from step to step."""
    node, shape = EXAMPLES[name]
    if reset == "subtract" and np.any(getattr(node, "v_reset", 0.0)):
        node = replace(node, v_reset=np.zeros_like(node.v_reset))
    graph, x = _graph(node, shape), {"input": _fed(*shape)}
    wanted = run(graph, x, STEPS, DT, reset)["output"]
    found = _simulated(sw.nir.load(graph, DT, reset=reset), x, engine)["output"]

    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    assert np.ptp(wanted, axis=0).max() > 0
    assert type(node).__name__ not in SPIKING or wanted.sum() > 10


@pytest.mark.parametrize(("name", "reset"), in_turn(EXAMPLES, ["zero", "subtract"]))
def test_what_is_read_can_be_written_again(name: str, reset: str, tmp_path: Path) -> None:
    """Every primitive: the second file has the same values, but for single precision.

    Only a delay of its own for each value is refused, by its name.
    """
    node, shape = EXAMPLES[name]
    if reset == "subtract" and np.any(getattr(node, "v_reset", 0.0)):
        node = replace(node, v_reset=np.zeros_like(node.v_reset))
    x = {"input": _fed(*shape)}
    once = sw.nir.load(_graph(node, shape), DT, reset=reset)
    if name == "Delay each":
        with pytest.raises(ExchangeError, match=r"'node'.*a delay for each of its weights"):
            sw.nir.save(once, tmp_path / "net.nir", dt=DT)
        return
    sw.nir.save(once, tmp_path / "net.nir", dt=DT)
    twice = sw.nir.load(tmp_path / "net.nir")
    fed = {"input": x["input"].reshape(STEPS, *twice.inputs["input"].shape_in)}
    found = _simulated(twice, fed, "reference")["output"].reshape(STEPS, -1)
    wanted = _simulated(once, x, "reference")["output"].reshape(STEPS, -1)

    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    assert np.ptp(wanted, axis=0).max() > 0


def test_every_class_of_nir_is_read() -> None:
    """A new primitive of the package fails here until it is read, or refused with a reason."""
    classes = {
        name
        for name, item in vars(nir).items()
        if isinstance(item, type) and issubclass(item, nir.NIRNode) and item is not nir.NIRNode
    }
    assert classes - {"NIRGraph"} == set(READERS)
    assert {name.partition(" ")[0] for name in EXAMPLES} | {"Input", "Output"} == set(READERS)


def _recurrent() -> Any:
    """Two layers of spiking neurons with edges back, from the second also to the first."""
    nodes = {
        "input": nir.Input(np.array([4])),
        "in": nir.Affine(_weights(5, 4), _weights(5) + 1),
        "a": _lif(5),
        "again": nir.Affine(_weights(5, 5), _weights(5) / 8),
        "between": nir.Linear(_weights(3, 5) + 1),
        "b": _cuba(nir.CubaLIF, 3, v_threshold=_some(3) / 2),
        "back": nir.Linear(_weights(5, 3)),
        "output": nir.Output(np.array([3])),
    }
    edges = [("input", "in"), ("in", "a"), ("a", "again"), ("again", "a"), ("a", "between")]
    edges += [("between", "b"), ("b", "back"), ("back", "a"), ("b", "output")]
    return nir.NIRGraph(nodes, edges, type_check=False)


@pytest.mark.parametrize("engine", ["reference", "native"])
def test_loops_arrive_one_step_later(engine: str) -> None:
    """Edges into neurons close loops; nothing else waits."""
    graph, x = _recurrent(), {"input": _fed(4)}
    wanted = run(graph, x, STEPS, DT)
    found = _simulated(sw.nir.load(graph, DT), x, engine)["output"]

    np.testing.assert_array_equal(found, wanted["output"])
    assert wanted["a"].sum() > 20 and wanted["b"].sum() > 5


def test_a_delay_in_a_loop_is_the_only_one() -> None:
    """A loop with a delay waits for that delay, and no step more."""
    nodes = {
        "input": nir.Input(np.array([3])),
        "sum": nir.IF(np.full(3, 1 / DT), np.full(3, 1.0)),
        "late": nir.Delay(np.full(3, 4 * DT)),
        "output": nir.Output(np.array([3])),
    }
    edges = [("input", "sum"), ("sum", "late"), ("late", "sum"), ("sum", "output")]
    graph = nir.NIRGraph(nodes, edges, type_check=False)
    x = np.zeros((20, 3))
    x[0] = 1.5
    net = sw.nir.load(graph, DT, reset="subtract")
    found = _simulated(net, {"input": x}, "reference")["output"]

    assert [list(np.flatnonzero(row)) for row in found.T] == [[0, 4, 8, 12, 16]] * 3


def test_a_graph_in_a_graph_is_written_out(tmp_path: Path) -> None:
    """Also in a file; edges to it lead to its ends."""
    inner = nir.NIRGraph(
        {
            "input": nir.Input(np.array([5])),
            "cells": _lif(5),
            "output": nir.Output(np.array([5])),
        },
        [("input", "cells"), ("cells", "output")],
    )
    first, last = nir.Affine(_weights(5, 4), _weights(5) + 1), nir.Linear(_weights(2, 5))
    ends = {"input": nir.Input(np.array([4])), "output": nir.Output(np.array([2]))}
    chain = [("input", "first"), ("first", "part"), ("part", "last"), ("last", "output")]
    parts = {**ends, "first": first, "last": last}
    nested = nir.NIRGraph({**parts, "part": inner}, chain, type_check=False)
    flat = nir.NIRGraph({**parts, "part": inner.nodes["cells"]}, chain, type_check=False)
    nir.write(tmp_path / "net.nir", nested)
    x = {"input": _fed(4)}
    net = sw.nir.load(tmp_path / "net.nir", DT)
    wanted = run(flat, x, STEPS, DT)

    found = _simulated(net, x, "reference")["output"]
    np.testing.assert_allclose(found, wanted["output"], rtol=1e-5, atol=1e-5)
    assert wanted["part"].sum() > 10
    assert list(net.layers) == ["part.cells"]
    assert list(net.inputs) == ["input"] and list(net.outputs) == ["output"]


def _refused() -> dict[str, tuple[Any, str]]:
    one = np.ones(2)
    return {
        "v_reset other than 0": (nir.LIF(one, one, one, one, v_reset=one / 2), "subtract"),
        "v_reset above its threshold": (nir.IF(one, one, 1.5 * one), "zero"),
        "thresholds that are not above 0": (nir.IF(one, 0 * one), "zero"),
    }


@pytest.mark.parametrize("reason", _refused())
def test_what_has_no_form_is_refused_with_its_reason(reason: str) -> None:
    """Two such nodes are named in one error."""
    node, reset = _refused()[reason]
    nodes = {"input": nir.Input(np.array([2])), "a": node, "b": node}
    nodes["output"] = nir.Output(np.array([2]))
    edges = [("input", "a"), ("input", "b"), ("a", "output"), ("b", "output")]
    with pytest.raises(UnsupportedLayerError, match=reason) as caught:
        sw.nir.load(nir.NIRGraph(nodes, edges), DT, reset=reset)
    assert {r.layer for r in caught.value.refusals} == {"a", "b"}


def test_arguments_that_fit_nothing() -> None:
    """The reset, and a step that is none."""
    graph = _graph(*EXAMPLES["LIF"])
    with pytest.raises(NetworkError, match=r"reset must be .*'hard'"):
        sw.nir.load(graph, DT, reset="hard")
    with pytest.raises(NetworkError, match="dt must be above 0, got -1"):
        sw.nir.load(graph, -1)
