"""`spikewright.tune`: the search for the cheapest setting that loses little enough."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import sha256
from typing import Any, Unpack

from spikewright._base.optional import require
from spikewright._base.options import declared
from spikewright._base.progress import progress_bar
from spikewright.choosing import RuleCase, ScaleRule, Setting, fingerprint
from spikewright.choosing.statistics.sensitivity import sensitivities
from spikewright.conversion import Conversion
from spikewright.conversion.pipeline import convert
from spikewright.lower.populations import Roles
from spikewright.lower.trace import silently
from spikewright.measure.metric import Metric
from spikewright.study.options import TuneOptions
from spikewright.study.programs import ModelReference
from spikewright.study.result import StudyResult
from spikewright.study.search.allocation import Allocation
from spikewright.study.search.baseline_sweep import PlainSweep
from spikewright.study.search.channel_refinement import Refinement
from spikewright.study.search.data import digest, divided
from spikewright.study.search.fine_tuning import FineTuning, material
from spikewright.study.search.initial_trials import begun
from spikewright.study.search.measurement import Measurement
from spikewright.study.search.merit import Aim, certifiable
from spikewright.study.search.objective import Labelled, Objective
from spikewright.study.search.parameters import (
    CORRECTION,
    LATER,
    Translation,
    check_values,
    space_of,
    with_rules,
)
from spikewright.study.search.result import result
from spikewright.study.search.running import Running
from spikewright.study.search.search import Limits, Proposal, Search, hopeless_pruner
from spikewright.study.search.settings import TuneSettings
from spikewright.study.search.short_list import (
    LISTED,
    MANY,
    Finalist,
    check,
    likely_first,
    needed,
    short_list,
    undecided,
    with_those,
)
from spikewright.study.search.space import Parameter, Values, choices_of, restricted
from spikewright.study.search.trials import Study, open_study
from spikewright.training.options import named

_CALIBRATED = 256  # samples whose values the rules look at
_CORRECTED = 128  # samples that biases of each step are measured on
_WORK = 1e8  # multiply-accumulates of sensitivities, for each second of the search
_REFINING = 0.06  # of the time for one look at all channels
_TRAINING = 0.6  # of the time, where settings are trained
_FEW = 3  # settings that are checked where some are trained besides, which cost less
_CHECKING = 0.4  # of the time of the search at most for what is held back
_ONCE = 0.85  # of the time of trials as long, which are read out after many steps: with a margin
_TRIAL = 0.05  # of the time at most for one trial
_WARM = 3  # trials before the plain sweep: then it is known how long others take
_PLAIN = 48  # settings of the plain sweep that are checked where estimates decide


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
    return _search(model, x, y, TuneSettings(**given, running=running), example)


@silently()
def _search(
    model: Any, x: Any, y: Any, asked: TuneSettings, example_input: Any = None
) -> StudyResult:
    """Search as requested."""
    require("optuna")
    if asked.train is not False:
        require("torch")
    limits_from = time.monotonic()
    origin = ModelReference.of(model, example_input, x)
    conversion = convert(
        model,
        spiking=True,
        example_input=origin.example,
        max_pool=asked.max_pool,
        weights=asked.weights,
        outputs=asked.outputs,
    )
    wanted, rules = with_rules(asked.space)
    space = restricted(space_of(conversion), wanted)
    check_values(space)
    mine, held = divided(conversion, (x, y), asked.validation, asked.searched, asked.running)
    allocation = _allocation(conversion, mine, _WORK * asked.timeout, rules)
    translation = Translation(allocation, asked.running.dt)
    objective = Objective(
        conversion,
        translation,
        space,
        asked.minimise,
        asked.running,
        mine.unit,
        mine[slice(_CORRECTED)].x,
    )
    sure = certifiable(len(held), asked.max_drop, asked.confidence, held.size)
    facts = _facts(asked, conversion, space, digest(mine, held))
    study = open_study(asked.study, facts, asked.running.seed, hopeless_pruner(), LATER)
    aims = _aims(asked, mine, sure)
    plain = _plain(asked, objective, mine, aims[0], certifying=sure is not None)
    problem = _Problem(objective, mine, asked.timeout)
    first = begun(space, asked.running.dt, translation.as_chosen)
    generators = [
        lambda study: plain(study) if len(study.known()) >= _WARM else (),
        lambda study: (Proposal(values, "start") for values in first),
        plain.finer,
    ]
    trying = Search(study, space, problem, len(mine), aims, generators)
    settled = sure is not None  # else estimates decide, and every cheap setting has a chance
    listing = partial(_listed, trying, plain, asked, settled)
    searching = asked.timeout * (1 - (_TRAINING if asked.train is not False else 0))
    reserve = partial(_checking, objective, study, listing, len(held), searching)
    limits = Limits(limits_from + searching, reserve, asked.trials)
    with _bar(limits, asked.timeout, asked.progress) as advance:
        trying.run(limits, advance)
    listed, aimed = listing(), trying.aims[0].limit
    tuning = _fine_tuning(asked, objective, mine, len(held), aimed)
    trained = [] if tuning is None else tuning.candidates(listed, trying.expected())
    if trained and sure is not None:
        some = needed([*listed, *trained], asked.max_drop, trying.expected())
        listed = [one for one in listed if one in some]
        trained = undecided(trained, sure, asked.max_drop, trying.expected())
    checked = check(
        likely_first([*listed, *trained], trying.expected()),
        partial(_held_back, objective, held),
        asked.max_drop,
        asked.confidence,
    )
    return result(
        asked,
        objective,
        study,
        checked,
        origin,
        (len(mine), len(held)),
        certifying=sure is not None,
        refused={} if tuning is None else tuning.failures,
    )


@dataclass(eq=False)
class _Problem:
    """A search's samples and time, with the objective that it calls."""

    objective: Objective
    samples: Labelled
    timeout: float

    def measure(self, values: Values, part: slice) -> list[Measurement]:
        """On some of the samples searched on."""
        return self.objective(values, self.samples[part])

    def shorten(self, values: Values, steps: int) -> Values:
        """The values of the same network in fewer steps."""
        return self.objective.translation.shortened(values, steps)

    @cached_property
    def refine(self) -> Callable[..., Iterator[Values]]:
        """Settings whose channels are moved one by one."""
        return Refinement(self.objective, self.samples, _REFINING * self.timeout).proposals

    def identify(self, values: Values) -> str:
        """A key of the network and run that values stand for."""
        return sha256(self.objective.identify(values).encode()).hexdigest()[:16]

    def affordable(self, values: Values) -> bool:
        """True for trials that take at most their share of the time, and for the shortest runs.

        Without these nothing would be run after one that was slow by chance.
        """
        lengths: Any = choices_of(self.objective.space, "steps")
        shortest = values["steps"] == min(lengths) and values.get(CORRECTION) is None
        return shortest or self.objective.trial(values, len(self.samples)) <= _TRIAL * self.timeout


def _fine_tuning(
    asked: TuneSettings, objective: Objective, samples: Labelled, held: int, limit: float
) -> FineTuning | None:
    """The training of settings, which `held` samples then check; None where none is asked for."""
    if asked.train is False:
        return None
    return FineTuning(
        objective,
        material(asked.train, samples),
        limit,
        asked.trainable,
        _TRAINING * asked.timeout,
        held,
        asked.progress,
    )


def _facts(
    asked: TuneSettings, conversion: Conversion, space: Mapping[str, Parameter], data: str
) -> dict[str, Any]:
    """The facts that the trials of a study hold for."""
    weights = "" if asked.weights is None else f", weights={asked.weights}"
    running = asked.running
    facts = {
        "model": f"{fingerprint(conversion.canonical)}, max_pool={asked.max_pool}{weights}",
        "data": data,
        "minimise": ", ".join(filter(None, (asked.minimise, running.table))),
        "max_drop": asked.max_drop,
        "dt": running.dt,
        "precision": running.precision,
        "seed": running.seed,
        "space": {name: repr(parameter) for name, parameter in space.items()},
    }
    if running.metric is not None:
        facts["metric"] = f"{asked.worth.name} {running.metric.key}"
    return facts


def _allocation(
    conversion: Conversion,
    samples: Labelled,
    work: float,
    rules: Mapping[str, ScaleRule | None],
) -> Allocation:
    """The rules' data: values of the layers on some samples, and the effect of errors in them."""
    graph, layers = conversion.canonical, tuple(conversion.populations())
    some = samples[slice(_CALIBRATED)].x
    outputs = Roles(graph).read_from()
    statistics = conversion.calibrate(some, progress=False)
    settings = dict.fromkeys(layers, Setting())
    case = RuleCase(graph, conversion.graph, settings, outputs, statistics)
    weights = sensitivities(graph, layers, some, outputs, "channel", work)
    return Allocation(case, weights, rules)


def _aims(asked: TuneSettings, samples: Labelled, sure: float | None) -> list[Aim]:
    """The aims: the limit itself, and the drop that held-back samples will certify.

    Where they can certify none, half the limit: a choice loses more on samples that it was not
    chosen on.
    """
    limits = [asked.max_drop / 2 if sure is None else sure, asked.max_drop]
    return [Aim.of(limit, asked.max_drop, len(samples), samples.size) for limit in limits]


def _listed(
    trying: Search, plain: PlainSweep, asked: TuneSettings, settled: bool
) -> list[Finalist]:
    """The settings to be checked, after all trials that are finished."""
    most = MANY if not settled else LISTED if asked.train is False else _FEW
    finished, expected = trying.study.finished(), trying.expected()
    hopeful = short_list(finished, asked.max_drop, expected, most, every_length=not settled)
    return with_those(hopeful, plain.cheapest(finished, 1 if settled else _PLAIN))


def _checking(
    objective: Objective,
    study: Study,
    listing: Callable[[], Sequence[Finalist]],
    held: int,
    searching: float,
) -> float:
    """The time that the check on so many held-back samples will take, in seconds."""
    if not study.finished():
        return 0.0
    runs = ({**c.trial.values, "steps": c.point.steps} for c in listing())
    return min(_CHECKING * searching, _ONCE * sum(objective.trial(v, held) for v in runs))


def _plain(
    asked: TuneSettings, objective: Objective, samples: Labelled, aim: Aim, certifying: bool
) -> PlainSweep:
    """The sweep that comes first; what it holds is certified where that decides, else estimated."""

    def holds(point: Measurement) -> bool:
        if certifying:
            return aim.expected(point) <= aim.limit
        return point.paired.drop <= asked.max_drop

    seconds = partial(objective.seconds, samples=len(samples))
    return PlainSweep(objective.space, seconds, asked.timeout, holds, asked.trials, certifying)


def _held_back(objective: Objective, held: Labelled, one: Finalist) -> Measurement:
    return objective.of(objective.network(one), one.point.where, held)


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
