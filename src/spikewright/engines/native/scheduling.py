"""Scheduling of a region's kernels: blocks that fit a cache, on as many threads as pay off."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from spikewright.engines.base import RunSpan
from spikewright.engines.native import _kernels
from spikewright.engines.native.host_callbacks import HostCall
from spikewright.engines.native.region_builder import CompiledRegion
from spikewright.engines.native.regions import Region
from spikewright.engines.native.thread_tuning import ThreadTuner
from spikewright.engines.native.weight_packing import ListingThresholds
from spikewright.errors import SimulationError

# Bytes that the buffers of a group of samples and a block of steps may take: half of a second-level
# cache. With fewer than the least steps, loading and storing voltages takes too much of the time.
_CACHE_BYTES = 512 * 1024
_LEAST_STEPS, _MOST_STEPS, _MOST_SAMPLES = 32, 128, 16


class RegionRunner:
    """Runs one region on as many threads as are worthwhile."""

    def __init__(
        self, op: Region, built: CompiledRegion, isa: str, threads: int, dense: float = math.inf
    ) -> None:
        self._op, self._built, self._isa, self._tuner = op, built, isa, ThreadTuner(threads)
        self._dense = dense

    def run(self, state: _kernels.RegionState, batch: int, steps: int, **given: Any) -> bool:
        """Advance the state by some steps; returns whether counts of an output exceed bytes.

        `given` are further arguments of the kernels' run. Raises `SimulationError` if the user
        interrupts it.
        """
        wanted, long = self._tuner.threads(batch * steps), self._tuner.shares_frames
        block, group, threads = split_work(self._op, self._built, batch, steps, wanted, long)
        begun = perf_counter()
        outcome = state.run(
            steps=steps,
            block=block,
            group=group,
            threads=threads,
            isa=self._isa,
            dense=self._dense,
            **given,
        )
        spent = perf_counter() - begun
        if self._op.loops and threads > batch:
            self._tuner.record_shared(batch * steps, spent)
        else:
            self._tuner.record(batch * steps, threads, spent)
        return self._exceeded(outcome)

    def prepare_step(
        self, state: _kernels.RegionState, batch: int, **arrays: Any
    ) -> _kernels.StepRunner:
        """Prepare single steps of the state on one thread, with these input and output arrays."""
        _, group, _ = split_work(self._op, self._built, batch, 1, 1)
        return _kernels.StepRunner(state=state, group=group, isa=self._isa, **arrays)

    def uses_one_thread(self, batch: int) -> bool:
        """Whether more than one thread would not speed up a step."""
        return self._tuner.threads(batch) == 1

    def step(
        self, stepping: _kernels.StepRunner, batch: int, number: int, calls: Sequence[HostCall]
    ) -> bool:
        """Run the step after step `number`; all else is as in `run`."""
        begun = perf_counter()
        outcome = stepping.step(number, self._tuner.is_brief(batch), calls)
        self._tuner.record(batch, 1, perf_counter() - begun)
        return self._exceeded(outcome)

    def _exceeded(self, outcome: int) -> bool:
        if outcome not in (0, 1):
            raise SimulationError(f"{self._op.label}: the run was interrupted")
        return bool(outcome)


def split_work(
    op: Region, built: CompiledRegion, batch: int, steps: int, threads: int, long: bool = False
) -> tuple[int, int, int]:
    """The steps and samples that are computed at once, and the number of threads.

    In a loop threads take samples; where these are few and steps are `long`, they share each step.
    """
    if op.host_operators:  # functions are called for all samples of a step before the next step
        return 1, batch, 1
    if op.loops:
        fitting = max(1, _CACHE_BYTES // max(1, sum(built.state_bytes.values())))
        if long and batch < threads:
            return 1, min(_MOST_SAMPLES, fitting, batch), threads
        threads = min(threads, batch)
        return 1, min(_MOST_SAMPLES, fitting, batch // threads), threads
    return *fit_to_cache(built.step_bytes, batch, steps, threads), threads


def workspace_bytes(
    op: Region,
    built: CompiledRegion,
    batch: int,
    steps: int,
    threads: int,
    thresholds: ListingThresholds,
) -> int:
    """Temporary memory of a run, in bytes: buffers and event lists of every worker's group."""
    block, workers, group = _workers(op, built, batch, steps, threads)
    lists = built.event_list_bytes.bytes(block, thresholds)
    return workers * group * (block * built.buffer_bytes + lists)


def state_bytes(
    op: Region, built: CompiledRegion, batch: int, span: RunSpan | None, threads: int, tally: bool
) -> Counter[str]:
    """State in bytes by label: that of all samples, and the next state of every worker's group.

    The first block of a run reads no state. Where all samples are one group, its next state becomes
    the state itself. If no block follows, voltages are not stored, and only totals are returned.
    """
    whole = Counter({label: size * batch for label, size in built.state_bytes.items()})
    if span is None:
        return whole
    steps = min(span.steps, span.block)
    block, workers, group = _workers(op, built, batch, steps, threads)
    one, once = Counter(built.state_bytes), span.steps <= span.block
    ends = once and span.last
    if ends and block >= steps:
        one.subtract(built.voltage_bytes)
    if once and group == batch:
        return Counter({label: size * batch for label, size in one.items()})
    if ends and tally:
        whole.subtract({label: size * batch for label, size in built.population_bytes.items()})
    whole[f"next state of {op.label}"] = workers * group * sum(one.values())
    return whole


def _workers(
    op: Region, built: CompiledRegion, batch: int, steps: int, threads: int
) -> tuple[int, int, int]:
    """The steps of a block, the number of workers, and the samples of each one's group."""
    block, group, threads = split_work(op, built, batch, steps, threads)
    return block, min(threads, -(-batch // group)), group


def fit_to_cache(step_bytes: int, batch: int, steps: int, threads: int) -> tuple[int, int]:
    """The steps and samples that are computed at once, so that their buffers stay in cache."""
    fitting = max(1, _CACHE_BYTES // max(1, step_bytes))
    block = min(steps, max(_LEAST_STEPS, min(fitting, _MOST_STEPS)))
    group = max(1, min(fitting // block, _MOST_SAMPLES))
    shared = max(1, batch // max(1, threads))  # every thread has work
    return block, min(group, shared)
