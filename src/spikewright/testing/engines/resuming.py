"""Runs that end early: what was recorded stays, and going on gives what one run gives."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikewright.engines import Engine, Execution, Program, Tape
from spikewright.engines.recording import Recorder
from spikewright.network import Connection, Ensemble, Network, Node, Probe
from spikewright.network.neurons import SpikingRectifiedLinear
from spikewright.network.processes import FilteredNoise, WhiteNoise
from spikewright.network.synapses import Lowpass
from spikewright.testing.engines.base import Suite, in_turn
from spikewright.testing.engines.learning import learning_setting
from spikewright.testing.learning import RuleExample, rule_examples
from spikewright.testing.modelling import neuron_type_examples, synapse_examples

_STEPS, _BATCH, _SIZE = 17, 2, 6
_BLOCKS = (1, 4, 50)


class Counting:
    """A function of a node that keeps how often it was called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, t: float, x: NDArray) -> NDArray:
        self.calls += 1
        return x + 0.125 * (self.calls % 5)


@contextmanager
def interrupted(after: int) -> Iterator[None]:
    """The user interrupts a run when `after` signals or groups of them have been recorded."""
    take, done = Recorder.take, 0

    def counted(self: Recorder, *given: Any) -> None:
        nonlocal done
        take(self, *given)
        done += 1
        if done == after:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "take", counted)
        yield


class ResumingTests(Suite):
    """Interruptions at any place, and states that are put into another execution."""

    def test_all_neuron_types_and_synapses_go_on(self) -> None:
        """Wherever a run is interrupted, going on gives the bits of a run that was not."""
        rng = np.random.default_rng(3)
        with Network(seed=0) as net:
            source = Node(np.zeros(_SIZE))
            for example in neuron_type_examples():
                cells = Ensemble(_SIZE, neuron_type=example.neuron_type, gain=1.0, bias=0.25)
                Connection(source, cells.neurons, None)
                Probe(cells.neurons)
            for synapse in synapse_examples():
                Probe(source, synapse=synapse.synapse, sample_every=0.002)
        feeds = {source: rng.integers(-8, 33, (_BATCH, _STEPS, _SIZE)) / 8.0}
        self._check(net, feeds, block=4)

    @in_turn(rule_examples(), "block", _BLOCKS)
    def test_what_is_learned_goes_on(self, example: RuleExample, block: int) -> None:
        """The same of weights that change, and of what their rules keep."""
        setting = learning_setting(example.rule, example.rule.modifies, _STEPS, batch=_BATCH)
        self._check(setting.network, setting.inputs, block)

    @pytest.mark.parametrize("block", _BLOCKS)
    def test_python_is_called_once_a_step(self, block: int) -> None:
        """The same of functions that keep something, processes, delays and loops.

        Functions are not called again for a step that they were called for.
        """
        with Network(seed=0) as net:
            counting = Counting()
            source = Node(np.zeros(_SIZE))
            called = Node(counting, size_in=_SIZE)
            clock = Node(lambda t: np.sin(20.0 * t))
            cells = Ensemble(_SIZE, neuron_type=SpikingRectifiedLinear(), gain=100.0, bias=1.0)
            noise = Node(FilteredNoise(Lowpass(0.01)), size_out=_SIZE)
            Connection(source, called, None)
            Connection(called, cells.neurons, None)
            Connection(cells.neurons, called, 0.005, 0.01)
            Connection(noise, cells.neurons, None)
            Connection(clock, cells.neurons, None, np.ones((_SIZE, 1)))
            Connection(Node(WhiteNoise(), size_out=_SIZE), cells.neurons, 0.01)
            for target in (called, cells.neurons, noise, clock):
                Probe(target)
        feeds = {source: np.random.default_rng(4).normal(size=(_BATCH, _STEPS, _SIZE))}
        self._check(net, feeds, block)
        assert counting.calls > 0

    def _check(self, net: Network, feeds: Mapping[Node, NDArray], block: int) -> None:
        compiled = self.compiled(net, 0.001)
        whole = _run(compiled, feeds, block, 10**9)
        stages = len(Execution(*compiled, _BATCH)._stages)
        for after in (1, stages, 2 * stages - 1, 2 * stages):
            for found in _run(compiled, feeds, block, after)[1:]:
                for value, expected in zip(found, whole[0], strict=True):
                    np.testing.assert_array_equal(value, expected)


def _run(
    compiled: tuple[Program, Engine], feeds: Mapping[Node, NDArray], block: int, after: int
) -> list[list[NDArray]]:
    """Recordings of a run that is interrupted and goes on: a first time, and by its state.

    Functions of nodes begin with copies, so that they have not been called before.
    """
    program, engine = compiled
    made = _begun(program, engine, block)
    fresh = made.state(apart=True)
    made.restore(fresh)
    tapes = [Tape.of(program, one, _BATCH) for one in program.recordings]
    try:
        with interrupted(after):
            made.run(_STEPS, feeds, tapes=tapes)
    except KeyboardInterrupt:
        done = made.step
    else:
        return [[tape.array() for tape in tapes]]
    kept = [tape.array().copy() for tape in tapes]
    for one, tape in zip(program.recordings, kept, strict=True):
        assert tape.shape[1] == done // one.every
    other = _begun(program, engine, block)
    other.restore(copy.deepcopy(made.state(apart=True)))
    rest = {node: fed if fed.shape[1] == 1 else fed[:, done:] for node, fed in feeds.items()}
    found = [kept]
    for execution in (made, other):
        arrays = execution.run(_STEPS - done, rest)
        pairs = zip(kept, arrays, strict=True)
        found.append([np.concatenate(pair, axis=1) for pair in pairs])
    return found


def _begun(program: Program, engine: Engine, block: int) -> Execution:
    return Execution(program, engine, _BATCH, block=block, resumable=True)
