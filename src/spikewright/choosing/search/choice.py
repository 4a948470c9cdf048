"""The choice of a search, the costs of the alternatives, and the confidence in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from spikewright._base.amounts import POINTS, Unit, format_difference, format_energy
from spikewright._base.notebooks import Rows, Shown
from spikewright.choosing.search.paired import Interval
from spikewright.records import Record, Worth, plain, select

Minimise = Literal["spikes", "energy", "latency"]
MINIMISED: tuple[Minimise, ...] = ("spikes", "energy", "latency")


ACCURACY = Worth("accuracy")
_POINTS = replace(POINTS, decimals=2)


def unit_of(worth: Worth) -> Unit:
    """The unit of losses in a search: points of accuracy, or an amount of a metric."""
    return _POINTS if worth.fraction else Unit(f"of {worth.name}")


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Alternative:
    """One setting on the held-back samples.

    `arguments` need no data: they are arguments of `sw.convert`, "steps" and "dt" for `run` and
    "readout" for `predict` (`conversion` and `run` split them). `drop` is the accuracy that it
    loses against the source, a fraction. `interval` holds a lower and an upper bound of the true
    loss, each with the confidence asked for; `certified` says whether the samples show that it is
    at most the limit. `costs` are means a sample by name. `needed` is about how many held-back
    samples would certify it, None where its estimate does not hold the limit. `rule` is the one
    that its scales began with, spending as many spikes: `convert` and `best_rule` take it. It is
    None where nothing spikes. `training` is the `Training` that its network comes from, where it
    was trained: then `arguments` go with the trained weights. `energy_table` is the cost table that
    an energy among the costs was counted by.
    """

    arguments: Mapping[str, Any]
    drop: float
    interval: Interval
    certified: bool
    costs: Mapping[str, float]
    needed: int | None
    rule: Any = None
    training: Any = None
    energy_table: str | None = None

    def __repr__(self) -> str:
        """Without the arguments, which may be arrays of all neurons."""
        return f"<{type(self).__name__}: {self._what}; drop {self.drop:.4g}>"

    @property
    def _what(self) -> str:
        """Steps, costs, and whether it was trained."""
        steps = "1 step" if self.steps == 1 else f"{self.steps} steps"
        told = [steps, f"{self.spikes:.4g} spikes a sample"]
        if self.energy is not None:
            told.append(format_energy(self.energy, str(self.energy_table)))
        return ", ".join(told if self.training is None else [*told, "trained"])

    @property
    def conversion(self) -> dict[str, Any]:
        """The arguments of `sw.convert` alone."""
        apart = ("steps", "dt", "readout")
        return {name: value for name, value in self.arguments.items() if name not in apart}

    @property
    def run(self) -> dict[str, Any]:
        """The arguments of `run` alone."""
        return {name: self.arguments[name] for name in ("steps", "dt")}

    @property
    def steps(self) -> int:
        """Time steps of a sample."""
        return int(self.arguments["steps"])

    @property
    def spikes(self) -> float:
        """Spikes a sample."""
        return self.costs["spikes"]

    @property
    def energy(self) -> float | None:
        """Joules a sample, where energy was minimised."""
        return self.costs.get("energy")

    def as_dict(self) -> dict[str, Any]:
        """The setting as plain data, ready for JSON."""
        return {
            "arguments": plain(self.arguments),
            "drop": self.drop,
            "interval": list(self.interval),
            "certified": self.certified,
            "needed": self.needed,
            "costs": dict(self.costs),
            "energy_table": self.energy_table,
            "rule": None if self.rule is None else str(self.rule),
            "trained": self.training is not None,
        }


ONE_STEP = "One step has no order of spikes: this is a quantised rate network."
"""The sentence about a choice of one step."""


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Choice(Shown, Alternative):
    """The setting that a search chose, and the others.

    `arguments`, `drop`, `interval`, `certified`, `costs`, `needed` and `rule` are those of the
    chosen one, on the `held_back` samples that were not searched on; `limit` is the requested
    limit, `worth` the measure of answers. `runners_up` are other settings that were checked, the
    cheapest first. `reproduce` is the call that makes the network again. `trials` counts those of
    the study by state, and `failures` those that could not be converted or run by the reason.
    """

    runners_up: tuple[Alternative, ...]
    limit: float
    confidence: float
    minimised: str
    held_back: int
    searched_on: int
    records: tuple[Record, ...]
    reproduce: str
    trials: Mapping[str, int]
    study: str | None = None
    failures: Mapping[str, int] = field(default_factory=dict)
    worth: Worth = ACCURACY

    @property
    def chosen(self) -> Alternative:
        """The chosen setting, beside `runners_up`."""
        return self

    def __str__(self) -> str:
        lost = format_difference(self.drop, unit=unit_of(self.worth))
        told = f"{self._what}; {lost}. {self.verdict}"
        return f"{told} {ONE_STEP}" if self.steps == 1 else told

    def _told(self) -> tuple[str, Rows]:
        rows = [self._row(each) for each in (self.chosen, *self.runners_up)]
        return str(self), [("steps", "spikes", "difference", "at most", "certified", "rule"), *rows]

    def _drawn(self) -> Any:
        from spikewright.report import figures

        for records in figures.of_search(self.records).values():
            if len({r.how["setting"] for r in select(records, "spikes per sample")}) > 1:
                return figures.draw(figures.trade_off_info(records))
        return None

    def _row(self, each: Alternative) -> tuple[str, ...]:
        return (
            str(each.steps),
            f"{each.spikes:.4g}",
            unit_of(self.worth).format(each.drop),
            unit_of(self.worth).format(each.interval[1]),
            "yes" if each.certified else "no",
            "" if each.rule is None else str(each.rule),
        )

    @property
    def verdict(self) -> str:
        """The result on the held-back samples, in a sentence."""
        limit, sure = self._limit, f"{100 * self.confidence:g} %"
        held = f"On {self.held_back} held-back samples"
        if self.certified:
            return f"{held} the loss is at most {limit}, with {sure}."
        high = self.interval[1]
        most = f"{'up to' if high >= 0 else 'only'} {unit_of(self.worth).format(high)}"
        text = f"{held} there may be {most}"
        if self.drop > self.limit:
            return f"No setting found holds {limit}; this is the nearest. {text}, with {sure}."
        if self.needed is None:
            more = "No number of them would certify what is just reached"
        else:
            more = f"About {self.needed} held-back samples would certify {limit}"
        return f"{text}, with {sure}: not certified. {more}."

    @property
    def _limit(self) -> str:
        """The largest loss allowed, in words."""
        if not self.worth.fraction:
            return f"{self.limit:.4g} of {self.worth.name}"
        points = f"{100 * self.limit:g}"
        return f"{points} point" if points == "1" else f"{points} points"

    def as_dict(self) -> dict[str, Any]:
        """The choice as plain data, ready for JSON."""
        return {
            **super().as_dict(),
            "measure": self.worth.name,
            "limit": self.limit,
            "confidence": self.confidence,
            "minimised": self.minimised,
            "held back": self.held_back,
            "searched on": self.searched_on,
            "verdict": self.verdict,
            "reproduce": self.reproduce,
            "trials": dict(self.trials),
            "failures": dict(self.failures),
            "study": self.study,
            "runners up": [other.as_dict() for other in self.runners_up],
            "records": [record.as_dict() for record in self.records],
        }
