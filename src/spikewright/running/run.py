"""One run of a lowered network: everything that its outputs and neurons gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spikewright._base.progress import progress_bar
from spikewright.engines import Precision
from spikewright.engines.memory import available
from spikewright.engines.settings import check_settings
from spikewright.errors import SimulationError
from spikewright.lower import Lowered
from spikewright.measure import Run
from spikewright.running.encoders import Encoder
from spikewright.running.inputs import Feeds, feeds_of, sequence_feeds, without_held
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
    program = runner.program(dt, seed, precision, layers)
    chosen = runner.engine(engine, program, threads)
    job = RunJob(program, chosen, fed.values, fed.batch, fed.steps)
    size = batch_size or runner.batch_size(chosen, fed.sample_bytes())
    runner.memory(job, size).only("recording", "totals").require(
        available(), f"a run of {fed.batch} samples and {fed.steps} steps"
    )
    with progress_bar(fed.batch * fed.steps, progress, "samples x steps") as advance:
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
        readouts=runner.lowered.readouts,
        populations=runner.counted(found.totals),
        dt=dt,
        steps=fed.steps,
        record=about,
        sequence_step=None if stepping is None else stepping.steps,
        time_axes={} if stepping is None else stepping.outputs,
        recorded=found.recorded,
    )


def feeds_for(
    lowered: Lowered, x: Mapping[str, Any], encoder: Any, steps: int | None, dt: float, seed: int
) -> Feeds:
    """The feeds of a run's inputs; the steps of sequences follow from them."""
    if lowered.stepping is None:
        encoder = without_held(encoder, lowered)
        return feeds_of(x, lowered.inputs, encoder, steps, dt, seed)
    return sequence_feeds(
        stepping=lowered.stepping,
        x=x,
        inputs=lowered.inputs,
        encoder=encoder,
        steps=steps,
        dt=dt,
        seed=seed,
    )
