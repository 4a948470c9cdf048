"""Search for the cheapest setting that loses little enough."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from spikewright._optional import require
from spikewright._progress import progress_bar
from spikewright.calibrate import fingerprint
from spikewright.conversion import Conversion
from spikewright.engines import Precision
from spikewright.errors import TuningError
from spikewright.lower.populations import Roles
from spikewright.pipeline import MaxPoolPolicy, convert
from spikewright.tune.certify import Candidate, check, short_list
from spikewright.tune.choice import Choice
from spikewright.tune.goal import Aim, certifiable
from spikewright.tune.measured import Point
from spikewright.tune.search import Limits, Search, hopeless_pruner
from spikewright.tune.space import restricted
from spikewright.tune.study import open_study
from spikewright.tuning.allocation import Allocation
from spikewright.tuning.channels import sensitivities
from spikewright.tuning.data import digest, divided
from spikewright.tuning.objective import MINIMISED, Minimise, Objective, Running, Samples
from spikewright.tuning.result import Question, result
from spikewright.tuning.settings import Translation, check_values, space_of
from spikewright.tuning.starts import shorten, starts

_CALIBRATED = 256  # samples whose values the rules look at
_WORK = 5e8  # multiply-accumulates of sensitivities, for each second of the search
_CHECKING = 0.4  # of the time at most for what is held back
_CHECKED = 12  # settings that may be looked at there


def tune(
    model: Any,
    x: Any,
    y: Any,
    *,
    max_drop: float = 0.005,
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
    energy_table: str = "45nm-fp32",
    engine: str = "auto",
    precision: Precision = "float32",
    threads: int | None = None,
    example_input: Any = None,
    max_pool: MaxPoolPolicy = "gate",
    progress: bool = True,
) -> Choice:
    """Search for the cheapest setting that loses at most `max_drop` accuracy, a fraction.

    `model` is what `convert` takes; `x` inputs and `y` class labels `(samples,)`. Cost is spikes a
    sample, energy a sample under the cost table `energy_table`, or latency: steps, then spikes.
    Searched are firing-rate scales (in all, by layer, and over the channels of a layer by a rule),
    caps, neurons, start, synapse, steps and readout; `space` restricts any of them (see
    `docs/tuning.md`). At most `searched` samples are searched on; those that are held back,
    `validation`, a fraction or `(x, y)`, decide what is chosen: the cheapest setting that they show
    to lose at most `max_drop`, with `confidence`; where they cannot show it for any, the cheapest
    whose estimate holds it.

    Ends after about `timeout` seconds, with `trials` trials in the study, or when nothing better
    turns up. `study` keeps it: a path (SQLite) or an Optuna URL, from which a second call with the
    same arguments goes on, and on which several may work at once. Raises `TuningError` for samples
    or settings that no search can have and for a study of something else, `MissingExtraError`
    without Optuna, and as `convert` does.
    """
    require("optuna")
    begun = time.monotonic()
    _check(max_drop, minimise, timeout, trials, confidence, searched)
    running = Running(dt, engine, precision, threads, seed)
    conversion = convert(model, spiking=True, example_input=example_input, max_pool=max_pool)
    allowed = restricted(space_of(conversion), space or {})
    check_values(allowed)
    mine, held = divided(conversion, (x, y), validation, searched, running)
    translation = Translation(_allocation(conversion, mine, _WORK * timeout), dt)
    objective = Objective(conversion, translation, allowed, minimise, running, energy_table)
    facts = {
        "model": f"{fingerprint(conversion.canonical)}, max_pool={max_pool}",
        "data": digest(mine, held),
        "minimise": f"{minimise}, {energy_table}",
        "max_drop": max_drop,
        "dt": dt,
        "precision": precision,
        "seed": seed,
        "space": {name: repr(parameter) for name, parameter in allowed.items()},
    }
    kept = open_study(study, facts, seed, hopeless_pruner())
    limits = Limits(begun + timeout, lambda: _checking(objective, held, timeout), trials)
    aims = _aims(len(mine), len(held), max_drop, confidence)
    search = Search(
        kept,
        allowed,
        lambda values, part: objective(values, mine[part]),
        len(mine),
        aims,
        starts(allowed),
        shorten,
    )
    with _bar(limits, timeout, progress) as advance:
        search.run(limits, advance)
    listed = short_list(kept.finished(), max_drop)
    checked = check(listed, partial(_held_back, objective, held), max_drop, confidence)
    return result(
        Question(minimise, max_drop, confidence, len(mine), len(held)),
        objective,
        kept,
        checked,
        model,
        study,
    )


def _check(
    max_drop: Any, minimise: Any, timeout: Any, trials: Any, confidence: Any, searched: Any
) -> None:
    """Raise `TuningError` for settings that no search can have."""
    if not (_is_number(max_drop) and 0 <= max_drop < 1):
        raise TuningError(
            f"max_drop is the accuracy that may be lost, a fraction from 0 and below 1 (0.005 is "
            f"half a point), got {max_drop!r}"
        )
    if minimise not in MINIMISED:
        raise TuningError(f"minimise is one of {', '.join(MINIMISED)}, got {minimise!r}")
    if not (_is_number(timeout) and timeout > 0):
        raise TuningError(f"timeout is a number of seconds above 0, got {timeout!r}")
    if not (_is_number(confidence) and 0 < confidence < 0.999):
        raise TuningError(f"confidence lies above 0 and below 0.999, got {confidence!r}")
    for name, value in (("trials", trials), ("searched", searched)):
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        if not (whole or (value is None and name == "trials")):
            raise TuningError(f"{name} is a whole number from 1, got {value!r}")


def _is_number(value: Any) -> bool:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return real and math.isfinite(value)


def _allocation(conversion: Conversion, samples: Samples, budget: float) -> Allocation:
    """What the rules know: values of the layers on some samples, and what errors there do."""
    graph, layers = conversion.canonical, tuple(conversion.populations())
    some = samples[slice(_CALIBRATED)].x
    statistics = conversion.calibrate(some, progress=False)
    roles = Roles(graph)
    outputs = tuple(
        graph[name].inputs[0] if name in roles.read_out else name for name in graph.outputs.values()
    )
    weights = sensitivities(graph, layers, outputs, some, budget)
    return Allocation(statistics.layers, weights)


def _aims(samples: int, held_back: int, max_drop: float, confidence: float) -> list[Aim]:
    """What to aim at: drops that held-back samples will certify, and the limit itself."""
    limits = [certifiable(held_back, max_drop, confidence), max_drop]
    return [Aim.of(limit, max_drop, samples) for limit in limits if limit is not None]


def _checking(objective: Objective, held: Samples, timeout: float) -> float:
    """How long it will take to look at what is held back, in seconds."""
    return min(_CHECKING * timeout, _CHECKED * len(held) * objective.pace)


def _held_back(objective: Objective, held: Samples, candidate: Candidate) -> Point:
    return objective.at(candidate.trial.values, candidate.point, held)


@contextmanager
def _bar(limits: Limits, timeout: float, show: bool) -> Iterator[Callable[[int], None]]:
    """A bar of trials where their number is given, else of seconds."""
    if limits.trials is not None:
        with progress_bar(limits.trials, show, "trials") as advance:
            yield advance
        return
    shown = [time.monotonic()]
    with progress_bar(math.ceil(timeout), show, "seconds of search") as advance:

        def tick(done: int) -> None:
            seconds = int(time.monotonic() - shown[0])
            shown[0] += seconds
            advance(seconds)

        yield tick
