"""A sweep's result: records of every setting, the cheapest that is near the source, its call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Any

from spikewright._base.notebooks import Rows, Shown
from spikewright.choosing.search.choice import Minimise
from spikewright.choosing.tuning.reproduce import call, run_line
from spikewright.evaluation.sweeping.measuring import Tried
from spikewright.evaluation.sweeping.readings import Reading, cheapest, nearest
from spikewright.evaluation.sweeping.words import found_nothing, found_one
from spikewright.measure import Evaluation
from spikewright.records import DEFAULT_TABLE, Record
from spikewright.report import figures
from spikewright.report.sweeps import sweep_table
from spikewright.report.tables import Table


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(Shown):
    """Every setting that was tried, measured on the same samples; print it for its conclusion.

    `tried` are the settings, each with its `evaluation`, or with the reason why it failed;
    `readings` where each may be read: after which of the steps, under which readout. `within` and
    `minimised` define `best`, `model` is the model's name in `call`, and `energy_table` the cost
    table of energies.
    """

    tried: tuple[Tried, ...]
    readings: tuple[Reading, ...]
    within: float
    minimised: Minimise
    model: str
    energy_table: str = DEFAULT_TABLE

    @cached_property
    def best(self) -> Reading | None:
        """The cheapest reading that loses at most `within`, None where there is none."""
        return cheapest(self.readings, self.within, self.minimised)

    @cached_property
    def nearest(self) -> Reading:
        """The reading that loses least."""
        return nearest(self.readings, self.minimised)

    @property
    def shown(self) -> Reading:
        """The best reading, or the nearest where none is near enough."""
        return self.best or self.nearest

    @property
    def settings(self) -> Mapping[str, Any]:
        """The common facts of all settings: samples, steps, seed, engine, as of an evaluation."""
        return self._first.settings

    @property
    def call(self) -> str:
        """Lines that make the best network and run it; empty where there is none."""
        return "" if self.best is None else self.call_of(self.best)

    def call_of(self, reading: Reading) -> str:
        """Lines that make the network of a reading, without data, and run it."""
        made = call(self.model, reading.tried.resolved)
        return f"conversion = {made}\n{run_line(reading.steps, reading.dt, reading.readout)}"

    @property
    def failed(self) -> dict[str, str]:
        """The reasons of settings that could not be measured, by their names."""
        return {t.setting.name: t.reason for t in self.tried if t.evaluation is None}

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """Those of `Conversion.evaluate` under each setting, and the source's, once.

        The setting is in their `how` as "scale", "synapse" and "neurons", numbers or text; the
        score of the best reading has "chosen".
        """
        return (*self._source, *self._of_settings())

    @cached_property
    def _first(self) -> Evaluation:
        """An evaluation: of the source all of them say the same."""
        return next(t.evaluation for t in self.tried if t.evaluation is not None)

    @property
    def _source(self) -> list[Record]:
        """The scores of the source, which are the same beside every setting."""
        return [r for r in self._first.records if r.name.startswith("source ")]

    def _of_settings(self) -> Iterator[Record]:
        chosen = [] if self.best is None else [part.value for part in self.best.judged]
        for tried in self.tried:
            mine = chosen if self.best is not None and tried is self.best.tried else []
            for record in () if tried.evaluation is None else tried.evaluation.records:
                if not record.name.startswith("source "):
                    mark = {"chosen": True} if record in mine else {}
                    yield replace(record, how={**record.how, **tried.setting.how, **mark})

    @property
    def trade_off(self) -> tuple[Record, ...]:
        """The score and the cost of each setting after each of the steps.

        Of several readouts the one that loses least. The records name their setting in
        `how["setting"]`, as `report.write_html` takes them for `search`.
        """
        found = self._source
        for _, readings in groupby(self.readings, key=lambda p: (id(p.tried), p.steps)):
            several = list(readings)
            reading = self.best if self.best in several else nearest(several, self.minimised)
            how = {**reading.how, "setting": reading.name, "chosen": reading is self.best}
            worth = [part.value for part in reading.judged[:1]]
            found += [replace(r, how={**r.how, **how}) for r in (*worth, *reading.costs)]
        return tuple(found)

    def table(self, title: str = "") -> Table:
        """One row a setting and number of steps."""
        tried = [t.setting.how for t in self.tried]
        return sweep_table(self.records, self.settings["at"], title, tried, self.energy_table)

    @property
    def conclusion(self) -> str:
        """The cheapest setting that is near enough to the source, in a sentence."""
        if self.best is None:
            return found_nothing(self.nearest, self.within)
        return found_one(self.best, self.within, self.minimised)

    def _told(self) -> tuple[str, Rows]:
        return self.conclusion, self.table().as_texts()

    def _drawn(self) -> Any:
        return figures.draw(figures.sweep_info(self.records))

    def __str__(self) -> str:
        return f"{self.conclusion}\n\n{self.call}".rstrip()

    def __repr__(self) -> str:
        best = "none near the source" if self.best is None else f"best: {self.best.name}"
        return f"<Sweep of {len(self.tried)} settings, {best}>"

    def as_dict(self) -> dict[str, Any]:
        """The sweep as plain data, ready for JSON."""
        return {
            "settings": [
                {"name": t.setting.name, **t.setting.how, "failed": t.reason or None}
                for t in self.tried
            ],
            "table": self.table().as_dicts(),
            "best": None if self.best is None else self._plain(self.best),
            "within": self.within,
            "minimised": self.minimised,
            "conclusion": self.conclusion,
            "call": self.call,
            "records": [record.as_dict() for record in self.records],
        }

    def _plain(self, reading: Reading) -> dict[str, Any]:
        return {
            "name": reading.name,
            **reading.how,
            "dt": reading.dt,
            "lost": reading.lost,
            "spikes": reading.spikes,
            "energy": reading.energy,
            "energy_table": self.energy_table,
        }
