"""`spikewright.tune`: the search over conversions of a model."""

from __future__ import annotations

from typing import Any, Unpack

from spikewright._base.options import declared
from spikewright.measure.metric import Metric
from spikewright.study.options import TuneOptions
from spikewright.study.result import StudyResult
from spikewright.study.search.running import Running
from spikewright.study.search.settings import TuneSettings
from spikewright.study.search.tuning import search
from spikewright.training.settings import named

__all__ = ["tune"]


@declared(None)
def tune(model: Any, x: Any, y: Any, **options: Unpack[TuneOptions]) -> StudyResult:
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
    given: dict[str, Any] = dict(options)
    table, metric = given.pop("energy_table"), Metric.of(given.pop("metric"))
    running = Running(
        **{name: given.pop(name) for name in ("dt", "engine", "precision", "threads", "seed")},
        table=table if given["minimise"] == "energy" else None,
        metric=metric,
    )
    example = given.pop("example_input")
    given |= {"space": given["space"] or {}, "trainable": named(given["trainable"])}
    return search(model, x, y, TuneSettings(**given, running=running), example)
