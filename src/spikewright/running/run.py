"""A lowered network at work: one run of samples, or a stream of frames that keeps its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.progress import progress_bar
from spikewright._base.samples import InputTree, check_rows, held
from spikewright.engines import Execution, Precision
from spikewright.engines.memory import available_for
from spikewright.engines.settings import check_settings
from spikewright.errors import SimulationError
from spikewright.lower import Lowered
from spikewright.measure import Run
from spikewright.measure.readout import Readout, StreamingReadout, streaming_readout
from spikewright.measure.run import Values
from spikewright.network import Node
from spikewright.running.encoders import Encoder
from spikewright.running.inputs import (
    Feeds,
    as_array,
    as_named,
    feeds_of,
    fitted,
    frame_feeds,
    sequence_feeds,
    without_held,
)
from spikewright.running.own_steps import network_steps, steps_of
from spikewright.running.recording import layers_of
from spikewright.running.runner import RunJob, Runner, collected


def run_of(
    runner: Runner,
    x: Mapping[str, Any],
    steps: int | None,
    dt: float,
    seed: int,
    *,
    engine: str = "auto",
    precision: Precision = "float32",
    batch_size: int | None = None,
    progress: bool = False,
    threads: int | None = None,
    encoder: Encoder | Mapping[str, Encoder] | None = None,
    record: Sequence[str] = (),
) -> Run:
    """See `Conversion.run`; `x` is by input name."""
    check_settings(SimulationError, dt=dt)
    fed = feeds_for(runner.lowered, x, encoder, steps, dt, seed)
    layers = tuple(layers_of(runner.lowered, record))
    program = runner.program(dt, seed, precision, layers, moving=fed.moving)
    chosen = runner.engine(engine, program, threads)
    job = RunJob(program, chosen, fed.values, fed.batch, fed.steps // fed.frames, fed.frames)
    size = batch_size or max(1, runner.batch_size(chosen, fed.sample_bytes()) // fed.frames)
    need = runner.memory(job, size).only("recording", "totals")
    need.require(available_for(need.bytes), f"a run of {fed.batch} samples and {fed.steps} steps")
    length = fed.batch * fed.frames * runner.length(job)
    with progress_bar(length, progress, "samples x steps") as advance:
        parts = runner.parts(job, size, lambda step, totals, fed: totals, advance=advance)
        found = collected(parts, fed.batch, layers)
    about = {
        "batch": fed.batch,
        "seed": seed,
        "engine": chosen.name,
        "guarantee": chosen.bound,
        "precision": precision,
        **({} if encoder is None else {"encoder": repr(encoder)}),
    }
    stepping = runner.lowered.stepping
    return Run(
        raw=found.raw,
        network_steps=network_steps(runner.lowered, fed.steps),
        complete=runner.lowered.times is not None,
        readouts=runner.lowered.readouts,
        populations=runner.counted(found.totals),
        dt=dt,
        steps=fed.steps,
        frames=fed.frames,
        record=about,
        sequence_step=None if stepping is None else stepping.steps,
        time_axes={} if stepping is None else stepping.outputs,
        recorded=found.recorded,
    )


def feeds_for(
    lowered: Lowered, x: Mapping[str, Any], encoder: Any, steps: int | None, dt: float, seed: int
) -> Feeds:
    """The feeds of a run's inputs; the steps of sequences follow from them."""
    steps = steps_of(lowered, steps)
    if lowered.stepping is None:
        encoder = without_held(encoder, lowered)
        times = lowered.times
        if times is not None:
            return frame_feeds(times, x, lowered.inputs, encoder, dt)
        return feeds_of(x, lowered.inputs, encoder, steps, dt, seed)
    return sequence_feeds(
        lowered.stepping, x, lowered.inputs, encoder, steps=steps, dt=dt, seed=seed
    )


class Stream:
    """A converted network between two frames; `Conversion.stream` makes one.

    `step` takes a frame, which lasts one step of `dt` seconds, and returns the outputs of that
    step. `predict` is the readout until now, `recorded` the values that layers sent in the last
    step. Memory does not grow with the steps. As a context manager it is closed at the end.

    Where layers start one after the other, as those of signed digits, a frame is a whole sample. It
    lasts the steps of a layer and the longest wait of one, as samples may follow each other, and
    what is returned are its complete values, which come some steps later.

    With a `sequence_step` a frame is a step of the sequence, given for that many steps, and every
    step of the sequence is read out by itself.
    """

    def __init__(
        self,
        runner: Runner,
        structure: InputTree,
        dt: float,
        seed: int,
        *,
        batch_size: int | None,
        readout: Readout,
        engine: str,
        precision: Precision,
        threads: int | None,
        record: Sequence[str],
        heed: Callable[[int], None],
    ) -> None:
        """See `Conversion.stream`; `heed` is called with the number of steps that are read out."""
        given = {"seed": seed, "precision": precision, "threads": threads}
        check_settings(SimulationError, dt=dt, batch_size=batch_size, **given)
        self._times = runner.lowered.times
        self._steps = 1 if self._times is None else self._times.steps
        if runner.lowered.at_once > 1 and self._times is None:
            raise SimulationError(
                "a stream takes a frame at every step, and for neurons with spike_heights all of "
                f"{runner.lowered.at_once} steps comes at once. Use run, or convert with neurons "
                "without heights"
            )
        self.batch_size, self.dt, self.readout = batch_size, dt, readout
        self._lowered, self._heed = runner.lowered, heed
        self._structure = replace(structure, alone=True) if batch_size is None else structure
        self._record = tuple(layers_of(runner.lowered, record))
        self._closed = False

        def begin() -> Execution:
            moving = frozenset(runner.lowered.inputs.values())
            program = runner.program(dt, seed, precision, self._record, moving=moving)
            return Execution(program, runner.engine(engine, program, threads), batch_size or 1)

        self._begin = begin
        self.reset()

    def __repr__(self) -> str:
        return f"<Stream after {self.n_steps} steps of {self.dt:g} s>"

    @property
    def n_steps(self) -> int:
        """Steps done so far."""
        if self._times is None:
            return self._execution.step
        return self._frames * self._times.pace

    @property
    def time(self) -> float:
        """Seconds done so far."""
        return self.n_steps * self.dt

    @property
    def recorded(self) -> Mapping[str, NDArray]:
        """Values of the recorded layers in the last step, `{layer: (batch, *shape)}`.

        In the unit of the source's values, before a synapse; without a batch `(*shape)`.
        """
        return self._recorded

    def reset(self) -> None:
        """Return to before the first step."""
        self._check_open()
        self._execution = self._begin()
        self._recorded: dict[str, NDArray] = {}
        self._broken = False
        self._frames = 0
        self._read_anew()

    def step(self, frame: object) -> Values:
        """Run one step on a frame; returns its outputs `(batch, *out)`, of several `{name: array}`.

        A frame is `(batch, *shape)`, or `(*shape)` without a `batch_size`, and so are outputs; of
        several inputs `{name: array}`. An activation without neurons on an output is applied to its
        value. Raises `SimulationError` for a frame of another shape or not finite, before anything
        is computed. After a step that failed half-way the state is lost; call `reset`.
        """
        self._check_open()
        if self._broken:
            raise SimulationError("the last step failed half-way: reset() before the next one")
        feeds = self._feeds(frame)
        if self._begins_anew():
            self._read_anew()
        self._broken = True
        alone = self._lowered.stepping is None
        if self._times is not None and self._frames and alone:
            self._execution = self._begin()  # samples have nothing to do with each other
        if self._steps == 1:
            arrays = self._execution.run_step(feeds)
        else:
            arrays = self._execution.run(self._steps, feeds)
        self._broken = False
        self._frames += 1
        outputs = dict(zip(self._lowered.outputs, arrays, strict=False))
        recorded = zip(self._record, arrays[len(outputs) :], strict=True)
        self._recorded = {name: self._alone(_mean(value)) for name, value in recorded}
        for name, values in outputs.items():
            for step in range(self._steps):
                self._streaming[name].add(values[:, step])
        return self._results({name: _mean(values) for name, values in outputs.items()})

    def predict(self) -> Values:
        """Outputs under the `readout` until now, `(batch, *out)`; of several `{name: array}`.

        An activation without neurons on an output is applied to the value read out. Raises
        `SimulationError` before the first step.
        """
        if self.n_steps == 0:
            raise SimulationError("there is nothing to read out before the first step")
        self._heed(self.n_steps)
        return self._results({name: found.read() for name, found in self._streaming.items()})

    def close(self) -> None:
        """End: further steps are an error, what was read out stays."""
        self._closed = True

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise SimulationError("the stream is closed; what was read out can still be read")

    def _begins_anew(self) -> bool:
        """True before the first step of a sample, or of a step of the sequence."""
        if self._times is not None:
            return True
        stepping = self._lowered.stepping
        return stepping is not None and self.n_steps % stepping.steps == 0

    def _read_anew(self) -> None:
        outputs = self._lowered.outputs
        self._streaming: dict[str, StreamingReadout] = {
            name: streaming_readout(self.readout, self.dt) for name in outputs
        }

    def _feeds(self, frame: object) -> dict[Node, NDArray]:
        named = as_named(frame, self._structure)
        given = {name: as_array(name, value) for name, value in named.items()}
        batched = self.batch_size is not None
        feeds = {}
        for name, node in self._lowered.inputs.items():
            found = held(given[name], node.shape_out, batched)
            if found is None or (batched and len(found) != self.batch_size):
                shape = (*([self.batch_size] if batched else []), *node.shape_out)
                raise SimulationError(
                    f"a frame of input {name!r} has shape {shape}, got {given[name].shape}"
                )
            fitted(name, check_rows, found, self._structure.rows.get(name), batched)
            own = np.array(found)  # a frame's buffer may be used again for the next
            feeds[node] = own.reshape(self.batch_size or 1, 1, *node.shape_out)
        return feeds

    def _results(self, values: Mapping[str, NDArray]) -> Values:
        """Values as the user gets them: activated, and without a batch axis without a batch."""
        readouts = self._lowered.readouts
        results = {
            name: self._alone(readouts[name].evaluate(value) if name in readouts else value)
            for name, value in values.items()
        }
        return next(iter(results.values())) if len(results) == 1 else results

    def _alone(self, value: NDArray) -> NDArray:
        return value[0] if self.batch_size is None else value


def _mean(values: NDArray) -> NDArray:
    """The mean over the steps of `(batch, steps, *shape)`."""
    return values[:, 0].copy() if values.shape[1] == 1 else values.mean(axis=1)
