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
from spikewright.errors import ExchangeError, UnsupportedLayerError
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
