"""The best of several ways to convert for a number of steps, by calibration data alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from spikewright._base.arguments import is_number, is_whole, refuse
from spikewright._base.keywords import spelled
from spikewright._base.notebooks import Rows, Shown
from spikewright._base.optional import require
from spikewright._base.progress import progress_bar
from spikewright.choosing.compare.candidates import Candidate, candidates_of, compared_rules
from spikewright.choosing.compare.comparing import Compared, Comparison, by_candidate
from spikewright.choosing.compare.further import Further
from spikewright.choosing.compare.halving import Clock, Halving
from spikewright.choosing.correction import looks_at_data
from spikewright.choosing.rules import ScaleRule
from spikewright.choosing.statistics.batches import gather
from spikewright.conversion import Conversion
from spikewright.conversion.arguments import check_cap
from spikewright.conversion.pipeline import convert
from spikewright.errors import listed
from spikewright.frontends import example_for
from spikewright.graph.layers import Activation
from spikewright.lower.speaking import silently
from spikewright.measure import EveryStep
from spikewright.running.stepping import refuse_sequences


@dataclass(frozen=True, eq=False, repr=False)
class BestRule(Shown):
    """The chosen rule: `best`, among all `compared` ones (least loss first).

    Candidates that fell behind on the first samples come after those compared on all. `conversion`
    is the network, as it was compared. `arguments` need no data: they are arguments of
    `sw.convert`, and "steps", "dt" and "readout".
    """

    best: Compared
    compared: tuple[Compared, ...]
    conversion: Conversion
    steps: int
    dt: float

    @property
    def readout(self) -> EveryStep:
        """The readout of the chosen rule."""
        return self.best.readout

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of `sw.convert`, and "steps", "dt" and "readout"."""
        run = {"steps": self.steps, "dt": self.dt, "readout": self.readout}
        return {**self.conversion.resolved, **run}

    def __repr__(self) -> str:
        return f"<BestRule {self.best.candidate.name}, readout {self.readout}, {self.steps} steps>"

    def __str__(self) -> str:
        """One line a candidate, under its best readout, the chosen one first."""
        lines = ["loss       other answers  spikes     neurons  samples  candidate"]
        for item in by_candidate((self.best, *self.compared)):
            if item.failed:
                lines.append(f"failed: {item.candidate.name}: {item.failed.splitlines()[0]}")
                continue
            other = "-" if item.disagreement is None else f"{item.disagreement:.2%}"
            name = f"{item.candidate.name}, readout {item.readout}"
            lines.append(
                f"{item.loss:<10.4g} {other:>13}  {item.spikes:<9.4g}  {item.neurons:<7d}  "
                f"{item.samples:<7d}  {name}"
            )
        return "\n".join(lines)

    def _told(self) -> tuple[str, Rows]:
        sentence = f"{self.best.candidate.name}, readout {self.readout}, at {self.steps} steps."
        rows = map(_row, by_candidate((self.best, *self.compared)))
        head = ("candidate", "readout", "loss", "other answers", "spikes", "neurons")
        return sentence, [head, *rows]


def _row(item: Compared) -> tuple[str, ...]:
    if item.failed:
        return item.candidate.name, "", "failed", item.failed.splitlines()[0], "", ""
    other = "" if item.disagreement is None else f"{item.disagreement:.2%}"
    numbers = f"{item.loss:.4g}", other, f"{item.spikes:.4g}", f"{item.neurons:,}"
    return item.candidate.name, str(item.readout), *numbers


@silently()
@spelled()
def best_rule(
    model: Any,
    x: Any,
    steps: int,
    dt: float = 0.001,
    *,
    max_spikes_per_step: int | None = 1,
    tolerance: float | None = None,
    candidates: Sequence[Candidate | ScaleRule] | None = None,
    timeout: float | None = None,
    reconstruct: bool | None = None,
    example_input: Any = None,
    outputs: Sequence[str] | None = None,
    engine: str = "auto",
    threads: int | None = None,
    progress: bool = True,
) -> BestRule:
    """Compare rules, neurons, corrections and readouts for `steps` steps of `dt` seconds.

    `model` is what `convert` takes, or a `Conversion`, whose corrections and added neurons are left
    out and whose other arguments stay. `x` is calibration data, some hundred samples, as `convert`
    takes it, and so are `example_input` (of a PyTorch module the first of `x`, unless it comes in
    batches) and `outputs`. Labels are not needed: every candidate is calibrated on one half of the
    samples, and its outputs are compared with the source's on the other. The one with the least
    loss is chosen (`Compared` defines it). With a `tolerance` it is the cheapest that gives another
    answer than the source on at most that share of samples.

    Rules in `candidates`, or else those of the field, are tried with neurons that take spikes back
    and with ones that do not, at most `max_spikes_per_step` spikes a step (None: no cap). All are
    compared on few samples first, and the better ones on twice as many, until those that are left
    were on all (without a `tolerance`). So is what is added to them. The best rule of the field is
    tried with corrections, and the next ones with the best of these. Corrections are measured on
    few samples, and those of the best on all that there are. At last biases, thresholds and starts
    of the best are fitted (`Conversion.reconstruct`), where PyTorch is installed and there is a
    `timeout`, or `reconstruct` is True; False leaves it out.

    Ends after about `timeout` seconds with the best until then; without it the result is a function
    of the other arguments. Raises as `convert` does, `ConversionError` for arguments that it cannot
    use, and `MissingExtraError` where `reconstruct` needs PyTorch.
    """
    clock = Clock.of(timeout)
    _check(steps, dt, tolerance)
    check_cap(max_spikes_per_step)
    fits = _fits(reconstruct, timeout, candidates)
    if isinstance(model, Conversion):
        base = _uncorrected(model)
    else:
        example = example_for(model, example_input, x)
        base = convert(model, example_input=example, outputs=outputs)
    refuse_sequences(base.lowered.stepping, "best_rule")
    (samples,) = gather(x, base.canonical)
    comparison = Comparison(base, samples, steps, dt=dt, engine=engine, threads=threads)
    if tolerance is not None and not comparison.tells_classes:
        reason = "its outputs tell no classes apart, so that no sample has another answer"
        raise refuse("tolerance", reason, "Leave it out: the least loss is chosen then")
    tried = _tried(candidates, steps, dt, max_spikes_per_step, _rectifies(base))
    with progress_bar(None, progress, "candidates") as advance:
        halving = Halving(comparison, advance, halves=tolerance is None)
        further = Further(comparison, halving, steps, dt)
        halving.compare(tried, clock.part(0.5))
        _require_one(halving.left)
        rest = clock.part(0.5) if fits else clock
        if candidates is None:
            further.correct(rest)
        further.measure_more(rest)
        if fits:
            further.reconstruct(clock)
        halving.settle()
    best = _chosen(halving.left, tolerance)
    made = comparison.conversion(best.candidate)
    return BestRule(best, (*halving.left, *halving.gone), made, steps, dt)


def _uncorrected(conversion: Conversion) -> Conversion:
    """The same without corrections and added neurons: candidates have their own, or none."""
    given = conversion.arguments
    measured = [name for name in ("bias_correction", "fission") if given.get(name) is not None]
    if not isinstance(given.get("initial_voltage"), str | None):
        measured.append("initial_voltage")
    if not measured:
        return conversion
    changes: dict[str, Any] = dict.fromkeys(measured)
    if not looks_at_data({**given, **changes}):
        changes["calibration"] = None
    return conversion.again(**changes)


def _tried(
    given: Sequence[Candidate | ScaleRule] | None,
    steps: int,
    dt: float,
    cap: int | None,
    rectifies: bool,
) -> list[Candidate]:
    """The candidates that were given, rules with every kind of neurons; else all that are known."""
    known = "they are a list of rules, or of sw.Candidate(...)"
    if not (given is None or isinstance(given, Sequence)):
        raise refuse("candidates", f"{known}, got {given!r}")
    if not given:
        rules: Mapping[str, ScaleRule] = compared_rules(steps, dt, cap)
    else:
        rules = {str(item): item for item in given if isinstance(item, ScaleRule)}
    ready = [item for item in given or () if not isinstance(item, ScaleRule)]
    for item in ready:
        if not isinstance(item, Candidate):
            raise refuse("candidates", f"{known}, got {item!r}")
    return [*ready, *candidates_of(rules, steps, dt, cap, rectifies)]


def _check(steps: int, dt: float, tolerance: float | None) -> None:
    if not (is_whole(steps) and steps >= 1):
        raise refuse("steps", f"it is a whole number from 1, got {steps!r}")
    if not (is_number(dt) and dt > 0):
        raise refuse("dt", f"it is seconds above 0, got {dt!r}")
    if tolerance is not None and not (is_number(tolerance) and 0 <= tolerance <= 1):
        raise refuse("tolerance", f"it is None or a share of samples, got {tolerance!r}")


def _fits(wanted: bool | None, timeout: float | None, candidates: Any) -> bool:
    """True where biases, thresholds and starts are fitted.

    Raises `MissingExtraError` where that is asked for and PyTorch is missing, and
    `ConversionError` where it is not True, False or None.
    """
    if not (wanted is None or isinstance(wanted, bool)):
        raise refuse("reconstruct", f"it is None, True or False, got {wanted!r}")
    if wanted is None:
        return timeout is not None and candidates is None and find_spec("torch") is not None
    if wanted:
        require("torch")
    return wanted


def _rectifies(conversion: Conversion) -> bool:
    """Whether any layer with neurons is a ReLU."""
    layers = (conversion.canonical[name].layer for name in conversion.populations())
    return any(isinstance(layer, Activation) and layer.function == "relu" for layer in layers)


def _require_one(rows: Sequence[Compared]) -> None:
    """Raise `ConversionError` with every reason where all candidates failed."""
    if all(row.failed for row in rows):
        reasons: dict[str, list[str]] = {}
        for row in rows:
            reasons.setdefault(row.failed, []).append(row.candidate.name)
        lines = [f"{listed(names)}: {reason}" for reason, names in reasons.items()]
        raise refuse("candidates", "\n  - ".join(["none of them can be run:", *lines]))


def _chosen(rows: Sequence[Compared], tolerance: float | None) -> Compared:
    """The least loss, or the cheapest within the tolerance where there is one."""
    if tolerance is not None:
        within = [r for r in rows if r.disagreement is not None and r.disagreement <= tolerance]
        if within:
            return min(within, key=lambda row: (row.spikes, row.loss))
    return rows[0]
