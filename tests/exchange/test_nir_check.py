"""NIR files in other simulators: rows, reasons, and whatever goes wrong in one of them."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import spikewright as sw
from slowly import in_turn
from spikewright.cli import main
from spikewright.errors import NetworkError, SimulationError

nir = pytest.importorskip("nir")

from nir_files import (  # noqa: E402
    GRAPHS,
    chain,
    ends,
    integrators,
    samples,
    written,
)

from spikewright.exchange.nir.checking import OURS, READERS, Semantics  # noqa: E402
from spikewright.exchange.nir.checking.explain import Explanation, explain  # noqa: E402
from spikewright.exchange.nir.checking.here import run_here  # noqa: E402
from spikewright.exchange.nir.checking.process import Job  # noqa: E402
from spikewright.exchange.nir.checking.semantics import RESETS  # noqa: E402
from spikewright.exchange.nir.checking.simulate import simulate  # noqa: E402
from spikewright.exchange.nir.checking.wiring import wiring_of  # noqa: E402

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


def with_semantics(folder: Path, semantics: Semantics) -> Path:
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


@pytest.mark.parametrize(("name", "reset"), in_turn(GRAPHS, RESETS))
def test_the_simulation_is_our_own_run(name: str, reset: str, tmp_path: Path) -> None:
    """A file's spikes here, on an engine, are those of the equations that explain readers."""
    path = written(name, tmp_path, stated=0.5)
    x = np.repeat(samples(name)[:, None], STEPS, axis=1)
    wiring = wiring_of(nir.read(path))
    job = Job(path, wiring.spiking, x, STEPS, True, 0.5, 0)
    network = sw.nir.load(path, reset=reset)
    found, here = simulate(wiring, RESETS[reset], x, dt=0.5), run_here(network, wiring, job)

    for layer, spikes in found.spikes.items():
        assert np.array_equal(here.counts[layer].reshape(spikes[:, 0].shape), spikes.sum(1))
        assert spikes.sum() > 10
    assert here.output is not None
    np.testing.assert_allclose(
        here.output.reshape(found.output[:, 0].shape), found.output.mean(1), atol=1e-6
    )


def _explained(graph: Any, stated: Semantics, done: Semantics, name: str) -> Explanation:
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


CHOICES: dict[str, Semantics] = {
    "reset": Semantics(reset="zero"),
    "strict": Semantics(strict=True),
    "most": Semantics(most=1),
    "floor": Semantics(floor=0.25),
    "late": Semantics(late=1),
    "leak": Semantics(leak=0.2),
    "again": Semantics(again=True, most=1),
    "stated": Semantics(stated=False),
    "lif": Semantics(lif="euler"),
    "unscaled": Semantics(unscaled=True),
    "resists": Semantics(resists=("LIF",)),
    "dt": Semantics(dt=0.5),
    "order": Semantics(order="walk"),
    "edges": Semantics(edges="chain"),
}


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
    named = {c for c in CHOICES for reason in found.why if reason.startswith(semantics.said(c))}
    assert choice in named <= set(semantics.differences(OURS))


def test_a_reader_that_does_something_else_is_not_explained() -> None:
    """Reasons are evidence: spikes of other semantics than the stated ones are said to be so."""
    stated = READERS["norse"].semantics or OURS
    found = _explained(GRAPHS["dense"](), stated, replace(stated, leak=0.3), "dense")

    assert found.reproduced is not None and found.reproduced < 1.0
    assert found.why[-1].startswith("not explained: ")


def test_no_reader_takes_others_with_it(tmp_path: Path) -> None:
    """One crashes, one writes nonsense, one refuses, two are missing: a row each."""
    fails = {"snntorch": "crashes", "spyx": "garbage", "sinabs": "refuses"}
    readers: dict[str, Any] = {}
    for name, how in fails.items():
        (tmp_path / name).mkdir()
        readers[name] = fake(tmp_path / name, {"fails": how})
    readers |= {"spikingjelly": tmp_path / "nowhere", "snn-mlir": None}
    (tmp_path / "right").mkdir()
    readers["nirtorch"] = with_semantics(tmp_path / "right", OURS)
    found = sw.nir.check(written("dense", tmp_path), samples("dense"), readers, steps=STEPS)

    said = {row.reader: (row.outcome, row.told()) for row in found.rows}
    assert said["snntorch"] == ("failed", "its process ended with exit code 3")
    assert said["spyx"][0] == "failed" and "its answer cannot be read" in said["spyx"][1]
    assert said["sinabs"] == ("refused", "ValueError: no IF")
    assert said["spikingjelly"][0] == "missing" and "has no Python" in said["spikingjelly"][1]
    assert said["snn-mlir"][0] == "missing" and "pip install" in said["snn-mlir"][1]
    assert said["nirtorch"] == ("ran", "same spikes")
    assert found["nirtorch"].same and found["nirtorch"].deviation == 0.0


def test_a_reader_that_hangs_is_a_row(tmp_path: Path) -> None:
    """Its time is bounded, and readers behind it have their rows."""
    readers = {"norse": fake(tmp_path, {"fails": "hangs"}), "spyx": tmp_path / "nowhere"}
    path = written("dense", tmp_path)
    found = sw.nir.check(path, samples("dense"), readers, steps=2, seconds=1)

    assert [row.outcome for row in found.rows] == ["failed", "missing"]
    assert found["norse"].reason == "not done in 1 s"


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"x": np.ones((3, 5))}, SimulationError, "takes \\(samples, \\*\\(6,\\)\\)"),
        ({"x": np.full((3, 6), np.nan)}, SimulationError, "finite"),
        ({"steps": None}, NetworkError, "steps must be a whole number"),
        ({"steps": 0}, NetworkError, "got 0"),
        ({"readers": ["nors"]}, NetworkError, "Did you mean 'norse'?"),
        ({"labels": [0.5, 1, 2]}, SimulationError, "labels must be whole numbers"),
        ({"seconds": 0}, NetworkError, "seconds and memory"),
    ],
)
def test_what_fits_nothing_is_refused(
    given: dict[str, Any], error: type[Exception], said: str, tmp_path: Path
) -> None:
    """Arguments are checked before anything is run."""
    arguments = {"x": samples("dense"), "readers": [], "steps": 3, **given}
    with pytest.raises(error, match=said):
        sw.nir.check(written("dense", tmp_path), **arguments)


def test_the_command_prints_what_the_library_says(tmp_path: Path) -> None:
    """A table of readers and one of layers, or one JSON document."""
    path = written("dense", tmp_path, stated=None)
    np.savez(tmp_path / "x.npz", x=samples("dense"), y=np.array([0, 1, 2]))
    python = with_semantics(tmp_path, READERS["norse"].semantics or OURS)
    arguments = [
        "nir", "check", str(path), "--data", str(tmp_path / "x.npz"), "--steps", "9", "--dt", "0.5",
        "--reader", f"norse={python}", "--reader", "spyx",
    ]  # fmt: skip
    text = CliRunner().invoke(main, arguments)
    document = CliRunner().invoke(main, [*arguments, "--json"])

    assert (text.exit_code, document.exit_code) == (0, 0)
    assert "hard reset" in text.stdout and "not installed" in text.stdout
    readers = {"norse": python, "spyx": None}
    found = sw.nir.check(path, samples("dense"), readers, steps=9, dt=0.5, labels=[0, 1, 2])
    assert json.loads(document.stdout) == json.loads(json.dumps(found.as_dict()))
    alike = CliRunner().invoke(main, [*arguments, "--reset", "zero"])
    assert alike.exit_code == 0 and "hard reset" not in alike.stdout
