"""Options of studies: sweeps, comparisons of rules, and searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypedDict

from spikewright._base.arguments import is_plain_number
from spikewright._base.options import Check, Option, number, whole
from spikewright.conversion.options import CommonOptions, ModelOptions
from spikewright.engines.settings import (
    EngineOptions,
    PrecisionOptions,
    SeedOptions,
    StepOptions,
)
from spikewright.executors.base import KeptOptions
from spikewright.lower.coding import Coding
from spikewright.measure import EveryStep
from spikewright.passes import MaxPoolForm
from spikewright.quantising import Quantised
from spikewright.records import DEFAULT_TABLE
from spikewright.running.inputs import EncodedOptions
from spikewright.study.point import Minimise
from spikewright.training.options import TRAINABLE

SCALES = (1.0, 2.0, 5.0, 10.0, 50.0)
STEPS = (1, 2, 4, 8, 16, 32)


def _plain(check: Check) -> Check:
    """A check of numbers of Python's own, which every database holds."""
    return Check(check.must, lambda value: is_plain_number(value) and check.holds(value))


_CONFIDENCE = Check(
    "a number above 0 and below 0.999", lambda value: is_plain_number(value) and 0 < value < 0.999
)


class CostOptions(TypedDict, total=False):
    """The cost that a study makes small, and the measure that it keeps."""

    minimise: Annotated[
        Minimise,
        Option("spikes", "The cost to minimise; latency is steps, then spikes."),
    ]
    energy_table: Annotated[str, Option(DEFAULT_TABLE, "The cost table of energies.")]
    metric: Annotated[
        Callable[[Any, Any], Any] | None,
        Option(None, "A function to measure in place of accuracy, as for `evaluate`."),
    ]


class SweepOptions(
    CostOptions, CommonOptions, ModelOptions, EncodedOptions, KeptOptions, StepOptions, total=False
):
    """Options of a sweep; of those of a conversion all settings have the same."""

    scales: Annotated[
        Any,
        Option(SCALES, "Firing-rate scales, one or a list: numbers, rules or `{layer: ...}`."),
    ]
    coding: Annotated[
        Coding | Sequence[Coding] | None,
        Option(
            None,
            "Codes of values in spikes, one or a list, as `convert` takes them; each runs for its "
            "own number of steps.",
        ),
    ]
    synapse: Annotated[Any, Option(None, "Filters on what leaves neurons, one or a list.")]
    steps: Annotated[
        int | Sequence[int],
        Option(STEPS, "Steps after which outputs are read, one number or several."),
    ]
    neurons: Annotated[
        Any, Option(True, "Neurons, one choice or a list, as `convert` takes `spiking`.")
    ]
    readouts: Annotated[Sequence[EveryStep], Option(("mean", "last"), "Readouts to measure.")]
    within: Annotated[
        float,
        Option(
            0.01,
            "The largest loss of the cheapest setting against the source: 0.01 is a point.",
            number(least=0.0),
        ),
    ]
    reference: Annotated[
        bool | None,
        Option(
            None,
            "A row for what `convert(model, spiking=True, calibration=x, steps=8)` chooses "
            "(default: beside scales that were left out).",
        ),
    ]
    max_pool: Annotated[
        MaxPoolForm | None, Option(None, "Max pooling, as `convert` takes it (default: gate).")
    ]


class TuneOptions(
    CostOptions,
    ModelOptions,
    StepOptions,
    SeedOptions,
    EngineOptions,
    PrecisionOptions,
    total=False,
):
    """Options of a search."""

    max_drop: Annotated[
        float,
        Option(
            0.005,
            "The accuracy that may be lost, as a fraction: 0.005 is half a point.",
            _plain(number(least=0.0)),
        ),
    ]
    timeout: Annotated[
        float, Option(300.0, "Seconds for the whole search.", _plain(number(above=0.0)))
    ]
    trials: Annotated[
        int | None,
        Option(None, "Trials in the study, at most (default: as time allows).", _plain(whole(1))),
    ]
    confidence: Annotated[float, Option(0.95, "Confidence of the certificate.", _CONFIDENCE)]
    validation: Annotated[
        float | tuple[Any, Any], Option(0.5, "Samples held back: a fraction, or `(x, y)`.")
    ]
    searched: Annotated[int, Option(2000, "Samples to search on, at most.", _plain(whole(1)))]
    space: Annotated[
        Mapping[str, Any] | None,
        Option(None, "Parameters that are restricted, `{name: value, list or (low, high)}`."),
    ]
    study: Annotated[
        str | Path | None,
        Option(
            None,
            "Save the search here, at a path (SQLite) or an Optuna URL, and continue from it; "
            "several processes may work on one search.",
        ),
    ]
    coding: Annotated[
        Coding | Sequence[Coding] | None,
        Option(
            None,
            "Codes of values in spikes, one or a list, as `convert` takes them; each that has "
            "steps runs for these, and `sw.RateCode()` is what is searched without it.",
        ),
    ]
    max_network_steps: Annotated[
        int | None,
        Option(None, "Steps of the network for an answer, at most.", _plain(whole(1))),
    ]
    max_pool: Annotated[MaxPoolForm, Option("gate", "Max pooling, as `convert` takes it.")]
    weights: Annotated[Quantised | None, Option(None, "Weights of few bits, for all settings.")]
    train: Annotated[
        bool | tuple[Any, Any],
        Option(
            False,
            "Train the best setting to cost less: on the samples of the search, or on `(x, y)`.",
        ),
    ]
    trainable: Annotated[
        Sequence[str], Option(TRAINABLE, "What training may change, as for `train`.")
    ]


class BestRuleOptions(ModelOptions, EngineOptions, total=False):
    """Options of `best_rule`: its model and engine."""
