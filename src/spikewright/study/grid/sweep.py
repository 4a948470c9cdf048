"""`spikewright.sweep`: the cost of each firing-rate scale in accuracy, latency and spikes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spikewright import executors
from spikewright._base.arguments import is_number, is_whole
from spikewright._base.files import path_of
from spikewright._base.keywords import spelled
from spikewright.conversion import Conversion
from spikewright.conversion.pipeline import convert
from spikewright.engines import Precision
from spikewright.errors import SimulationError
from spikewright.evaluation import checked
from spikewright.frontends import example_for
from spikewright.lower.speaking import say, silently
from spikewright.measure import EveryStep
from spikewright.measure.energy import DEFAULT_TABLE, cost_table
from spikewright.quantising import Quantised
from spikewright.running.stepping import refuse_sequences
from spikewright.study.code import source_text
from spikewright.study.grid.measuring import Measuring, Tried
from spikewright.study.grid.points import Reading, readings_of
from spikewright.study.grid.result import Sweep
from spikewright.study.grid.settings import Setting, settings_of
from spikewright.study.search.choice import MINIMISED, Minimise

__all__ = ["Reading", "Setting", "Sweep", "Tried", "sweep"]

SCALES = (1.0, 2.0, 5.0, 10.0, 50.0)
STEPS = (1, 2, 4, 8, 16, 32)


@spelled()
def sweep(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    scales: Any = SCALES,
    synapse: Any = None,
    steps: int | Sequence[int] = STEPS,
    neurons: Any = True,
    readouts: Sequence[EveryStep] = ("mean", "last"),
    within: float = 0.01,
    minimise: Minimise = "spikes",
    metric: Callable[[Any, Any], Any] | None = None,
    initial_voltage: Any = None,
    calibration: Any = None,
    max_pool: Any = None,
    max_spikes_per_step: int | None = None,
    weights: Quantised | None = None,
    bias_correction: Any = None,
    fission: Any = None,
    example_input: Any = None,
    outputs: Sequence[str] | None = None,
    dt: float = 0.001,
    seed: int = 0,
    engine: str = "auto",
    precision: Precision = "float32",
    batch_size: int | None = None,
    threads: int | None = None,
    encoder: Any = None,
    energy_table: str = DEFAULT_TABLE,
    checkpoint: str | Path | None = None,
    executor: Any = "local",
    address: str | None = None,
    progress: bool = True,
) -> Sweep:
    """Measure a model at every combination of firing-rate scales, synapses and neurons.

    `model` is what `convert` takes, or a `Conversion` (a PyTorch module without `example_input` is
    traced with the first of `x`); `x`, `y` and `metric` are those of `Conversion.evaluate`, which
    measures each combination (batches are gone through once, and held). `scales`, `synapse` and
    `neurons` are one value or a list: what `convert` takes as `scale_firing_rates` (a number, a
    rule, `{layer: ...}`), as `synapse`, and as `spiking`. `steps` are one number or several, of
    `dt` seconds: the network runs for the most, and one run answers for all of them and for all
    `readouts`. Arguments that follow `metric` are those of `convert`, the same for all.
    Combinations that fail are found with their reason.

    The result names the cheapest setting whose outputs are at most `within` worse than the
    source's: points of accuracy as a fraction, or in the unit of the metric, of errors or of
    agreement. `minimise` names the cost: spikes, energy under `energy_table`, or latency, the
    steps.

    `checkpoint` is a folder of finished parts, from which a second call goes on, also with other
    combinations; `executor` and `address` are as for `evaluate`. Raises as `convert` and `evaluate`
    do for arguments that suit no combination, and `SimulationError` where all failed.
    """
    at = _steps(steps)
    _check(within, minimise)
    cost_table(energy_table)
    settings = checked(
        at[-1], at, readouts, (), None, metric,
        source=True, operations=True, dt=dt, seed=seed, engine=engine, precision=precision,
        batch_size=batch_size, threads=threads, encoder=encoder,
    )  # fmt: skip
    common = {
        "initial_voltage": initial_voltage,
        "calibration": calibration,
        "max_pool": max_pool,
        "max_spikes_per_step": max_spikes_per_step,
        "weights": weights,
        "bias_correction": bias_correction,
        "fission": fission,
    }
    given = {name: value for name, value in common.items() if value is not None}
    wanted = settings_of(scales, synapse, neurons, given)
    base = model
    if not isinstance(model, Conversion):
        example = example_for(model, example_input, x)
        with silently():
            base = convert(model, example_input=example, outputs=outputs)
    refuse_sequences(base.lowered.stepping, "sweep")
    if not base.populations():
        raise SimulationError(
            "no layer of the model has neurons, so that there is nothing to scale"
        )
    folder = None if checkpoint is None else path_of(checkpoint)
    measuring = Measuring(base, settings, executors.get(executor, address), folder)
    with silently():
        tried = measuring.all(wanted, x, y, progress)
    _warn_of_lengths(tried)
    readings = [p for t in tried for p in readings_of(t, settings.readouts, energy_table)]
    named = source_text(model, example_input, x)
    return Sweep(tuple(tried), tuple(readings), float(within), minimise, named, energy_table)


def _warn_of_lengths(tried: Sequence[Tried]) -> None:
    """Warn of settings that are measured at no length that is right for them, in one sentence."""
    doubts = [t.doubt for t in tried if t.doubt]
    if doubts:
        others = f" (so it is with {len(doubts) - 1} more settings)" if len(doubts) > 1 else ""
        say(f"{doubts[0]}{others}")


def _steps(steps: Any) -> tuple[int, ...]:
    """Numbers of steps in order, each once."""
    several = list(steps) if isinstance(steps, list | tuple | range) else [steps]
    if not several or not all(is_whole(n) and n >= 1 for n in several):
        raise SimulationError(f"steps is a whole number from 1 or a list of them, got {steps!r}")
    return tuple(sorted({int(n) for n in several}))


def _check(within: Any, minimise: Any) -> None:
    if not (is_number(within) and within >= 0):
        raise SimulationError(
            "within is how much worse than the source a setting may be, a number from 0 (0.01 is "
            f"a point of accuracy), got {within!r}"
        )
    if minimise not in MINIMISED:
        raise SimulationError(f"minimise is one of {', '.join(MINIMISED)}, got {minimise!r}")
