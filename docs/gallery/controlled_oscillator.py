"""Controlled oscillator: a loop with its speed as one of the values that it represents.

Two values turn in a circle and the third sets the speed: `x' = -w s y`, `y' = w s x`.
"""

import numpy as np

import spikewright as sw
from spikewright.report import figures

tau, omega = 0.1, 2 * np.pi * 2  # 2 turns a second at full speed


def turn(v):
    """What the loop feeds back: where the point is, and `tau` times where it is going."""
    x, y, speed = v
    grow = 1 + tau * 10 * (0.64 - x**2 - y**2)  # towards a circle of radius 0.8
    return grow * x - tau * omega * speed * y, grow * y + tau * omega * speed * x


with sw.Network(seed=0) as net:
    speed = sw.Node(lambda t: 1.0 if t < 1.5 else -0.5)
    kick = sw.Node(lambda t: [0.8 if t < 0.1 else 0.0, 0.0])
    state = sw.Ensemble(1500, 3, radius=1.7)
    sw.Connection(speed, state[2])
    sw.Connection(kick, state[:2])
    sw.Connection(state, state[:2], function=turn, synapse=tau)
    decoded = sw.Probe(state, synapse=0.02)
with sw.Simulator(net) as sim:
    sim.run(3.5)

x, y, _ = sim.data[decoded].T
angle = np.unwrap(np.arctan2(y, x)) / (2 * np.pi)
first, second = angle[1499] - angle[499], (angle[3499] - angle[1999]) / 1.5
print(f"turns a second: {first:.2f} of 2, then {second:.2f} of -1")
print(f"error of the first {abs(first - 2) / 2:.3f} (at most 0.1)")
points = np.stack([x, y], axis=1)
figure = figures.draw(figures.decoded_info(sim.trange(), points, None, ("x", "y")))
