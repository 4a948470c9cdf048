"""Few events in convolutions of few channels, added line by line: the reference's numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from engines.comparing import assert_same
from engines.test_native_tiles import NEVER, native
from spikewright import engines
from spikewright.engines import Execution, compile_network
from spikewright.engines.reference import ReferenceEngine
from spikewright.network.transforms import Convolution

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from spikewright.engines.native.engine import instruction_sets

BATCH, STEPS = 2, 37  # two whole slabs of steps, and a part of one


@dataclass(frozen=True)
class Case:
    """A convolution of spikes, and how likely an input spikes in a step."""

    shape: tuple[int, int, int] = (3, 9, 11)
    out: int = 16
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: int = 1
    share: float = 0.05
    most: int = 1
    at_once: bool = False  # weights of one sign, and spikes in two steps alone

    def transform(self, rng: np.random.Generator) -> Convolution:
        weights = rng.normal(0, 1, (self.out, self.shape[0], *self.kernel))
        weights = np.abs(weights) + 3 if self.at_once else weights
        return Convolution(
            weights.astype(np.float32),
            stride=self.stride,
            dilation=self.dilation,
            padding=((self.padding, self.padding),) * 2,
        )

    def spikes(self, rng: np.random.Generator) -> NDArray:
        shape = (BATCH, STEPS, *self.shape)
        spikes = (rng.random(shape) < self.share) * rng.integers(1, self.most + 1, shape)
        if self.at_once:
            spikes[:, [t for t in range(STEPS) if t not in (5, 30)]] = 0
        return spikes.astype(np.float64)


CASES = {
    "plain": Case(),
    "32 channels": Case(out=32, shape=(70, 5, 8), share=0.01),
    "channels behind the last lane": Case(out=21),
    "two steps apart": Case(stride=(2, 2)),
    "more apart than wide": Case(stride=(3, 3), kernel=(2, 2), padding=0),
    "between one another": Case(dilation=(2, 2), padding=2),
    "without a border": Case(padding=0, kernel=(3, 5)),
    "a wide border": Case(padding=4),
    "several spikes a step": Case(most=9),
    "sums beyond 32 bits": Case(
        (8, 12, 12), kernel=(5, 5), padding=2, at_once=True, share=0.7, most=3
    ),
    "silence": Case(share=0.0),
}


def _network(case: Case, rng: np.random.Generator) -> tuple[sw.Network, sw.Node]:
    """Two convolutions: of spikes from outside, and of those of neurons."""
    with sw.Network(seed=0) as net:
        node = sw.Node(np.zeros(case.shape))
        senders = sw.Ensemble(
            case.shape, None, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=0.0
        )
        sw.Connection(node, senders.neurons, synapse=None)
        for source in (node, senders.neurons):
            transform = case.transform(rng)
            out = transform.output_shape(case.shape)
            cells = sw.Ensemble(
                out, None, neuron_type=sw.IntegrateAndFire(), gain=2.0**-5, bias=0.03
            )
            sw.Connection(source, cells.neurons, transform=transform, synapse=None)
            sw.Probe(cells.neurons)
            sw.Probe(cells.neurons, "input")
    return net, node


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("isa", instruction_sets())
def test_lines_of_few_events_are_the_references_sums(isa: str, case: str) -> None:
    """Bit for bit, in every geometry, whatever the blocks and threads."""
    rng = np.random.default_rng(3)
    net, node = _network(CASES[case], rng)
    x = CASES[case].spikes(rng) * 8.0  # a spike a step of 1/8 second
    program = compile_network(net, 0.125, 0, "float32").with_varying_sources({node})
    expected = Execution(program, ReferenceEngine(), BATCH).run(STEPS, {node: x})
    if CASES[case].share:
        assert all(np.any(one) for one in expected)
    for threads, block in ((1, None), (2, 5)):
        engine = native(NEVER, isa, threads)
        assert_same(Execution(program, engine, BATCH, block=block).run(STEPS, {node: x}), expected)
