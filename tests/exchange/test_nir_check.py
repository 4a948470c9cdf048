"""NIR files in other simulators: rows, reasons, and whatever goes wrong in one of them."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw

nir = pytest.importorskip("nir")

from benchmarks.nir.checking import CheckedLayer, Row, check  # noqa: E402
from benchmarks.nir.process import ReaderJob, run_here  # noqa: E402
from benchmarks.nir.semantics import (  # noqa: E402
    OURS,
    READERS,
    RESETS,
    ReaderSemantics,
)
from benchmarks.nir.simulate import Explanation, explain, simulate  # noqa: E402
from benchmarks.nir.wiring import wiring_of  # noqa: E402
from nir_files import (  # noqa: E402
    GRAPHS,
    chain,
    ends,
    integrators,
    samples,
    written,
)
from nir_integrator import run  # noqa: E402

from slowly import in_turn  # noqa: E402
from spikewright.exchange.nir.saving import as_bytes  # noqa: E402

STEPS = 24
RUNNING = [name for name, reader in READERS.items() if reader.semantics is not None]


def python_in(folder: Path, *arguments: str) -> Path:
    """A Python that finds modules in a folder too, and has some arguments already."""
    python = folder / "python"
    command = shlex.join([sys.executable, *arguments])
    paths = shlex.quote(":".join([str(folder), *filter(None, sys.path)]))
    python.write_text(f'#!/bin/sh\nPYTHONPATH={paths} exec {command} "$@"\n')
    python.chmod(0o755)
    return python


def fake(folder: Path, how: dict[str, Any]) -> Path:
    """A Python that is a reader with these semantics, or with what goes wrong."""
    script = Path(__file__).with_name("fake_reader.py")
    return python_in(folder, str(script), json.dumps(how))


def with_semantics(folder: Path, semantics: ReaderSemantics) -> Path:
    """A Python that is a reader with these semantics."""
    return fake(folder, asdict(semantics))


def three() -> Any:
    """Neurons that get .3, .7 and 1.6 of their threshold in a step."""
    weights = np.diag([0.3, 0.7, 1.6]).astype(np.float32)
    nodes = {
        **ends((3,), (3,)),
        "a": nir.Affine(weights, np.zeros(3, np.float32)),
        "n": integrators(3),
    }
    return wiring_of(nir.NIRGraph(nodes, chain("input", "a", "n", "output")))


COUNTS = {
    "norse": (25, 50, 100),
    "snntorch": (25, 65, 100),
    "spikingjelly": (25, 50, 100),
    "spyx": (29, 69, 99),
    "sinabs": (30, 70, 160),
    "nirtorch": (30, 70, 160),
}
"""Spikes of `three` in 100 steps, as the readers gave them (sinabs 29 for 30, by rounding)."""


@pytest.mark.parametrize("name", RUNNING)
def test_stated_semantics_give_the_counts_that_readers_gave(name: str) -> None:
    """Each reader's semantics, on the example that readers differ on most."""
    semantics = READERS[name].semantics
    assert semantics is not None
    found = simulate(three(), semantics, np.ones((1, 100, 3)))

    assert tuple(found.spikes["n"][0].sum(0)) == COUNTS[name]


@pytest.mark.parametrize("name", GRAPHS)
def test_the_simulation_is_an_independent_integrators(name: str) -> None:
    """Our semantics, written once more from NIR's equations, give the same spikes."""
    graph, x = GRAPHS[name](), samples(name)
    found = simulate(wiring_of(graph), OURS, np.repeat(x[:, None], STEPS, axis=1))

    for i, sample in enumerate(x):
        expected = run(graph, {"input": np.stack([sample] * STEPS)}, STEPS, 1.0, "subtract")
        for layer, spikes in found.spikes.items():
            assert spikes[i].any()
            assert np.array_equal(spikes[i], expected[layer])


@pytest.mark.parametrize(("name", "reset"), in_turn(GRAPHS, RESETS))
def test_the_simulation_is_our_own_run(name: str, reset: str, tmp_path: Path) -> None:
    """A file's spikes here, on an engine, are those of the equations that explain readers."""
    path = written(name, tmp_path, stated=0.5)
    x = np.repeat(samples(name)[:, None], STEPS, axis=1)
    wiring = wiring_of(nir.read(path))
    job = ReaderJob(path, wiring.spiking, x, STEPS, True, 0.5, 0)
    network = sw.nir.load(path, reset=reset)
    found, here = simulate(wiring, RESETS[reset], x, dt=0.5), run_here(network, wiring, job)

    for layer, spikes in found.spikes.items():
        assert np.array_equal(here.counts[layer].reshape(spikes[:, 0].shape), spikes.sum(1))
        assert spikes.sum() > 10
    assert here.output is not None
    np.testing.assert_allclose(
        here.output.reshape(found.output[:, 0].shape), found.output.mean(1), atol=1e-6
    )


def _explained(
    graph: Any, stated: ReaderSemantics, done: ReaderSemantics, name: str
) -> Explanation:
    """The explanation of a reader's spikes, which states some semantics and has others."""
    wiring = wiring_of(graph)
    x = np.repeat(samples(name)[:, None], STEPS, axis=1)
    return explain(wiring, stated, x, simulate(wiring, done, x).spikes)


@pytest.mark.parametrize(("name", "graph"), in_turn(2 * [*RUNNING], GRAPHS))
def test_differences_are_explained_to_the_last_spike(name: str, graph: str) -> None:
    """A reader that does as it is said to: every spike is given again, and reasons are named."""
    semantics = READERS[name].semantics
    assert semantics is not None
    found = _explained(GRAPHS[graph](), semantics, semantics, graph)

    assert found.reproduced == 1.0
    assert bool(found.why) == (name != "nirtorch" and (name, graph) != ("sinabs", "dense"))


CHOICES: dict[str, ReaderSemantics] = {
    "reset": ReaderSemantics(reset="zero"),
    "strict": ReaderSemantics(strict=True),
    "most": ReaderSemantics(most=1),
    "floor": ReaderSemantics(floor=0.25),
    "late": ReaderSemantics(late=1),
    "leak": ReaderSemantics(leak=0.2),
    "again": ReaderSemantics(again=True, most=1),
    "stated": ReaderSemantics(stated=False),
    "lif": ReaderSemantics(lif="euler"),
    "unscaled": ReaderSemantics(unscaled=True),
    "resists": ReaderSemantics(resists=("LIF",)),
    "dt": ReaderSemantics(dt=0.5),
    "order": ReaderSemantics(order="walk"),
    "edges": ReaderSemantics(edges="chain"),
}


def test_every_choice_has_an_example() -> None:
    """A choice that is added is tested below."""
    assert set(CHOICES) == {field.name for field in fields(ReaderSemantics)}


@pytest.mark.parametrize(
    ("edges", "name"),
    [("no late ones", "branched"), ("chain", "residual"), ("through loops", "recurrent")],
)
def test_edges_that_are_read_otherwise_are_a_reason(edges: Any, name: str) -> None:
    """Each way on a graph that has such edges."""
    semantics = ReaderSemantics(edges=edges, order="walk" if edges == "no late ones" else "sources")
    found = _explained(GRAPHS[name](), semantics, semantics, name)

    assert found.reproduced == 1.0
    assert any(reason.startswith(semantics.describe("edges")) for reason in found.why)


def test_input_through_recurrent_weights_is_written_out() -> None:
    """The neurons get `W (x + s)` of the input and the last spikes, and else `x + W s`."""
    graph = GRAPHS["recurrent"]()
    x = np.repeat(samples("recurrent")[:, None], STEPS, axis=1)
    found = simulate(wiring_of(graph), ReaderSemantics(edges="through loops"), x).spikes["n"]
    a, around, node = (graph.nodes[name] for name in ("a", "around", "n"))
    kept, v, sent = np.exp(-1.0 / node.tau), 0.0, np.zeros((len(x), 10))
    for step in range(STEPS):
        given = x[:, step] @ a.weight.T + a.bias + sent
        v = kept * v + (1.0 - kept) * (given @ around.weight.T + around.bias)
        sent = np.clip(np.floor(v), 0.0, None)
        v = v - sent
        np.testing.assert_array_equal(found[:, step], sent)
    assert found.sum() > 10


@pytest.mark.parametrize("choice", CHOICES)
def test_a_reason_is_named_where_spikes_need_it(choice: str) -> None:
    """One choice at a time, of a reader that states it: the row names it, and no other."""
    leaky = choice in ("lif", "unscaled", "dt")
    name = "recurrent" if leaky else "branched" if choice == "order" else "residual"
    graph, semantics = GRAPHS[name](), CHOICES[choice]
    if choice == "resists":
        graph.nodes["n"].r[:] = 0.75
    if choice == "stated":
        graph.nodes["n"].metadata["v_init"] = np.full((4, 6, 6), 0.5)
    found = _explained(graph, semantics, semantics, name)

    assert found.reproduced == 1.0
    named = {c for c in CHOICES for reason in found.why if reason.startswith(semantics.describe(c))}
    assert choice in named <= set(semantics.differences(OURS))


def test_a_reader_that_does_something_else_is_not_explained() -> None:
    """Reasons are evidence: spikes of other semantics than the stated ones are said to be so."""
    stated = READERS["norse"].semantics or OURS
    found = _explained(GRAPHS["dense"](), stated, replace(stated, leak=0.3), "dense")

    assert found.reproduced is not None and found.reproduced < 1.0
    assert found.why[-1].startswith("not explained: ")


def test_same_spikes_are_those_of_all_samples() -> None:
    """Without a reason, a neuron of a later sample may still have been a matter of rounding."""
    layers = (CheckedLayer("n", 4.0, 4.0, 1.0), CheckedLayer("m", 2.0, 2.0, 0.99))

    assert Row("a", "ran", layers=layers[:1]).explanation() == "same spikes"
    assert (
        Row("a", "ran", layers=layers).explanation().startswith("same spikes in the samples that")
    )


def _told_of_a_later_sample(semantics: ReaderSemantics, tenths: list[float], folder: Path) -> str:
    """The sentence about a reader that is like this project but in the sixth sample."""
    weights = np.diag([0.5, 1.0]).astype(np.float32)
    nodes = {
        **ends((2,), (2,)),
        "a": nir.Affine(weights, np.zeros(2, np.float32)),
        "n": integrators(2),
    }
    path = folder / "one.nir"
    edges = chain("input", "a", "n", "output")
    path.write_bytes(as_bytes(nir.NIRGraph(nodes, edges, {"dt": 1.0})))
    x = np.full((7, 2), 0.3)
    x[5] = tenths
    python = with_semantics(folder, semantics)
    row = check(path, x, {"nirtorch": python}, steps=2)["nirtorch"]

    assert row.outcome == "ran" and not row.same
    return row.explanation()


def test_samples_behind_the_first_are_followed_where_counts_differ(tmp_path: Path) -> None:
    """One sum is the threshold itself: such a difference is said to be one of rounding."""
    told = _told_of_a_later_sample(ReaderSemantics(strict=True), [1.0, 0.1], tmp_path)

    assert told == "sums within 2^-16 of a threshold (in 1 of 7 samples)"


def test_a_later_sample_is_not_said_to_be_rounding_without_evidence(tmp_path: Path) -> None:
    """No sum is near a threshold: what differs is not explained."""
    told = _told_of_a_later_sample(ReaderSemantics(most=1), [5.0, 0.1], tmp_path)

    assert told.startswith("not explained: 1 of 2 neurons")


@pytest.mark.parametrize("step", [0.25, 1e-4])
def test_a_step_is_as_long_as_the_file_says(step: float, tmp_path: Path) -> None:
    """A reader that is told the step sends our spikes. One with a step of its own does so where
    that is the step, and else the row says what it is.
    """
    x = samples("recurrent")
    (tmp_path / "right").mkdir()
    pythons = {"nirtorch": with_semantics(tmp_path / "right", OURS)}
    (tmp_path / "other").mkdir()
    pythons["snntorch"] = with_semantics(tmp_path / "other", READERS["snntorch"].semantics or OURS)
    found = check(written("recurrent", tmp_path, step), x, pythons, steps=STEPS)
    in_steps = check(written("recurrent", tmp_path), x, {}, steps=STEPS)

    assert in_steps.here == pytest.approx(found.here) and found.here["n"] > 10
    assert found["nirtorch"].same
    why = " ".join(found["snntorch"].why)
    assert ("a step of leaky neurons is 0.0001 always" in why) == (step != 1e-4)
    assert found["snntorch"].reproduced == 1.0


def test_no_reader_takes_others_with_it(tmp_path: Path) -> None:
    """One crashes, one writes nonsense, one refuses, one is missing: a row each."""
    fails = {"snntorch": "crashes", "spyx": "garbage", "sinabs": "refuses"}
    readers: dict[str, Path] = {}
    for name, how in fails.items():
        (tmp_path / name).mkdir()
        readers[name] = fake(tmp_path / name, {"fails": how})
    readers["spikingjelly"] = tmp_path / "nowhere"
    (tmp_path / "right").mkdir()
    readers["nirtorch"] = with_semantics(tmp_path / "right", OURS)
    found = check(written("dense", tmp_path), samples("dense"), readers, steps=STEPS)

    said = {row.reader: (row.outcome, row.explanation()) for row in found.rows}
    assert said["snntorch"] == ("failed", "its process ended with exit code 3")
    assert said["spyx"][0] == "failed" and "its answer cannot be read" in said["spyx"][1]
    assert said["sinabs"] == ("refused", "ValueError: no IF")
    assert said["spikingjelly"][0] == "missing" and "has no Python" in said["spikingjelly"][1]
    assert said["nirtorch"] == ("ran", "same spikes")
    assert found["nirtorch"].same and found["nirtorch"].deviation == 0.0


def test_a_reader_that_hangs_is_a_row(tmp_path: Path) -> None:
    """Its time is bounded, and readers behind it have their rows."""
    readers = {"norse": fake(tmp_path, {"fails": "hangs"}), "spyx": tmp_path / "nowhere"}
    path = written("dense", tmp_path)
    found = check(path, samples("dense"), readers, steps=2, seconds=1)

    assert [row.outcome for row in found.rows] == ["failed", "missing"]
    assert found["norse"].reason == "not done in 1 s"


def test_the_runner_needs_nothing_of_this_project(tmp_path: Path) -> None:
    """The real process, with a reader that is not there: it starts, and says so."""
    path = written("dense", tmp_path)
    found = check(path, samples("dense"), {"spyx": Path(sys.executable)}, steps=2)

    assert found["spyx"].outcome == "missing"
    assert "spyx" in found["spyx"].reason


def test_a_reader_has_a_bound_of_memory(tmp_path: Path) -> None:
    """One that asks for more is a row, as one that asks for time without end is."""
    module = tmp_path / "snn_mlir.py"
    module.write_text("bytearray(3 << 30)")
    path, python = written("dense", tmp_path), python_in(tmp_path)
    row = check(path, samples("dense"), {"snn-mlir": python}, steps=2, memory=1)["snn-mlir"]

    assert (row.outcome, row.reason) == ("missing", "MemoryError: ")


NORSE = """
import numpy as np
import torch

class Cell(torch.nn.Module):
    def forward(self, x, v=None):
        v = x if v is None else v + x
        z = (v > 1).float()
        return z, v * (1 - z)

class Chain(torch.nn.Module):
    def __init__(self, graph):
        super().__init__()
        for name, node in graph.nodes.items():
            if type(node).__name__ == "Affine":
                made = torch.nn.Linear(*reversed(node.weight.shape))
                made.weight.data = torch.from_numpy(node.weight)
                made.bias.data = torch.from_numpy(node.bias)
                self.add_module(name, made)
            elif type(node).__name__ == "IF":
                self.add_module(name, Cell())

    def forward(self, x, state=None):
        n, v = self.n(self.a(x), state and state[0])
        m, w = self.m(self.b(n), state and state[1])
        return self.c(m), (v, w)

def from_nir(graph, dt):
    return Chain(graph)
"""


def test_modules_are_listened_to(tmp_path: Path) -> None:
    """A reader of modules, run by the real runner: its neurons' spikes come back by name."""
    pytest.importorskip("torch")
    (tmp_path / "norse").mkdir()
    (tmp_path / "norse" / "__init__.py").write_text("__version__ = '9'")
    (tmp_path / "norse" / "torch.py").write_text(NORSE)
    path, python = written("dense", tmp_path), python_in(tmp_path)
    labels = np.array([0, 1, 2])
    found = check(path, samples("dense"), {"norse": python}, steps=STEPS, labels=labels)
    row = found["norse"]

    assert (row.outcome, row.version, row.reproduced) == ("ran", "9", 1.0)
    assert row.why[0].startswith("hard reset (-")
    assert row.accuracy is not None and found.accuracy is not None


def test_samples_over_time_are_taken(tmp_path: Path) -> None:
    """An axis of time in place of `steps`: the same values in every step are the same run."""
    path, x = written("dense", tmp_path), samples("dense")
    python = with_semantics(tmp_path, READERS["sinabs"].semantics or OURS)
    held = check(path, x, {"sinabs": python}, steps=6)
    timed = check(path, np.repeat(x[:, None], 6, axis=1), {"sinabs": python})

    assert held.as_dict() == timed.as_dict()
