"""Ready-made networks on every engine."""

from __future__ import annotations

import numpy as np
import pytest
from examples import EXAMPLES, driven
from running import run

import spikewright as sw


@pytest.mark.parametrize("name", EXAMPLES)
def test_engines_agree(name: str) -> None:
    """The native engine to the bit, others that there are within 1e-4 of the largest value."""
    net, probe = driven(name)
    wanted = run(net, probe, 60, engine="reference")
    assert np.any(wanted != 0)
    for engine in set(sw.engines.available()) - {"reference"}:
        got = run(net, probe, 60, engine=engine)
        if engine == "native":
            np.testing.assert_array_equal(got, wanted)
        else:
            np.testing.assert_allclose(got, wanted, atol=1e-4 * np.max(np.abs(wanted)))


@pytest.mark.parametrize("name", ["Product", "BasalGanglia", "AssociativeMemory"])
def test_samples_of_a_batch_are_runs_of_their_own(name: str) -> None:
    """Each as it runs alone."""
    net, probe = driven(name)
    node = next(n for n in net.nodes if n.size_in == 0)
    fed = np.random.default_rng(2).uniform(-1, 1, (3, node.size_out))
    results = []
    for samples in (fed, fed[:1], fed[2:]):
        with sw.Simulator(net, batch_size=len(samples)) as sim:
            sim.run_steps(40, {node: samples})
            results.append(sim.data[probe])
    np.testing.assert_array_equal(results[0][:1], results[1])
    np.testing.assert_array_equal(results[0][2:], results[2])
    assert not np.array_equal(results[0][0], results[0][1])
