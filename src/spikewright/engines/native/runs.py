"""Runs of a region's kernels: on as many threads as pay, cut so that buffers stay in cache."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from spikewright.engines.base import RunSpan
from spikewright.engines.native import _kernels
from spikewright.engines.native.building import Built
from spikewright.engines.native.filling import Often
from spikewright.engines.native.foreign import Calling
from spikewright.engines.native.regions import Region
from spikewright.errors import SimulationError

# Bytes that buffers of a group of samples and a block of steps may take up: half of a second-level
# cache. Below the least steps too much of the time goes into voltages that come and go.
_CACHE_BYTES = 512 * 1024
_LEAST_STEPS, _MOST_STEPS, _MOST_SAMPLES = 32, 128, 16

_WAKING = 100e-6  # seconds, of one thread: made, and waited for at the end
_FORGOTTEN = 0.95  # what a run leaves of a bad experience
_TIMES = 2.0  # as long as those before it a run is taken to be at most
_LONG = 300e-6  # seconds of a step whose parts are worth waiting for, instruction by instruction


class Pace:
    """Learns how long a kernel takes for a step of a sample, on one thread.

    The number of threads changes no result, so that times may decide it.
    """

    def __init__(self, most: int) -> None:
        self._most, self._seconds = most, math.inf
        self._alone = math.inf  # of the last run on one thread
        self._shared = 0.0  # seconds of a step of a sample that threads shared, lately

    def threads(self, frames: int) -> int:
        """The number of threads for so many steps of samples."""
        if math.isinf(self._seconds):
            return 1 if frames == 1 else self._most
        return max(1, min(self._most, int(self._seconds * frames / (2 * _WAKING))))

    def brief(self, frames: int) -> bool:
        """Whether so many steps of samples take less than waking a thread."""
        return self._seconds * frames < _WAKING

    @property
    def long(self) -> bool:
        """Whether a step of one sample is so long that threads share it, and sharing has paid."""
        return max(_LONG, self._shared) < self._seconds < math.inf

    def learn(self, frames: int, threads: int, spent: float) -> None:
        """Take note of the seconds that a run took; the last runs count most.

        One slow run says little: others use the machine, too. Threads that were no faster than one
        share nothing.
        """
        seconds = max(spent - _WAKING * (threads - 1), 0.0) * threads / frames
        if threads == 1:
            self._alone = seconds = min(seconds, _TIMES * self._seconds)
        elif spent / frames > self._alone:
            seconds = self._alone
        self._seconds = seconds if math.isinf(self._seconds) else (self._seconds + seconds) / 2
        self._shared *= _FORGOTTEN

    def learn_shared(self, frames: int, spent: float) -> None:
        """The same of a run in which threads shared every step."""
        self._shared = spent / frames


class Runs:
    """Runs of one region, on as many threads as pay."""

    def __init__(
        self, op: Region, built: Built, isa: str, threads: int, dense: float = math.inf
    ) -> None:
        self._op, self._built, self._isa, self._pace = op, built, isa, Pace(threads)
        self._dense = dense

    def run(self, state: _kernels.Running, batch: int, steps: int, **given: Any) -> bool:
        """Advance the state by some steps; True where counts of an output exceed bytes.

        `given` are further arguments of the kernels' run. Raises `SimulationError` where the user
        interrupts it.
        """
        wanted, long = self._pace.threads(batch * steps), self._pace.long
        block, group, threads = shares(self._op, self._built, batch, steps, wanted, long)
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
            self._pace.learn_shared(batch * steps, spent)
        else:
            self._pace.learn(batch * steps, threads, spent)
        return self._exceeded(outcome)

    def prepare_step(self, state: _kernels.Running, batch: int, **arrays: Any) -> _kernels.Stepping:
        """Single steps of the state on one thread, between these arrays."""
        _, group, _ = shares(self._op, self._built, batch, 1, 1)
        return _kernels.Stepping(running=state, group=group, isa=self._isa, **arrays)

    def alone(self, batch: int) -> bool:
        """Whether a step is worth no more than one thread."""
        return self._pace.threads(batch) == 1

    def step(
        self, stepping: _kernels.Stepping, batch: int, number: int, calls: Sequence[Calling]
    ) -> bool:
        """Do the step after step `number`; the rest is as in `run`."""
        begun = perf_counter()
        outcome = stepping.step(number, self._pace.brief(batch), calls)
        self._pace.learn(batch, 1, perf_counter() - begun)
        return self._exceeded(outcome)

    def _exceeded(self, outcome: int) -> bool:
        if outcome not in (0, 1):
            raise SimulationError(f"{self._op.label}: the run was interrupted")
        return bool(outcome)


def shares(
    op: Region, built: Built, batch: int, steps: int, threads: int, long: bool = False
) -> tuple[int, int, int]:
    """Steps and samples that are worked on at once, and the threads that share them.

    In a loop threads take samples; where these are few and steps are `long`, they share each step.
    """
    if op.foreign:  # functions are called for every sample of a step before the next one
        return 1, batch, 1
    if op.loops:
        fitting = max(1, _CACHE_BYTES // max(1, sum(built.state_bytes.values())))
        if long and batch < threads:
            return 1, min(_MOST_SAMPLES, fitting, batch), threads
        threads = min(threads, batch)
        return 1, min(_MOST_SAMPLES, fitting, batch // threads), threads
    return *cut(built.step_bytes, batch, steps, threads), threads


def workspace_bytes(
    op: Region, built: Built, batch: int, steps: int, threads: int, often: Often
) -> int:
    """Temporary memory of a run, in bytes: buffers and lists of every worker's group."""
    block, workers, group = _workers(op, built, batch, steps, threads)
    return workers * group * (block * built.buffer_bytes + built.listed.bytes(block, often))


def state_bytes(
    op: Region, built: Built, batch: int, span: RunSpan | None, threads: int, tally: bool
) -> Counter[str]:
    """State by label, in bytes: of all samples, and the next state of every worker's group.

    The first block of a run reads no state. Its next state becomes that of all samples where they
    are one group. Where no other block follows, voltages are not kept, and totals alone are told.
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
    op: Region, built: Built, batch: int, steps: int, threads: int
) -> tuple[int, int, int]:
    """Steps of a block, the number of workers, and samples of each one's group."""
    block, group, threads = shares(op, built, batch, steps, threads)
    return block, min(threads, -(-batch // group)), group


def cut(step_bytes: int, batch: int, steps: int, threads: int) -> tuple[int, int]:
    """Steps and samples that are worked on at once, so that their buffers stay in cache."""
    fitting = max(1, _CACHE_BYTES // max(1, step_bytes))
    block = min(steps, max(_LEAST_STEPS, min(fitting, _MOST_STEPS)))
    group = max(1, min(fitting // block, _MOST_SAMPLES))
    shared = max(1, batch // max(1, threads))  # every thread has work
    return block, min(group, shared)
