"""`spikewright.tune`: the search over conversions of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spikewright._base.keywords import spelled
from spikewright.engines import Precision
from spikewright.measure.metric import Metric
from spikewright.passes import MaxPoolForm
from spikewright.quantising import Quantised
from spikewright.records import DEFAULT_TABLE
from spikewright.study.point import Minimise
from spikewright.study.result import StudyResult
from spikewright.study.search.options import TuneOptions
from spikewright.study.search.running import Running
from spikewright.study.search.tuning import search
from spikewright.training.settings import TRAINABLE, named

__all__ = ["tune"]


@spelled()
def tune(
    model: Any,
    x: Any,
    y: Any,
    *,
    max_drop: float = 0.005,
    metric: Callable[[Any, Any], Any] | None = None,
    minimise: Minimise = "spikes",
    timeout: float = 300.0,
    trials: int | None = None,
    confidence: float = 0.95,
    validation: float | tuple[Any, Any] = 0.5,
    searched: int = 2000,
    space: Mapping[str, Any] | None = None,
    study: str | Path | None = None,
    seed: int = 0,
    dt: float = 0.001,
    energy_table: str = DEFAULT_TABLE,
    engine: str = "auto",
    precision: Precision = "float32",
    threads: int | None = None,
    example_input: Any = None,
    max_pool: MaxPoolForm = "gate",
    weights: Quantised | None = None,
    outputs: Sequence[str] | None = None,
    train: bool | tuple[Any, Any] = False,
    trainable: Sequence[str] = TRAINABLE,
    progress: bool = True,
) -> StudyResult:
    """Search for the cheapest setting that loses at most `max_drop` accuracy, a fraction.

    `model` is what `convert` takes; `x` inputs and `y` class labels, as `evaluate` takes them. A
    PyTorch module without `example_input` is traced with the first of `x`. Cost is spikes a sample,
    energy a sample under the cost table `energy_table`, or latency: steps, then spikes. Searched
    are firing-rate scales (in all, by layer, and over the channels of a layer by a rule), caps,
    neurons, start, synapse, steps and readout; `space` restricts any of them (see
    `docs/tuning.md`). At most `searched` samples are searched on; those that are held back,
    `validation`, a fraction or `(x, y)`, decide the choice: the cheapest setting that they show to
    lose at most `max_drop`, with `confidence`; where they cannot show it for any, the cheapest
    whose estimate holds it. `metric`, `f(outputs, y)` as for `evaluate`, stands in for accuracy:
    then `max_drop` is in its unit, and y is its second argument. `weights`, `sw.Quantised(...)`,
    are those of all settings.

    `train=True` spends 0.6 of the time on training the best setting, for half of its cost and for
    other parts: on the samples searched on, or on `(x, y)` given in its place, `y` being None where
    the network is to imitate its source. `trainable` names what may change, as for
    `Conversion.train`: `("biases", "scales", "initial_voltage")` leaves all weights as they are,
    and then 0.8 of the cost is tried first. Where a trained network is the best,
    `result.best.training` is what `Conversion.train` gave, and `arguments` go with its weights.

    Ends after about `timeout` seconds, with `trials` trials in the study, or when nothing better
    turns up. `study` keeps it: a path (SQLite) or an Optuna URL, from which a second call with the
    same arguments goes on, and on which several may work at once. Raises `TuningError` for samples
    or settings that no search can have and for a study of something else, `TrainingError` for what
    no training can change, `MissingExtraError` without Optuna, and as `convert` does.
    """
    table = energy_table if minimise == "energy" else None
    options = TuneOptions(
        max_drop=max_drop,
        minimise=minimise,
        timeout=timeout,
        trials=trials,
        confidence=confidence,
        validation=validation,
        searched=searched,
        space=space or {},
        study=study,
        max_pool=max_pool,
        weights=weights,
        outputs=outputs,
        progress=progress,
        train=train,
        trainable=named(trainable),
        running=Running(dt, engine, precision, threads, seed, table, Metric.of(metric)),
    )
    return search(model, x, y, options, example_input)
