"""The native engine beside other Python threads, and Ctrl-C."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from engines.comparing import assert_same
from spikewright import engines

pytestmark = pytest.mark.skipif(
    "native" not in engines.available(), reason="the native engine is not built"
)


def network(neurons: int = 300, seed: int = 0, every: float | None = None) -> sw.Network:
    """A constant into a population that feeds another and itself."""
    rng = np.random.default_rng(seed)
    with sw.Network(seed=seed) as net:
        stimulus = sw.Node(rng.uniform(0.0, 1.0, 20))
        a = sw.Ensemble(neurons, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=0.0)
        b = sw.Ensemble(neurons, neuron_type=sw.LIF(), gain=1.0, bias=1.5)
        weights = rng.normal(0.0, 1.0, (neurons, 20))
        sw.Connection(stimulus, a.neurons, synapse=None, transform=weights)
        within = rng.normal(0.0, 0.001, (neurons, neurons))
        sw.Connection(a.neurons, b.neurons, synapse=0.01, transform=within)
        sw.Connection(b.neurons, b.neurons, synapse=0.02, transform=within)
        sw.Probe(a.neurons, label="a", sample_every=every)
        sw.Probe(b.neurons, label="b", sample_every=every)
    return net


def recorded(sim: sw.Simulator) -> list[np.ndarray]:
    """What all probes have recorded."""
    return [np.array(sim.data[probe]) for probe in sim.network.all_probes]


def simulated(seed: int) -> list[np.ndarray]:
    """A short simulation on two threads."""
    with sw.Simulator(network(seed=seed), engine="native", threads=2, progress=False) as sim:
        sim.run_steps(200)
        return recorded(sim)


def test_simulators_in_several_threads_do_not_disturb_each_other() -> None:
    """Eight simulations in four Python threads give, bit for bit, what each gives alone."""
    alone = [simulated(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(simulated, range(8)))
    for one, other in zip(alone, together, strict=True):
        assert_same(one, other)
    assert any(x.any() for x in alone[0])


def test_one_conversion_runs_in_several_threads() -> None:
    """A conversion's first and later runs may go on side by side: each has a state of its own."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(30, 64), torch.nn.ReLU(), torch.nn.Linear(64, 48), torch.nn.ReLU(),
        torch.nn.Linear(48, 5),
    )  # fmt: skip
    x = np.random.default_rng(0).uniform(0.0, 1.0, (12, 30)).astype(np.float32)
    example = torch.zeros(1, 30)
    alone = sw.convert(model, spiking=True, example_input=example)
    expected = alone.run(x, steps=60, dt=1.0, engine="native", progress=False).output
    shared = sw.convert(model, spiking=True, example_input=example)

    def run(_: int) -> np.ndarray:
        return np.asarray(shared.run(x, steps=60, dt=1.0, engine="native", progress=False).output)

    with ThreadPoolExecutor(4) as pool:
        for output in pool.map(run, range(12)):
            np.testing.assert_array_equal(output, expected)


def test_weights_are_made_once_for_threads_that_begin_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A region that one thread still fills is not run by another, nor filled twice."""
    from spikewright.engines.native.engine import NativeEngine  # late: needs a compiler
    from spikewright.engines.native.regions import Region, with_regions
    from spikewright.engines.native.weight_packing import LayerPacking, PackedMatrix

    filled: list[object] = []
    fill = LayerPacking.pack

    def slowly(self: LayerPacking, kernels: Any, threads: int) -> PackedMatrix:
        filled.append(self)
        time.sleep(0.05)  # other threads get here, if they may
        return fill(self, kernels, threads)

    monkeypatch.setattr(LayerPacking, "pack", slowly)
    with sw.Network(seed=0) as net:
        a, b = (sw.Ensemble(30, None, neuron_type=sw.IntegrateAndFire()) for _ in range(2))
        sw.Connection(a.neurons, b.neurons, transform=np.eye(30), synapse=None)
        sw.Probe(b.neurons)
    program = with_regions(engines.compile_network(net, 0.001, 0, "float32"))
    region = next(op for op in program.operators if isinstance(op, Region))
    engine = NativeEngine(threads=1)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: engine.kernel(region, program, 1, False), range(4)))
    assert filled
    assert len(filled) == len({id(one) for one in filled})


def test_other_python_threads_go_on_during_a_run() -> None:
    """The interpreter's lock is released: another thread takes many turns while a block runs."""
    turns = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal turns
        while not done.is_set():
            time.sleep(0.001)
            turns += 1

    with sw.Simulator(network(1500), engine="native", threads=1, progress=False) as sim:
        sim.run_steps(1)
        watcher = threading.Thread(target=watch)
        watcher.start()
        start = time.perf_counter()
        sim.run_steps(1000)  # one block: one call of the kernels
        took = time.perf_counter() - start
        done.set()
        watcher.join()
    assert turns > 10, f"{turns} turns in {took:.2f} s"


INTERRUPTED = """
import sys, threading, time, signal, os
import numpy as np
sys.path.insert(0, {tests!r})
import spikewright as sw
from engines.test_native_threads import network, recorded

sim = sw.Simulator(network(1000, every=0.01), engine="native", threads={threads}, progress=False)
sim.run_steps(5)
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what runs in the background
sent = []

def interrupt():
    sent.append(time.process_time())
    os.kill(os.getpid(), signal.SIGINT)

try:
    threading.Timer(0.3, interrupt).start()
    sim.run_steps(10_000_000)
except KeyboardInterrupt:
    print("stopped", (time.process_time() - sent[0]) / {threads})
sim.reset()
sim.run_steps(50)
with sw.Simulator(network(1000, every=0.01), engine="native", threads=1, progress=False) as fresh:
    fresh.run_steps(50)
    same = all(np.array_equal(x, y) for x, y in zip(recorded(sim), recorded(fresh)))
print("same", same)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent to a process of one's own")
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_stops_a_run_within_a_second(threads: int) -> None:
    """The run raises KeyboardInterrupt, and the simulator works afterwards as a new one does.

    A second of each thread's processor time, which other processes do not take from it.
    """
    code = INTERRUPTED.format(tests=str(Path(__file__).parents[1]), threads=threads)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    words = done.stdout.split()
    assert words[0] == "stopped"
    assert float(words[1]) < 1.0
    assert words[2:] == ["same", "True"]
