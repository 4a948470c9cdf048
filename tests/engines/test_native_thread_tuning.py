"""How many threads a native run is given: none is woken for work below what waking costs."""

from __future__ import annotations

import numpy as np
import pytest

import spikewright as sw
from spikewright import engines

tuning = pytest.importorskip("spikewright.engines.native.thread_tuning")
pytestmark = pytest.mark.skipif(
    "native" not in engines.available(), reason="the native engine is not built"
)

WAKING = tuning._THREAD_START


def runs(found: tuning.ThreadTuner, frames: int, cost: float, times: int = 5) -> list[int]:
    """The threads of runs of so many frames, each of which takes `cost` seconds of one thread."""
    threads = []
    for _ in range(times):
        threads.append(found.threads(frames))
        spent = cost * frames / threads[-1] + WAKING * (threads[-1] - 1)
        found.record(frames, threads[-1], spent)
    return threads


def test_short_steps_wake_nobody() -> None:
    """One step of one sample takes one thread from the first on, where it is short."""
    assert runs(tuning.ThreadTuner(8), 1, WAKING / 20) == [1] * 5


def test_long_steps_use_all_threads() -> None:
    """A step that takes long tells so once, on one thread."""
    assert runs(tuning.ThreadTuner(8), 1, 100 * WAKING) == [1, 8, 8, 8, 8]


def test_a_first_run_of_many_steps_uses_all_threads() -> None:
    """Nothing is known of it; if it was short, the next one wakes fewer."""
    assert runs(tuning.ThreadTuner(4), 1000, WAKING) == [4] * 5
    assert runs(tuning.ThreadTuner(4), 1000, WAKING / 1e6) == [4, 1, 1, 1, 1]


@pytest.mark.parametrize("worth", [1, 2, 3])
def test_each_thread_is_worth_waking(worth: int) -> None:
    """Work of so many wakings, twice, is shared among so many threads."""
    found = runs(tuning.ThreadTuner(8), 1, 2.2 * worth * WAKING)
    assert found[-1] == worth


def test_steps_are_shared_while_that_pays() -> None:
    """Steps of loops that are long; where sharing was slower it is tried again after some runs."""
    found = tuning.ThreadTuner(2)
    assert not found.shares_frames  # nothing is known
    found.record(100, 1, 100 * tuning._LONG_STEP / 2)
    assert not found.shares_frames
    for _ in range(6):
        found.record(100, 1, 100 * tuning._LONG_STEP * 3)
    assert found.shares_frames
    found.record_shared(100, 100 * tuning._LONG_STEP * 2)
    assert found.shares_frames
    found.record_shared(100, 100 * tuning._LONG_STEP * 4)
    assert not found.shares_frames
    for _ in range(10):
        found.record(100, 1, 100 * tuning._LONG_STEP * 3)
    assert found.shares_frames


def test_a_slow_step_wakes_no_threads() -> None:
    """A step that others have delayed is not taken for a long one."""
    found = tuning.ThreadTuner(8)
    for spent in (WAKING, WAKING, 50 * WAKING, WAKING):
        found.record(1, 1, spent)
        assert found.threads(1) == 1


def test_threads_that_gain_nothing_are_left() -> None:
    """One thread is used again if steps on several take longer than they did on one."""
    found = tuning.ThreadTuner(2)
    found.record(1, 1, 5 * WAKING)
    assert found.threads(1) == 2
    for _ in range(3):
        found.record(1, 1, 2 * WAKING)
    found.record(1, 2, 30 * WAKING)
    found.record(1, 2, 30 * WAKING)
    assert found.threads(1) == 1


def test_threads_change_no_result() -> None:
    """Steps one by one, on a number of threads that times decide, are those of one run."""
    rng = np.random.default_rng(0)
    with sw.Network(seed=0) as net:
        drive = sw.Node(rng.uniform(0, 1, 50))
        a = sw.Ensemble(50, None, neuron_type=sw.IntegrateAndFire(), rate_scale=20.0)
        b = sw.Ensemble(30, None, neuron_type=sw.IntegrateAndFire(), rate_scale=20.0)
        sw.Connection(drive, a.neurons, synapse=None)
        weights = rng.normal(0, 0.2, (30, 50))
        sw.Connection(a.neurons, b.neurons, synapse=None, transform=weights)
        probe = sw.Probe(b.neurons)
    found = []
    for threads in (1, 4):
        with sw.Simulator(net, engine="native", threads=threads, progress=False) as sim:
            for _ in range(40):
                sim.step()
            sim.run_steps(60)
            found.append(np.array(sim.data[probe]))
    assert found[0].any()
    np.testing.assert_array_equal(*found)
