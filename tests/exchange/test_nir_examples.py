"""Graphs built as the examples of NIR's own repository are: they load, or the reason is true.

Its files are binary and not copied. What stands here is their structure, as its scripts and its
paper describe it (Pedersen et al. 2024), with weights of a seed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from spikewright.errors import DamagedFileError

nir = pytest.importorskip("nir")

from nir_files import Draw, chain, ends, integrators  # noqa: E402
from nir_integrator import run  # noqa: E402

DT, STEPS, HIDDEN = 1e-4, 60, 38  # snnTorch's step, in seconds


def _lif() -> Any:
    """One LIF neuron, as norse wrote it: time in seconds."""
    one = np.ones(1, np.float32)
    nodes = {
        **ends((1,), (1,)),
        "0": nir.Affine(one[:, None], 0 * one),
        "1": nir.LIF(tau=0.0025 * one, r=one, v_leak=0 * one, v_threshold=0.1 * one),
    }
    return nir.NIRGraph(nodes, chain("input", "0", "1", "output"))


def _convolutional() -> Any:
    """Convolutions without bias, sum pools and `Flatten`, as sinabs wrote them."""
    draw = Draw(5)
    sizes = {"input_type": {"input": np.array([3, 2, 2])}, "start_dim": 0, "end_dim": -1}
    first = draw.convolution(8, 4, 2, 3, 1)
    first.bias = 0 * first.bias
    nodes = {
        **ends((2, 8, 8), (5,)),
        "0": first, "1": integrators(4, 8, 8),
        "2": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "3": nir.Conv2d((4, 4), draw(3, 4, 3, 3), 1, 1, 1, 1, np.zeros(3, np.float32)),
        "4": integrators(3, 4, 4),
        "5": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "6": nir.Flatten(**sizes), "7": nir.Linear(draw(5, 12)), "8": integrators(5),
    }  # fmt: skip
    names = [str(i) for i in range(9)]
    return nir.NIRGraph(nodes, chain("input", *names, "output"), type_check=False)


def _cuba(n: int) -> Any:
    """Synapse and membrane as snnTorch writes alpha = .6 and beta = .8."""
    ones = np.ones(n, np.float32)
    rates = {"tau_syn": DT / 0.4 * ones, "tau_mem": DT / 0.2 * ones}
    return nir.CubaLIF(
        **rates, r=5 * ones, v_leak=0 * ones, v_threshold=ones, w_in=ones / 0.4, v_reset=0 * ones
    )


def _braille(prefix: str = "lif1.") -> tuple[dict[str, Any], dict[str, Any]]:
    """The parts of the recurrent network: those around its recurrent layer, and those of it."""
    draw = Draw(6)
    outer = {
        **ends((12,), (7,)), "fc1": draw.affine(HIDDEN, 12), "fc2": draw.affine(7, HIDDEN, 0.3),
        "lif2": _cuba(7),
    }  # fmt: skip
    recurrent = draw.affine(HIDDEN, HIDDEN, 0.05)
    return outer, {f"{prefix}lif": _cuba(HIDDEN), f"{prefix}w_rec": recurrent}


def _flat(shape: tuple[int, ...] = (12,)) -> Any:
    """Recurrent nodes with dots in their names; the first file has an axis for a batch of one."""
    outer, inner = _braille()
    outer["input"] = nir.Input({"input": np.array(shape)})
    edges = chain("input", "fc1", "lif1.lif", "fc2", "lif2", "output")
    loop = chain("lif1.lif", "lif1.w_rec", "lif1.lif")
    return nir.NIRGraph({**outer, **inner}, [*edges, *loop], type_check=False)


def _nested(prefix: str = "") -> Any:
    """The recurrent layer as a graph in the graph; some files repeat its name in it."""
    outer, inner = _braille(prefix)
    names = [f"{prefix}{name}" for name in ("input", "lif", "w_rec", "output")]
    first, lif, around, last = names
    inner |= dict(zip((first, last), ends((HIDDEN,), (HIDDEN,)).values(), strict=True))
    edges = [*chain(first, lif, around, lif), (lif, last)]
    part = nir.NIRGraph(inner, edges, type_check=False)
    around_it = chain("input", "fc1", "lif1", "fc2", "lif2", "output")
    return nir.NIRGraph({**outer, "lif1": part}, around_it, type_check=False)


def _without_the_graph() -> Any:
    """Parts of a graph whose own node is missing, so that edges to it lead nowhere."""
    graph = _nested("lif1.")
    part = graph.nodes.pop("lif1")
    graph.nodes.update(part.nodes)
    graph.edges += part.edges
    return graph


def _spikes(graph: Any, x: np.ndarray, folder: Path, reset: str, dt: float = DT) -> np.ndarray:
    """The values at the output of a written graph here, `(steps, outputs)`."""
    nir.write(folder / "graph.nir", graph)
    network = sw.nir.load(folder / "graph.nir", dt, reset=reset)
    (source,) = network.inputs.values()
    simulator = sw.Simulator(network, dt, progress=False)
    simulator.run_steps(len(x), {source: x.reshape(len(x), *source.shape_in)})
    found: np.ndarray = simulator.data[network.probes[0]].reshape(len(x), -1)
    return found


EXAMPLES: dict[str, tuple[Callable[[], Any], float]] = {
    "one LIF": (_lif, DT),
    "convolutional": (_convolutional, 1.0),  # sinabs counts time in steps
    "recurrent": (_flat, DT),
}


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_spike_as_their_equations_say(name: str, reset: str, tmp_path: Path) -> None:
    """An integrator that knows nothing of the project gives every spike."""
    make, dt = EXAMPLES[name]
    shape = make().nodes["input"].input_type["input"]
    x = 2.0 * (np.random.default_rng(1).random((STEPS, *shape)) < 0.3)
    found = _spikes(make(), x, tmp_path, reset, dt)
    expected = run(make(), {"input": x}, STEPS, dt, reset)["output"].reshape(STEPS, -1)

    np.testing.assert_array_equal(found, expected)
    assert found.sum() > 5


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize(
    "make", [_nested, lambda: _nested("lif1."), lambda: _flat((1, 12))], ids=["", "name", "batch"]
)
def test_a_graph_in_the_graph_is_its_parts(
    make: Callable[[], Any], reset: str, tmp_path: Path
) -> None:
    """All forms of the recurrent example send the same spikes."""
    x = np.random.default_rng(1).random((STEPS, 12)) < 0.3
    found = _spikes(make(), x, tmp_path, reset)

    np.testing.assert_array_equal(found, _spikes(_flat(), x, tmp_path, reset))
    assert found.sum() > 5


def test_edges_to_a_graph_that_is_not_there_are_refused(tmp_path: Path) -> None:
    """Nobody can know which of the parts such an edge means."""
    nir.write(tmp_path / "graph.nir", _without_the_graph())
    with pytest.raises(DamagedFileError, match=r"edge from 'fc1' to 'lif1', and 'lif1' is no such"):
        sw.nir.load(tmp_path / "graph.nir", DT)
