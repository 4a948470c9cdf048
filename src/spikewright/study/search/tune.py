"""`spikewright.tune`: the search for the cheapest setting that loses little enough."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Unpack

from spikewright._base.optional import require
from spikewright._base.options import declared
from spikewright._base.progress import progress_bar
from spikewright.choosing import fingerprint
from spikewright.choosing.rules.rule import brief
from spikewright.conversion import convert
from spikewright.errors import TuningError
from spikewright.lower.trace import suppress_warnings
from spikewright.measure.targets import Metric
from spikewright.study.options import TuneOptions
from spikewright.study.programs import ModelReference
from spikewright.study.result import StudyResult
from spikewright.study.search.choice import (
    LISTED,
    MANY,
    check,
    likely_first,
    needed,
    result,
    short_list,
    undecided,
)
from spikewright.study.search.coding import codes_of
from spikewright.study.search.fine_tuning import FineTuning, tuning_data
from spikewright.study.search.generators import BaselineSweep, Refinement, ordered_settings
from spikewright.study.search.measurement import Measurement, PenalizedCost, certifiable
from spikewright.study.search.objective import Objective
from spikewright.study.search.parameters import Translation, allocate, space_of, with_rules
from spikewright.study.search.samples import Labelled, Running, digest, divided
from spikewright.study.search.search import ProposedSetting, Search
from spikewright.study.search.space import Values, restricted, within
from spikewright.study.search.trials import Study, open_study, without_password
from spikewright.training.options import named

_CALIBRATED = 256  # samples whose values the rules look at
_WORK = 1e8  # multiply-accumulates of sensitivities, for each second of the search
_REFINING = 0.06  # of the time for one look at all channels
_TRAINING = 0.6  # of the time, where settings are trained
_FEW = 3  # settings that are checked where some are trained besides, which cost less
_CHECKING = 0.4  # of the time of the search at most for what is held back
_ONCE = 0.85  # of the time of trials as long, which are read out after many steps: with a margin
_WARM = 3  # trials before the baseline sweep: then it is known how long others take
_SWEPT = 48  # settings of the baseline sweep that are checked where estimates decide
_OF_RUNS = ("dt", "engine", "precision", "threads", "seed")
_OF_MODEL = ("max_pool", "weights", "outputs")


@declared(TuningError)
def tune(model: Any, x: Any, y: Any, **options: Unpack[TuneOptions]) -> StudyResult:
    """Search for the cheapest setting that loses at most `max_drop` accuracy, a fraction.

    `model` is what `convert` takes; `x` inputs and `y` class labels, as `evaluate` takes them. A
    PyTorch module without `example_input` is traced with the first of `x`. Cost is spikes a sample,
    energy a sample under the cost table `energy_table`, or latency: steps, then spikes. Searched
    are firing-rate scales (in all, by layer, and over the channels of a layer by a rule), caps,
    neurons, start, synapse, steps and readout; `space` restricts any of them (see
    `docs/choosing.md`). `coding` is one code of values or a list: one with a number of steps, such
    as `sw.SignedDigits(4)`, runs for that many, its scales and silent steps are searched beginning
    with its own, and its latency is that of the network, which `max_network_steps` bounds;
    `sw.RateCode()` is what is searched without it. At most
    `searched` samples are searched on; those that are held back, `validation`, a fraction or
    `(x, y)`, decide the choice: the cheapest setting that they show to lose at most `max_drop`,
    with `confidence`; where they cannot show it for any, the cheapest whose estimate holds it.
    `metric`, `f(outputs, y)` as for `evaluate`, stands in for accuracy: then `max_drop` is in its
    unit, and y is its second argument. `weights`, `sw.Quantised(...)`, are those of all settings.

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
    require("optuna")
    if options["train"] is not False:
        require("torch")
    started = time.monotonic()
    metric = Metric.of(options["metric"])
    _check(options, metric)
    run: dict[str, Any] = {name: options[name] for name in _OF_RUNS}  # type: ignore[literal-required]
    energies = options["energy_table"] if options["minimise"] == "energy" else None
    with suppress_warnings():
        return _search(model, x, y, options, Running(**run, table=energies, metric=metric), started)


def _check(asked: TuneOptions, metric: Metric | None) -> None:
    """Raise `TuningError` for options that no search can have together."""
    if metric is None and asked["max_drop"] >= 1:
        raise TuningError(
            "max_drop is the accuracy that may be lost, a fraction from 0 and below 1 (0.005 is "
            f"half a point), got {asked['max_drop']!r}"
        )
    train = asked["train"]
    if not (isinstance(train, bool) or (isinstance(train, tuple | list) and len(train) == 2)):
        raise TuningError(
            "train is True, to train on the samples searched on, or samples (x, y), where y may be "
            f"None, got {type(train).__name__}"
        )


def _search(
    model: Any, x: Any, y: Any, asked: TuneOptions, running: Running, started: float
) -> StudyResult:
    """Search as requested, from a time on."""
    trainable = named(asked["trainable"])
    origin = ModelReference.of(model, asked["example_input"], x)
    read: dict[str, Any] = {name: asked[name] for name in _OF_MODEL}  # type: ignore[literal-required]
    conversion = convert(model, spiking=True, example_input=origin.example, **read)
    wanted, rules = with_rules(asked["space"] or {})
    space = restricted(space_of(conversion), wanted)
    mine, held = divided(conversion, (x, y), asked["validation"], asked["searched"], running)
    allocation = allocate(conversion, mine[slice(_CALIBRATED)].x, _WORK * asked["timeout"], rules)
    translation = Translation(allocation, running.dt)
    codes, most = codes_of(asked["coding"]), asked["max_network_steps"]
    rates = any(code.steps is None for code in codes)
    objective = Objective(
        conversion,
        translation,
        within(space, most) if rates and most is not None else space,
        minimise=asked["minimise"],
        running=running,
        samples=mine,
        timeout=asked["timeout"],
        most_steps=most,
    )
    coded = [objective.coded(code, space) for code in codes if code.steps is not None]
    study = open_study(asked["study"], _facts(asked, objective, held), running.seed)
    tuning = _Tuning(asked, objective, held, study, started, coded=coded, rates=rates)
    with _bar(asked) as advance:
        tuning.search.run(tuning.is_over, advance)
    checked, refused = tuning.checked(trainable)
    facts = {
        "confidence": asked["confidence"],
        "measure": running.worth.name,
        "searched_on": len(mine),
        "held_back": len(held),
        "trials": study.counts(),
        "failures": {**study.failures(), **refused},
        "study": None if asked["study"] is None else without_password(asked["study"]),
        "energy_table": running.table,
    }
    return result(
        asked,
        objective,
        study,
        checked=checked,
        origin=origin,
        facts=facts,
        certifying=tuning.certifiable_drop is not None,
    )


@dataclass(eq=False)
class _Tuning:
    """The stages of a search that began at the time `started`: trials, training, the last check.

    `coded` are values of codes with steps of their own, beside firing rates where `rates` is true.
    `held` are the samples that are held back, `certifiable_drop` is the drop that they will
    probably certify; None where that is hardly any. Then estimates decide, and every cheap setting
    has a chance.
    """

    asked: TuneOptions
    objective: Objective
    held: Labelled
    study: Study
    started: float
    coded: Sequence[Values]
    rates: bool
    certifiable_drop: float | None = field(init=False)
    baseline: BaselineSweep = field(init=False)
    search: Search = field(init=False)

    def __post_init__(self) -> None:
        asked, mine, space = self.asked, self.objective.samples, self.objective.space
        most = asked["max_drop"]
        self.certifiable_drop = certifiable(
            len(self.held), most, asked["confidence"], self.held.size
        )
        # where nothing is certified, half the limit: a choice loses more on samples that are new
        limits = [most / 2 if self.certifiable_drop is None else self.certifiable_drop, most]
        criteria = [PenalizedCost.of(limit, most, len(mine), mine.size) for limit in limits]

        def holds(point: Measurement) -> bool:
            if self.certifiable_drop is None:
                return point.drop <= most
            return criteria[0].expected(point) <= criteria[0].limit

        seconds = partial(self.objective.seconds, samples=len(mine))
        self.baseline = baseline = BaselineSweep(
            space,
            seconds,
            asked["timeout"],
            holds,
            asked["trials"],
            self.certifiable_drop is not None,
        )
        translation = self.objective.translation
        first = ordered_settings(space, translation.dt, translation.as_chosen) if self.rates else []
        refinement = Refinement(self.objective, _REFINING * asked["timeout"])
        self.search = Search(
            self.study,
            self.objective,
            refinement.proposals,
            criteria,
            [
                lambda study: (ProposedSetting(values, "start") for values in first[:_WARM]),
                lambda study: (ProposedSetting(values, "code") for values in self.coded),
                lambda study: baseline(study) if len(study.known()) >= _WARM and self.rates else (),
                lambda study: (ProposedSetting(values, "start") for values in first[_WARM:]),
                baseline.finer,
            ],
            sampling=self.rates,
        )

    def listed(self) -> list[Measurement]:
        """The settings to be checked, after all trials that are finished."""
        decided, points = self.certifiable_drop is None, self.study.finished()
        most = MANY if decided else LISTED if self.asked["train"] is False else _FEW
        promising = short_list(
            points, self.asked["max_drop"], self.search.expected(), most, decided
        )
        there = set(map(id, promising))
        swept = self.baseline.cheapest(points, _SWEPT if decided else 1)
        return [*promising, *(point for point in swept if id(point) not in there)]

    def is_over(self, done: int) -> bool:
        """Whether trials end: after as many as asked for, or to have time for the last check."""
        trials, check = self.asked["trials"], 0.0
        searching = self.asked["timeout"]
        searching *= 1 - (_TRAINING if self.asked["train"] is not False else 0)
        if self.study.finished():
            runs = ({**point.values, "steps": point.steps} for point in self.listed())
            seconds = sum(self.objective.trial(values, len(self.held)) for values in runs)
            check = min(_CHECKING * searching, _ONCE * seconds)
        late = time.monotonic() >= self.started + searching - check
        return late or (trials is not None and done >= trials)

    def checked(self, trainable: tuple[str, ...]) -> tuple[list[Measurement], Mapping[str, int]]:
        """Settings checked on held-back samples, trained ones too; failures by their reason."""
        listed, expected, most = self.listed(), self.search.expected(), self.asked["max_drop"]
        trained, refused = list[Measurement](), dict[str, int]()
        if self.asked["train"] is not False:
            tuning = FineTuning(
                self.objective,
                tuning_data(self.asked["train"], self.objective.samples),
                self.search.criteria[0].limit,
                trainable=trainable,
                seconds=_TRAINING * self.asked["timeout"],
                held=len(self.held),
                progress=self.asked["progress"],
            )
            trained, refused = tuning.candidates(listed, expected), tuning.failures
        if trained and self.certifiable_drop is not None:
            some = set(map(id, needed([*listed, *trained], most, expected)))
            listed = [one for one in listed if id(one) in some]
            trained = undecided(trained, self.certifiable_drop, most, expected)
        ordered = likely_first([*listed, *trained], expected)

        def on_held_back(one: Measurement) -> Measurement:
            return self.objective.of(self.objective.network(one), one.where, self.held)

        return check(ordered, on_held_back, most, self.asked["confidence"]), refused


def _facts(asked: TuneOptions, objective: Objective, held: Labelled) -> dict[str, Any]:
    """The facts that the trials of a study hold for."""
    weights = "" if asked["weights"] is None else f", weights={asked['weights']}"
    running, model = objective.running, fingerprint(objective.conversion.canonical)
    facts = {
        "model": f"{model}, max_pool={asked['max_pool']}{weights}",
        "data": digest(objective.samples, held),
        "minimise": ", ".join(filter(None, (asked["minimise"], running.table))),
        "max_drop": asked["max_drop"],
        "dt": running.dt,
        "precision": running.precision,
        "seed": running.seed,
        "space": {name: repr(parameter) for name, parameter in objective.space.items()},
    }
    if asked["coding"] is not None:
        facts["coding"] = [brief(code) for code in codes_of(asked["coding"])]
    if objective.most_steps is not None:
        facts["max_network_steps"] = objective.most_steps
    if running.metric is not None:
        facts["metric"] = f"{running.worth.name} {running.metric.key}"
    return facts


@contextmanager
def _bar(asked: TuneOptions) -> Iterator[Callable[[int], None]]:
    """A bar of trials where their number is given, else of seconds."""
    trials, started, seen = asked["trials"], time.monotonic(), 0
    total, what = (
        (trials, "trials") if trials else (math.ceil(asked["timeout"]), "seconds of search")
    )
    with progress_bar(total, asked["progress"], what) as advance:

        def tick(done: int) -> None:
            nonlocal seen
            before, seen = seen, int(time.monotonic() - started)
            advance(done if trials else seen - before)

        yield tick
