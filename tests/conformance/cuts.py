"""Results do not depend on how the work was cut, on interruptions, nor on the engine."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from conformance.base import Suite, both, in_turn
from conformance.learning import learning_setting
from conformance.mixed import MixedNetwork
from conformance.rule_examples import RuleExample, rule_examples
from spikewright import engines
from spikewright.engines import Engine, Execution, Precision, Program, Tape
from spikewright.engines.recording import Recorder
from spikewright.network import Connection, Ensemble, Network, Node, Probe
from spikewright.network.neurons import SpikingRectifiedLinear
from spikewright.network.processes import FilteredNoise, WhiteNoise
from spikewright.network.synapses import Lowpass
from spikewright.testing.modelling import neuron_type_examples, synapse_examples


class CutTests(Suite):
    """Batches, orders, blocks, splits and engines."""

    @both
    def test_runs_repeat(self, precision: Precision) -> None:
        """The same network, input and seed give the same numbers to the last bit."""
        mixed = MixedNetwork()
        feeds = {mixed.stimulus: mixed.feed(2, 12)}
        runs = [
            self.run(mixed.network, 12, dt=mixed.dt, batch=2, feeds=feeds, precision=precision)
            for _ in range(2)
        ]
        for probe in runs[0]:
            np.testing.assert_array_equal(runs[0][probe], runs[1][probe])
        other = self.run(
            mixed.network, 12, dt=mixed.dt, batch=2, feeds=feeds, precision=precision, seed=1
        )
        assert any(not np.array_equal(other[probe], runs[0][probe]) for probe in other)

    @pytest.mark.parametrize(("held", "precision"), [(False, "float32"), (True, "float64")])
    def test_batch_order_blocks_chunks_and_splits_change_nothing(
        self, held: bool, precision: Precision
    ) -> None:
        """A sample's result is its own, in whatever batch, order, block and run it is computed."""
        mixed = MixedNetwork()
        steps, batch = 24, 7
        fed = mixed.feed(batch, 1 if held else steps)

        def go(samples: Any, steps: Any = steps, **cut: int) -> dict[Probe, NDArray]:
            feeds = {mixed.stimulus: fed[samples]}
            size = len(feeds[mixed.stimulus])
            return self.run(
                mixed.network, steps, dt=mixed.dt, batch=size, feeds=feeds, precision=precision,
                **cut,
            )  # fmt: skip

        whole = go(slice(None))
        order = np.random.default_rng(9).permutation(batch)
        self._same(go(order), {p: v[order] for p, v in whole.items()}, mixed)
        self._same(go([3]), {p: v[3:4] for p, v in whole.items()}, mixed)
        assert all(whole[probe].any() for probe in mixed.activity.values())
        for cut in ({"block": 1}, {"block": 5}, {"chunk": 3}, {"block": 7, "chunk": 1}):
            self._same(go(slice(None), **cut), whole, mixed)
        self._same(go(slice(None), steps=(1, 10, 0, 13)), whole, mixed)

    @both
    def test_single_steps_are_a_run(self, precision: Precision) -> None:
        """Step by step, in turn with runs, everything is as in one run."""
        mixed = MixedNetwork()
        mixed.stimulus.output = mixed.feed(1, 1)[0, 0]
        whole = self.run(mixed.network, 20, dt=mixed.dt, batch=2, precision=precision)
        program, engine = self.compiled(mixed.network, mixed.dt, precision)
        execution = Execution(program, engine, 2)
        tapes = [Tape.of(program, one, 2) for one in program.recordings]
        for _ in range(8):
            execution.advance(tapes)
        execution.run(5, tapes=tapes)
        for _ in range(7):
            execution.advance(tapes)
        probes = (one.probe for one in program.recordings)
        found = {p: tape.array() for p, tape in zip(probes, tapes, strict=True)}
        self._same(found, whole, mixed)
        assert all(whole[probe].any() for probe in mixed.activity.values())

    def _same(
        self, found: Mapping[Probe, NDArray], expected: Mapping[Probe, NDArray], mixed: MixedNetwork
    ) -> None:
        for probe, value in expected.items():
            if self.is_exact():
                np.testing.assert_array_equal(found[probe], value, err_msg=repr(probe))
            else:
                _nearly_same(found[probe], value, mixed.quantum(probe), repr(probe))

    @both
    def test_agrees_with_the_reference_engine(self, precision: Precision) -> None:
        """Every engine runs the program that the reference engine runs."""
        mixed = MixedNetwork()
        feeds = {mixed.stimulus: mixed.feed(4, 30)}
        found = self.run(mixed.network, 30, dt=mixed.dt, batch=4, feeds=feeds, precision=precision)
        program = engines.compile_network(mixed.network, mixed.dt, 0, precision)
        execution = Execution(program, engines.get("reference", program), 4)
        arrays = execution.run(30, feeds)
        for recording, value in zip(program.recordings, arrays, strict=True):
            probe = recording.probe
            _nearly_same(found[probe], value, mixed.quantum(probe), repr(probe))


def _nearly_same(found: NDArray, expected: NDArray, quantum: float, where: str) -> None:
    """Running sums stay within two spikes of height `quantum`, and few values differ by more."""
    difference = np.cumsum(found.astype(np.float64) - expected, axis=1)
    assert np.abs(difference).max(initial=0.0) <= 2.0 * quantum, where
    moved = np.abs(found.astype(np.float64) - expected) > 1e-3 * quantum
    assert moved.mean() < 0.02, where


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
    take, done = Recorder.record, 0

    def counted(self: Recorder, *given: Any) -> None:
        nonlocal done
        take(self, *given)
        done += 1
        if done == after:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "record", counted)
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
        program, engine = compiled = self.compiled(net, 0.001)
        whole = _interrupted_run(compiled, feeds, block, 10**9)
        stages = len(engine.prepare(program).components)
        for after in (1, stages, 2 * stages - 1, 2 * stages):
            for found in _interrupted_run(compiled, feeds, block, after)[1:]:
                for value, expected in zip(found, whole[0], strict=True):
                    np.testing.assert_array_equal(value, expected)


def _interrupted_run(
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
