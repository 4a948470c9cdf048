"""The benchmarks, on tiny workloads: they compare what they say, and say what failed."""

from __future__ import annotations

import argparse
import ast
import platform
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks import (
    document,
    edges,
    memory,
    network,
    peers,
    picture,
    timing,
    workloads,
)
from benchmarks.network import Flatten, Pool, Workload
from benchmarks.peer import engines as own
from benchmarks.peer.base import Outcome, clocked
from benchmarks.peer.client import LIBRARIES, Client, Library, WorkerError, missing, started
from benchmarks.peer.torch_modules import TorchRunner, formatted, modules
from benchmarks.results import Results
from benchmarks.workloads import ConvSpec, DenseSpec, Spec
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikewright.graph import evaluate

DENSE = Spec("dense", 8, 30, (64,), (DenseSpec(24), DenseSpec(16), DenseSpec(5)))
CONV = Spec(
    "conv",
    4,
    20,
    (3, 12, 12),
    (ConvSpec(4, 1, 1), Pool(2), ConvSpec(6, 2), Flatten(), DenseSpec(5)),
)
ROOT = Path(workloads.__file__).parent


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that all tests share."""
    return tmp_path_factory.mktemp("cache")


def mean_spikes(work: Workload) -> list[float]:
    """Spikes per neuron and step of each layer, by the reference engine."""
    conversion = own.converted(work)
    run = own.run(conversion, work, engine="reference")
    sizes = [ensemble.n_neurons for ensemble in conversion.populations().values()]
    counts = run.spike_counts().values()
    return [c.sum() / (n * work.batch * work.steps) for c, n in zip(counts, sizes, strict=True)]


@pytest.mark.parametrize("spec", [DENSE, CONV], ids=lambda spec: spec.name)
@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5])
def test_every_layer_spikes_at_the_wanted_rate(spec: Spec, rate: float, cache: Path) -> None:
    """The reference engine counts the wanted mean of spikes per neuron and step in each layer."""
    found = mean_spikes(workloads.workload(spec, rate, cache))
    assert found == pytest.approx([rate] * 2, rel=0.03)


def test_a_network_of_rate_zero_is_silent_by_a_factor_of_two(cache: Path) -> None:
    """At rate zero no neuron spikes, and a neuron of each layer would at twice the weights."""
    work = workloads.workload(DENSE, 0.0, cache)
    assert mean_spikes(work) == [0.0, 0.0]
    currents = workloads.forward(work.layers[0], work.x[None])
    assert workloads.spikes(currents, 1.99, work.steps).sum() == 0
    assert workloads.spikes(currents, 2.01, work.steps).sum() > 0


@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.3, 1.7]))
def test_spikes_follow_the_integrate_and_fire_rule(seed: int, scale: float) -> None:
    """Spikes from the running maximum of the current's sum are those of a stepped neuron."""
    rng = np.random.default_rng(seed)
    currents = np.round(rng.normal(0.3, 1.0, (25, 6)) * 64) / 64  # dyadic: sums are exact
    factor = np.round(scale * 64) / 64
    voltage, expected = np.zeros(6), []
    for current in currents:
        voltage = voltage + factor * current
        fired = np.maximum(np.floor(voltage), 0.0)
        voltage -= fired
        expected.append(fired)
    np.testing.assert_array_equal(workloads.spikes(currents, factor, 25), expected)


def test_no_factor_makes_a_neuron_spike_that_only_gets_negative_current() -> None:
    """A layer that cannot spike is refused, not scaled for ever."""
    with pytest.raises(ValueError, match="no current is above zero"):
        workloads.scale_for(0.1, np.full((1, 3), -1.0), 10)


@pytest.mark.parametrize("spec", [DENSE, CONV], ids=lambda spec: spec.name)
def test_graph_and_torch_module_are_the_same_network(spec: Spec, cache: Path) -> None:
    """Both forms of the source network give the same output for the workload's input."""
    work = workloads.workload(spec, 0.1, cache)
    (found,) = evaluate(network.as_graph(work), {"input": work.x}).values()
    with torch.inference_mode():
        expected = network.as_torch(work)(torch.from_numpy(work.x)).numpy()
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_workload_survives_its_file_and_is_drawn_once(cache: Path) -> None:
    """What is read is what was written; a second request reads the file of the first."""
    path = workloads.stored(CONV, 0.1, cache)
    written = path.stat().st_mtime_ns
    drawn = workloads.calibrated(CONV, 0.1)
    read = workloads.workload(CONV, 0.1, cache)
    assert path.stat().st_mtime_ns == written
    np.testing.assert_array_equal(read.x, drawn.x)
    assert (read.name, read.rate, read.steps) == (drawn.name, drawn.rate, drawn.steps)
    assert [type(layer) for layer in read.layers] == [type(layer) for layer in drawn.layers]
    for found, expected in zip(read.layers, drawn.layers, strict=True):
        for name in ("weight", "bias", "stride", "padding", "size"):
            np.testing.assert_array_equal(getattr(found, name, 0), getattr(expected, name, 0))
    assert workloads.stored(CONV, 0.2, cache) != path


def test_a_cut_workload_repeats_samples_only_where_it_must(cache: Path) -> None:
    """A smaller batch is the first samples, a larger one starts anew with the first."""
    work = workloads.workload(DENSE, 0.1, cache)
    np.testing.assert_array_equal(work.cut(3).x, work.x[:3])
    larger = work.cut(11, 7)
    assert (larger.batch, larger.steps) == (11, 7)
    np.testing.assert_array_equal(larger.x[8:], work.x[:3])


# -- timing --


def test_contestants_take_turns_and_the_order_moves_on() -> None:
    """Everything runs once a round, and each round begins with the next contestant."""
    calls: list[str] = []

    def timer(name: str) -> timing.Timed:
        def timed() -> float:
            calls.append(name)
            return 0.01

        return timed

    timings = timing.interleave({name: timer(name) for name in "abc"}, 5)
    assert "".join(calls) == "abc" + "bca" + "cab" + "abc" + "bca"
    assert all(t.n == 5 and t.median == 0.01 for t in timings.values())


def test_too_few_rounds_are_refused_and_a_budget_leaves_enough() -> None:
    """A median of less than five samples is not given, whatever the budget."""
    with pytest.raises(ValueError, match="at least 5 rounds"):
        timing.interleave({}, 4)
    timings = timing.interleave({"a": lambda: 1.0}, 50, budget=0.0)
    assert timings["a"].n == timing.MIN_ROUNDS


def test_given_is_the_median_of_all_samples() -> None:
    """With the extremes, and their number."""
    found = timing.Timing.of([3.0, 1.0, 9.0, 2.0, 4.0])
    assert (found.median, found.low, found.high, found.n) == (3.0, 1.0, 9.0, 5)


def test_what_is_timed_is_the_processor() -> None:
    """A wait takes no time; work does."""
    assert clocked(lambda: time.sleep(0.2)) < 0.1
    assert clocked(lambda: sum(range(1_000_000)), 3) > 0.001


def test_short_work_is_repeated_within_a_sample() -> None:
    """A sample lasts 50 ms or more."""
    assert [timing.repeats_for(s) for s in (1.0, 0.05, 0.01, 0.001)] == [1, 1, 5, 50]


def test_the_machine_is_described_without_saying_whose_it_is() -> None:
    """Processor, cores, memory and system; no host name, user or path."""
    described = timing.machine()
    assert {"processor", "cores", "memory", "system"} <= set(described)
    versions = timing.versions(["spikewright", "numpy", "no-such-distribution"])
    assert set(versions) == {"Python", "spikewright", "numpy"}
    text = " ".join([*described.values(), *versions.values()])
    assert "/" not in text
    assert platform.node() not in text


# -- timing --


# -- comparison --


def outcome(*counts: float, outputs: Sequence[float] = (3.0, 4.0)) -> Outcome:
    """An outcome of one sample."""
    return Outcome(np.array([outputs]), counts)


TRUTH = peers.GroundTruth.measured(
    [outcome(1000, 500), outcome(1001, 510), outcome(1000, 498, outputs=(3.0, 4.05))]
)


def test_what_rounding_may_do_grows_with_depth_as_measured() -> None:
    """A layer may be off by three times what the reference moved there or before, and a bit."""
    np.testing.assert_array_equal(TRUTH.counts_within, [6.0, 33.0])
    assert TRUTH.outputs_within == pytest.approx(0.005 + 3 * 0.01)


@pytest.mark.parametrize(
    ("found", "same"),
    [
        (outcome(1000, 500), True),
        (outcome(1006, 467), True),
        (outcome(1007, 500), False),
        (outcome(1000, 600), False),
        (outcome(1000, 500, outputs=(3.0, 4.1)), True),
        (outcome(1000, 500, outputs=(3.0, 4.3)), False),
    ],
)
def test_another_model_is_told_from_rounding(found: Outcome, same: bool) -> None:
    """Spikes of any layer, or outputs, further off than rounding goes make another model."""
    assert peers.compare(found, TRUTH).same_model is same


def test_results_of_another_shape_are_an_error() -> None:
    """A contestant with a layer too few is not compared at all."""
    with pytest.raises(WorkerError, match="1 spiking layers"):
        peers.compare(outcome(1000), TRUTH)


class Neuron(nn.Module):
    """Integrate and fire with one spike a step; a hard reset is another model."""

    def __init__(self, hard: bool) -> None:
        super().__init__()
        self.hard, self.voltage = hard, torch.zeros(())

    def forward(self, current: torch.Tensor) -> torch.Tensor:
        """The spikes of this step."""
        voltage = self.voltage + current
        fired = (voltage >= 1.0).to(current.dtype)
        self.voltage = voltage * (1.0 - fired) if self.hard else voltage - fired
        return fired


class Loop(TorchRunner):
    """A peer as the others are, without a library."""

    def __init__(self, work: Workload, hard: bool) -> None:
        self.net, self.x = formatted(
            nn.Sequential(*modules(work, lambda: Neuron(hard))), work, "channels_last"
        )
        self.neurons = [m for m in self.net if isinstance(m, Neuron)]
        self.steps = work.steps

    def simulate(self) -> torch.Tensor:
        for neuron in self.neurons:
            neuron.voltage = torch.zeros(())
        return sum(self.net(x) for x in self.inputs)


@pytest.mark.parametrize("spec", [DENSE, CONV], ids=lambda spec: spec.name)
@pytest.mark.parametrize("hard", [False, True])
def test_a_step_by_step_loop_is_the_same_model_unless_it_resets_to_zero(
    spec: Spec, hard: bool, cache: Path
) -> None:
    """The peers' modules and counters agree with the reference engine; a hard reset does not."""
    work = workloads.workload(spec, 0.5, cache)
    truth = peers.GroundTruth.measured(own.truth(work, "one"))
    assert sum(truth.outcome.counts) > 100
    assert peers.compare(Loop(work, hard).outcome(), truth).same_model is not hard


def test_one_and_many_spikes_a_step_are_different_models(cache: Path) -> None:
    """At 50 % the reference engine itself tells the two neurons apart."""
    work = workloads.workload(DENSE, 0.5, cache)
    one, many = own.truth(work, "one"), own.truth(work, "many")
    assert not peers.compare(one[0], peers.GroundTruth.measured(many)).same_model


# -- workers --


@pytest.fixture(scope="module")
def clients() -> Iterator[list[Client]]:
    """Workers of every library that is installed: at least PyTorch and Spikewright.

    Without what has to be compiled, which takes minutes.
    """
    libraries = [library for library in LIBRARIES if not missing(library)[0]]
    with started(libraries) as running:
        for client in running:
            client.contestants = [made for made in client.contestants if not made.compiled]
        yield running


@pytest.mark.slow
def test_all_that_is_installed_is_checked_and_timed(clients: list[Client], cache: Path) -> None:
    """Each contestant has a row with its agreement; L1 is the faster yardstick, ratio 1."""
    path = workloads.stored(CONV, 0.1, cache)
    settings = peers.Settings(rounds=5, budget=0.0, batch=CONV.batch, steps=CONV.steps)
    checks = peers.check(clients, path, settings)
    rows = {row["name"]: row for row in peers.measure(clients, path, checks, settings)}
    assert {"Spikewright native", "Spikewright torch"} <= set(rows)
    assert all(row["same_model"] for row in rows.values() if row["role"] == "own")
    yardsticks = [row for row in rows.values() if row["role"] == "yardstick"]
    assert len(yardsticks) == 2
    assert min(row["ratio"] for row in yardsticks) == 1.0
    for row in rows.values():
        assert row["timing"]["n"] == 5
        assert 0 < row["timing"]["low"] <= row["timing"]["median"] <= row["timing"]["high"]


def test_a_contestant_that_fails_is_an_error_of_its_own(clients: list[Client]) -> None:
    """The worker says what went wrong and goes on."""
    client = clients[0]
    with pytest.raises(WorkerError, match="KeyError"):
        client.ask("clock", name="nobody", repeats=1)
    assert client.ask("hello", isas=[])["contestants"]


def test_a_worker_that_dies_says_its_last_words() -> None:
    """A module that cannot be imported ends its process; the error quotes why."""
    with (
        pytest.raises(WorkerError, match="no_such_peer"),
        started([Library("Nobody", "no_such_peer", (), ())]),
    ):
        pass


def test_a_library_that_cannot_start_leaves_the_others_running() -> None:
    """Where it is asked for, the reason is kept and the rest goes on."""
    broken: dict[str, str] = {}
    libraries = [Library("Nobody", "no_such_peer", (), ()), LIBRARIES[0]]
    with started(libraries, broken=broken) as running:
        assert [client.library.label for client in running] == ["PyTorch"]
    assert "no_such_peer" in broken["Nobody"]


def test_a_library_that_is_not_there_is_named() -> None:
    """What is missing is listed, by the name that would have been imported."""
    lacking, versions = missing(Library("Nobody", "x", ("torch", "no_such_peer"), ("numpy",)))
    assert lacking == ["no_such_peer"]
    assert versions == {"numpy": np.__version__}


def test_peers_are_imported_by_nothing_but_their_own_contestants() -> None:
    """No module of the benchmarks imports a peer at its top: they are optional."""
    names = {name.split(".")[0] for library in LIBRARIES for name in library.imports}
    names -= {"torch", "spikewright"}
    files = [*ROOT.glob("*.py"), *(ROOT / "peer").glob("*.py")]
    assert len(files) > 15
    for file in files:
        for statement in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.Import):
                found = {alias.name.split(".")[0] for alias in statement.names}
            elif isinstance(statement, ast.ImportFrom):
                found = {(statement.module or "").split(".")[0]}
            else:
                continue
            assert not found & names, f"{file.name} imports {found & names}"


# -- document --


def row(name: str, role: str, ratio: float, same: bool = True, **changed: Any) -> dict[str, Any]:
    """A row as `peers.measure` makes it."""
    agreement = {
        "spikes": 900.0,
        "off": 1.0,
        "off_share": 0.4,
        "deviation": 2e-7,
        "within": 1e-2,
        "same_model": same,
    }
    return {
        "name": name,
        "role": role,
        "spikes": "many",
        "compiled": False,
        "layout": "contiguous",
        "agreement": None if role == "yardstick" else agreement,
        "same_model": same,
        "timing": {"median": ratio / 10, "n": 5},
        "ratio": ratio,
        **changed,
    }


def test_the_document_ranks_one_model_and_names_what_it_does_not_rank(tmp_path: Path) -> None:
    """Other models, failures and missing libraries stand below the table, each with its reason."""
    cell = {
        "workload": "W1",
        "rate": 10.0,
        "rows": [
            row("forward passes", "yardstick", 1.0),
            row("Spikewright native", "own", 0.5),
            row("Peer", "peer", 3.0),
            row("Peer, first layer once", "peer", 2.0),
            row("Peer, compiled", "peer", 1.5, compiled=True),
            row("Peer, compiled, first layer once", "peer", 1.25, compiled=True),
            row("Other", "peer", 0.1, same=False),
        ],
        "failed": {"Broken": "no compiler"},
        "absent": {"Missing": "missing not installed"},
        "versions": {"torch": "2.0"},
    }
    results = Results(tmp_path / "results.json", {"processor": "one"})
    results.put("peers", "W1 10", cell)
    document.write(results, tmp_path / "benchmarks.md")
    text = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    ranking = text.split("### W1")[1].split("Not ranked:")[0]
    order = [line.split("|")[1].strip(" *") for line in ranking.splitlines() if "(" in line]
    assert order[1:] == [
        "Spikewright native", "forward passes", "Peer, compiled, first layer once",
        "Peer, compiled", "Peer, first layer once", "Peer",
    ]  # fmt: skip
    assert "1.50 (150)" in ranking
    below = text.split("Not ranked:")[1].split("###")[0]
    for expected in ("Other: other model: spikes of a layer differ by 40%", "Broken: no compiler"):
        assert expected in below
    assert "Missing: missing not installed" in below
    assert "| W1, 10 % | 6.0 x (Peer) | 4.0 x (Peer) | 3.0 x (Peer) | 2.5 x (Peer) |" in text
    assert "processor: one" in text
    assert "torch 2.0" in text


def test_the_document_keeps_what_was_measured_before_on_the_same_machine(tmp_path: Path) -> None:
    """Sections that the results lack stay, unless they are of another machine."""
    page, engines = tmp_path / "benchmarks.md", {"engine": "native", "mib": [1.0], "growth": 0.0}
    memory_alone = Results(tmp_path / "memory.json", {"processor": "one"})
    memory_alone.put("memory", "native", {"rows": [engines], "steps": [32], "versions": {"a": "1"}})
    document.write(memory_alone, page)
    for processor, kept in (("one", True), ("another", False)):
        later = Results(tmp_path / f"{processor}.json", {"processor": processor})
        later.put("edges", "Four steps", {"text": "2.0 x", "versions": {"b": "2"}})
        document.write(later, page)
        found = document.sections(page.read_text(encoding="utf-8"))
        assert ("Peak memory" in found) is kept
        assert "2.0 x" in found["Four steps"]
        assert "Versions: b 2." in found["Four steps"]
        assert not kept or "Versions: a 1." in found["Peak memory"]


def test_sections_that_no_benchmark_writes_stay(tmp_path: Path) -> None:
    """On any machine, behind those that are measured."""
    page = tmp_path / "benchmarks.md"
    page.write_text("# Benchmarks\n\n## Machine\n\n* none\n\n## By hand\n\nWords.\n", "utf-8")
    document.write(Results(tmp_path / "results.json", {"processor": "one"}), page)
    found = document.sections(page.read_text(encoding="utf-8"))
    assert list(found)[-1] == "By hand"
    assert found["By hand"] == "Words."


def test_the_picture_has_the_fastest_variant_of_each_library() -> None:
    """As the page's tables have it, for every network that is drawn."""
    text = document.PATH.read_text(encoding="utf-8")
    for drawn in picture.NETWORKS:
        found = picture.fastest(text, drawn)
        assert tuple(found) == picture.LIBRARIES
        assert f"| {found['SpikingJelly']:#.3g} (" in text.split(f"### {drawn}")[1]
    bars = picture.figure(text).axes[0].containers[0]
    assert [bar.get_width() for bar in bars] == list(picture.fastest(text, "W1").values())


def test_a_part_measured_again_replaces_itself_alone(tmp_path: Path) -> None:
    """Results are kept by section and key, across processes."""
    results = Results(tmp_path / "kept" / "results.json", {})
    results.put("peers", "a", 1)
    results.put("peers", "b", 2)
    Results(results.path, {}).put("peers", "a", 3)
    assert results.section("peers") == {"a": 3, "b": 2}
    assert results.section("memory") == {}


def test_what_is_measured_at_an_edge_is_printed_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each part as it is made; with `--document` all of them under their title in the document."""
    parser = argparse.ArgumentParser()
    edges.add_arguments(parser)
    cache = ["--cache", str(tmp_path)]
    edges.write_section("Four steps", iter(["one", "two"]), parser.parse_args(cache))
    assert capsys.readouterr().out == "one\n\ntwo\n\n"
    assert not (tmp_path / "page.md").exists()

    places = [*cache, "--document", str(tmp_path / "page.md")]
    edges.write_section("Four steps", ["one", "two"], parser.parse_args(places))
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "## Four steps\n\none\n\ntwo\n" in page


# -- the other commands --


def test_peak_memory_is_that_of_a_process_of_its_own(cache: Path) -> None:
    """The peak holds nothing of this process; a run that takes too long is None."""
    ballast = np.ones(300 * 2**17)  # 300 MiB
    path = workloads.stored(DENSE, 0.5, cache)
    peak = memory.peak_of(path, "reference", None, 10, 60.0)
    assert peak is not None
    assert 20 < peak < memory.peak_mib()
    assert ballast.sum() > 0
    assert memory.peak_of(path, "reference", None, 10, 0.01) is None


def test_commands_and_document_name_no_place_of_this_machine() -> None:
    """No absolute path stands in the benchmarks' sources or in what they wrote."""
    files = [*ROOT.rglob("*.py"), *document.PATH.parent.glob("benchmarks.md")]
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"/(home|root|work|tmp|Users)/", text), file.name


# -- the other commands --
