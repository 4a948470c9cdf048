"""Learning rules against golden numbers, measured on nengo 4.1.0 with every parameter given."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest

import spikewright as sw
from slowly import in_turn
from spikewright import engines


class Golden(NamedTuple):
    """A rule, where it acts, the weights of step 200, and each receiver's spikes up to there."""

    rule: Any
    form: str
    weights: list[float]
    spikes: list[int]


GOLDEN = {
    "pes": Golden(
        sw.PES(1e-2), "value", [0.00421398041, -0.0206393755, 0.00839857812], [6, 33]
    ),
    "pes into neurons": Golden(
        sw.PES(1e-4),
        "neurons",
        [
            0.00407379935, -0.00265464585, 0.0012299526, 0.000955720392, 0.00339278751,
            -0.00413797156,
        ],
        [17, 23],
    ),
    "rls": Golden(
        sw.RLS(1e-2), "value", [-0.000808597682, -0.00153527265, -0.000246168017], [6, 27]
    ),
    "bcm": Golden(
        sw.BCM(1e-6, post_synapse=sw.Lowpass(0.01), theta_synapse=sw.Lowpass(0.1)),
        "neurons",
        [1.25875527, 0.995931114, 2.0275573, 1.00310127, 1.09994524, 1.68103397],
        [89, 83],
    ),
    "oja": Golden(
        sw.Oja(1e-5, beta=0.5),
        "neurons",
        [0.0362532596, 0.0466904167, 0.0575857369, 0.0192551649, 0.0491070964, 0.0284287029],
        [63, 47],
    ),
    "voja": Golden(sw.Voja(0.1), "encoders", [3.17562443, -2.00281152], [15, 27]),
    "bcm and oja": Golden(
        [sw.BCM(1e-6, theta_synapse=sw.Lowpass(0.1)), sw.Oja(1e-5)],
        "neurons",
        [1.12665682, 0.934065226, 1.80901173, 1.02535201, 1.04180861, 1.66610409],
        [91, 86],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "engine"), in_turn(GOLDEN, engines.available()))
def test_weights_after_200_steps(name: str, engine: str) -> None:
    """Three leaky neurons, and two that they lead to; inputs are sines, synapses as written."""
    golden = GOLDEN[name]
    with sw.Network(seed=0) as net:
        a = sw.Ensemble(
            3, gain=[4.0, 6.0, 5.0], bias=[1.0, 2.0, 3.0], encoders=[1.0, -1.0, 1.0],
            initial_voltage="zero",
        )  # fmt: skip
        b = sw.Ensemble(
            2, gain=[5.0, 3.0], bias=[2.0, 4.0], encoders=[1.0, -1.0], radius=1.5,
            initial_voltage="zero",
        )  # fmt: skip
        stimulus = sw.Node(lambda t: math.sin(30 * t))
        sw.Connection(stimulus, a, None)
        sw.Connection(sw.Node(lambda t: 0.5 * math.cos(20 * t)), b, None)
        ends: dict[str, Any] = {
            "value": (a.neurons, b, [[0.002, -0.001, 0.0015]]),
            "neurons": (a.neurons, b.neurons, [[0.004, -0.002, 0.001], [0.001, 0.003, -0.004]]),
            "encoders": (stimulus, b, None),
        }
        pre, post, matrix = ends[golden.form]
        link = sw.Connection(pre, post, 0.01, matrix, learning_rule_type=golden.rule)
        if not isinstance(golden.rule, list) and link.learning_rule.size_in:
            sw.Connection(sw.Node(lambda t: math.cos(40 * t)), link.learning_rule, 0.02)
        changing: Any = (b, "scaled_encoders") if golden.form == "encoders" else (link, "weights")
        weights, spikes = sw.Probe(*changing), sw.Probe(b.neurons, "spike_count")
    with sw.Simulator(net, precision="float64", engine=engine) as sim:
        sim.run_steps(200)
    np.testing.assert_allclose(sim.data[weights][-1].ravel(), golden.weights, rtol=1e-8)
    assert sim.data[spikes].sum(axis=0).tolist() == golden.spikes
