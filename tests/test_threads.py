"""Numbers of threads: from 1 to 256 wherever they enter, and threads that cannot start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import spikewright as sw
from slowly import in_turn
from spikewright import demo, engines
from spikewright.cli.main import main
from spikewright.engines.native.engine import THREADS_VARIABLE, NativeEngine
from spikewright.engines.torch import TorchEngine
from spikewright.errors import BuildError, SpikewrightError


def network() -> sw.Network:
    """Neurons that count."""
    with sw.Network(seed=0) as net:
        cells = sw.Ensemble(600, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=0.0)
        weights = np.random.default_rng(0).normal(0.0, 1.0, (600, 20))
        sw.Connection(sw.Node(np.ones(20)), cells.neurons, None, weights)
        sw.Probe(cells.neurons)
    return net


@cache
def conversion() -> sw.Conversion:
    """A small converted model."""
    return sw.convert(demo.MODEL)


def data() -> tuple[Any, Any]:
    """Two samples and their labels."""
    _, (x, y) = demo.digits()
    return x[:2], y[:2]


ENTRIES: dict[str, Callable[[Any], Any]] = {
    "Simulator": lambda n: sw.Simulator(network(), threads=n),
    "engines.get": lambda n: engines.get("auto", sw.Simulator(network()).program, n),
    "NativeEngine": lambda n: NativeEngine(n),
    "TorchEngine": lambda n: TorchEngine("cpu", n),
    "run": lambda n: conversion().run(data()[0], steps=2, threads=n),
    "stream": lambda n: conversion().stream(threads=n),
    "evaluate": lambda n: conversion().evaluate(*data(), steps=2, threads=n),
    "sweep": lambda n: sw.sweep(conversion(), *data(), steps=2, threads=n),
}


@pytest.mark.parametrize(
    ("entry", "threads"), in_turn(ENTRIES, [0, 257, 10**6, 10**30, 2.5, "2", True])
)
def test_numbers_of_threads_are_from_1_to_256(entry: str, threads: Any) -> None:
    """Any other is refused where it enters, before a thread is started."""
    with pytest.raises(SpikewrightError, match=r"threads must be .*from 1 to 256, got "):
        ENTRIES[entry](threads)


@pytest.mark.parametrize("threads", ["0", "257", "9" * 5000, "-1", "two", "1.0"])
def test_the_environment_has_the_same_limit(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named."""
    monkeypatch.setenv(THREADS_VARIABLE, threads)
    with pytest.raises(BuildError, match=f"{THREADS_VARIABLE} must be .*from 1 to 256"):
        NativeEngine()


@pytest.mark.parametrize("threads", ["0", "257"])
def test_commands_have_the_same_limit(threads: str) -> None:
    """All commands share the option."""
    found = CliRunner().invoke(main, ["evaluate", "model.keras", "--threads", threads])
    assert found.exit_code == 2 and "a whole number from 1 to 256" in found.output


def test_as_many_as_the_limit_run() -> None:
    """256 threads give what one gives."""
    found = []
    for threads in (1, 256):
        sim = sw.Simulator(network(), engine="native", threads=threads, progress=False)
        sim.run_steps(40)
        found.append(sim.data[sim.network.all_probes[0]])
    np.testing.assert_array_equal(*found)


def in_a_process(code: str) -> str:
    """What a process of its own prints, whose address space is limited."""
    begin = """
        import resource
        import numpy as np
        import spikewright as sw
        from spikewright import engines
        from spikewright.engines import run
        from spikewright.errors import SimulationError
        from test_threads import network

        def limit(more):
            pages = int(open("/proc/self/statm").read().split()[0])
            room = pages * resource.getpagesize() + more if more else resource.RLIM_INFINITY
            resource.setrlimit(resource.RLIMIT_AS, (room, resource.RLIM_INFINITY))
    """
    text = dedent(begin) + dedent(code)
    made = subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        cwd=__file__.rpartition("/")[0],
    )
    assert made.returncode == 0, made.stderr
    return made.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_threads_that_cannot_start_are_an_error() -> None:
    """The run ends with the number of the thread, and the simulator goes on when there is room."""
    said = in_a_process(
        """
        whole = sw.Simulator(network(), engine="native", threads=1, progress=False)
        whole.run_steps(60)
        sim = sw.Simulator(network(), engine="native", threads=256, progress=False, block=40)
        limit(120 * 2**20)
        try:
            sim.run_steps(60)
        except SimulationError as error:
            print(error)
        limit(0)
        (probe,) = sim.network.all_probes
        assert len(sim.data[probe]) == sim.n_steps < 60
        sim.run_steps(60 - sim.n_steps)
        (known,) = whole.network.all_probes
        np.testing.assert_array_equal(sim.data[probe], whole.data[known])
        """
    )
    assert "native engine: the system cannot start thread " in said and "fewer threads=" in said


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_memory_that_runs_out_in_kernels_is_an_error() -> None:
    """It says how much was asked for; the simulator goes on when there is room."""
    said = in_a_process(
        """
        run.available = run.recently_available = lambda: None  # else the need is told before
        with sw.Network(seed=0) as net:
            source = sw.Node(np.linspace(0.0, 1.0, 200_000))
            first = sw.Ensemble(200_000, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=0.0)
            second = sw.Ensemble(200_000, neuron_type=sw.LIF(), gain=1.0, bias=1.1)
            sw.Connection(source, first.neurons, None)
            sw.Connection(first.neurons, second.neurons, 0.01, 0.01)
            probe = sw.Probe(second.neurons[:3])
        sim = sw.Simulator(net, engine="native", threads=1, progress=False)
        sim.run_steps(5)
        for room in range(2, 200, 6):
            limit(room * 2**20)
            try:
                sim.run_steps(64)
            except SimulationError as error:
                limit(0)
                print(error)
            else:
                break
        limit(0)
        sim.run_steps(3)
        assert len(sim.data[probe]) == sim.n_steps
        print("done", sim.n_steps)
        """
    )
    assert "native engine: the system has no memory left for " in said
    assert " bytes" in said and "done" in said
