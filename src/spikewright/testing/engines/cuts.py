"""Results do not depend on how the work was cut, nor on the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikewright import engines
from spikewright.engines import Execution, Precision, Tape
from spikewright.network import Probe
from spikewright.testing.engines.base import Suite, both
from spikewright.testing.mixed import MixedNetwork


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
        self,
        found: Mapping[Probe, NDArray],
        expected: Mapping[Probe, NDArray],
        mixed: MixedNetwork,
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
