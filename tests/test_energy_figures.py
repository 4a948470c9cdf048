"""One setting has one energy, whatever prints it, and its cost table is named beside it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import spikewright as sw
from report.report_pages import parse
from spikewright import demo
from spikewright._base.amounts import joules
from spikewright.cli import main
from spikewright.explorer.answers import data_messages
from spikewright.explorer.message import ExplorerSettings
from spikewright.explorer.model_session import ModelSession
from spikewright.measure.energy import TABLES
from spikewright.records import (
    DEFAULT_TABLE,
    Record,
    own_energies,
)
from spikewright.report import figures, write_html
from spikewright.report.tables import Table, energy_table
from spikewright.study.search.samples import Running, run
from spikewright.training.history import Epoch, Measured, records_of

SAMPLES, STEPS, SCALE = 24, 8, 20.0


@dataclass(frozen=True, eq=False)
class Setting:
    """One setting, measured by `evaluate` and in a sweep, and where files may be written."""

    conversion: sw.Conversion
    evaluation: sw.Evaluation
    sweep: sw.results.StudyResult
    data: Path
    folder: Path

    @property
    def energy(self) -> float:
        """Joules a sample, as `evaluate` counts them under the default table."""
        (record,) = own_energies(self.evaluation.records, steps=STEPS, table=DEFAULT_TABLE)
        return record.value


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """The shipped digits at one scale."""
    folder = tmp_path_factory.mktemp("energy")
    x, y = demo.held_out(SAMPLES)
    np.savez(folder / "data.npz", x=x, y=y)
    made = sw.convert(demo.MODEL, spiking=True, scale_firing_rates=SCALE)
    found = made.evaluate(x, y, STEPS, at=[STEPS // 2], progress=False)
    return Setting(made, found, swept(), folder / "data.npz", folder)


def swept(**more: Any) -> sw.results.StudyResult:
    """A sweep of that setting alone."""
    given = {"scales": SCALE, "steps": STEPS, "readouts": ["mean"], "within": 1.0, **more}
    return sw.sweep(demo.MODEL, *demo.held_out(SAMPLES), **given, progress=False)


def column(table: Table, word: str) -> str:
    """The headings with a word in them, and what stands below them."""
    headings, *rows = table.as_texts()
    places = [i for i, heading in enumerate(headings) if word in heading]
    return "; ".join(f"{headings[i]}: {row[i]}" for row in rows for i in places)


def command(*arguments: str) -> str:
    """What a command prints."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def told_by_the_explorer(found: Setting) -> str:
    """The message of the explorer about its data."""
    x, y = demo.held_out(SAMPLES)
    base = sw.convert(demo.MODEL)
    subject = ModelSession(base, {next(iter(base.inputs)): x}, y, "Digits", "demo.MODEL", ())
    (message,) = data_messages(subject, ExplorerSettings(scale=SCALE, steps=STEPS), lambda: False)
    assert message["energy"] == found.energy
    return str(message["energy_text"])


def told_by_tune(found: Setting) -> str:
    """A choice with the costs that a search measures."""
    (x, y), inputs = demo.held_out(SAMPLES), iter(found.conversion.inputs)
    running = Running(table=DEFAULT_TABLE)
    outcome = run(found.conversion, {next(inputs): x}, y, [STEPS], ["mean"], running)
    how = {"table": DEFAULT_TABLE, "network": "spiking"}
    energy = Record("energy", outcome.costs[STEPS]["energy"], "J", SAMPLES, None, how)
    setting = sw.StudySetting("trial 1", {})
    point = sw.results.OperatingPoint(setting=setting, steps=STEPS, dt=0.001, costs=(energy,))
    assert point.as_dict()["energy_table"] == DEFAULT_TABLE
    return point.costs_text


def told_by_a_page(found: Setting, part: str, kind: str) -> str:
    """The texts of one kind of element in a section of a page."""
    path = found.folder / f"{part} {kind}.html"
    records = found.evaluation.records
    write_html(path, records, sweep=found.sweep.records, search=found.sweep.trade_off)
    (section,) = parse(path.read_text()).all("section", **{"aria-labelledby": part})
    return "; ".join(tag.text for tag in section.all(kind))


def told_by_a_training(found: Setting) -> str:
    """The figure of an energy by epoch."""
    held = Measured(0.1, 0.9, 5.0, joules=found.energy, energy_table=DEFAULT_TABLE)
    records = list(records_of(Epoch(1, "time", 0.1, held, 1.0), kept=True))
    info = figures.epochs_infos(records)[-1]
    path = found.folder / "training.html"
    write_html(path, training=records)
    assert f"Energy under {DEFAULT_TABLE} by epoch" in parse(path.read_text()).text
    return f"{info.rows()[0]} {joules(info.rows()[1][-1])}"


def told_by_csv(found: Setting) -> str:
    """The data beside the figure of settings and their energies."""
    settings = [*found.sweep.trade_off]
    settings += [_another(record) for record in settings if "setting" in record.how]
    info = figures.trade_off_info(settings, "energy")
    header, first, *_ = info.rows()
    return f"{header[2]} {joules(first[2])}"


def _another(record: Any) -> Any:
    how = {**record.how, "setting": "another"}
    return type(record)(record.name, record.value, record.unit, record.n, record.interval, how)


def told_by_a_picture(found: Setting) -> str:
    """The energies after several numbers of steps, as a reader of the picture hears them."""
    path = found.folder / "over steps.html"
    write_html(path, found.evaluation.records)
    (section,) = parse(path.read_text()).all("section", **{"aria-labelledby": "trade-off"})
    return "; ".join(tag.text for tag in section.all("title") if "J" in tag.text)


MODEL = str(demo.MODEL)
OUTPUTS: dict[str, Callable[[Setting], str]] = {
    "sweep, its sentence": lambda found: found.sweep.conclusion,
    "sweep, its table": lambda found: column(found.sweep.table, "energy"),
    "sweep, the command": lambda found: command(
        "sweep", MODEL, f"--data={found.data}", f"--scale={SCALE}", f"--steps={STEPS}",
        "--within=1",
    ),
    "evaluate, the command": lambda found: command(
        "evaluate", MODEL, f"--data={found.data}", f"--steps={STEPS}", "--spiking",
        f"--scale={SCALE}",
    ),
    "evaluate, its table": lambda found: str(energy_table(found.evaluation.records).rows[0][:1])
    + column(energy_table(found.evaluation.records), "spiking"),
    "the explorer": told_by_the_explorer,
    "a page, its energies": lambda found: told_by_a_page(found, "energy", "title"),
    "a page, its sweep": lambda found: told_by_a_page(found, "sweep", "table"),
}  # fmt: skip


@pytest.mark.parametrize("told", OUTPUTS.values(), ids=OUTPUTS)
def test_one_setting_has_one_energy_beside_its_table(
    setting: Setting, told: Callable[[Setting], str]
) -> None:
    """Without an option all outputs use the same table, and say which it is."""
    text = told(setting)

    assert joules(setting.energy) in text and DEFAULT_TABLE in text


@pytest.mark.parametrize("table", TABLES)
def test_another_table_is_named_in_the_place_of_the_default(setting: Setting, table: str) -> None:
    """In the sentence, the table, the plain data and the page of a sweep, with its own energy."""
    found = swept(energy_table=table)
    (record,) = own_energies(setting.evaluation.records, steps=STEPS, table=table)
    figure = f"{joules(record.value)} ({table})"
    (row,) = found.table.as_dicts()
    best = found.as_dict()["best"]

    assert figure in found.conclusion
    assert column(found.table, "energy") == (f"energy per sample ({table}): {joules(record.value)}")
    assert (row["energy_j"], row["energy_table"]) == (record.value, table)
    assert (best["energy"], best["energy_table"]) == (record.value, table)
    page = write_html(setting.folder / f"{table}.html", sweep=found.records, search=found.trade_off)
    (section,) = parse(page.read_text()).all("section", **{"aria-labelledby": "sweep"})
    (heading,) = (th.text for th in section.all("th", scope="col") if "energy" in th.text)
    assert f"({table})" in heading and joules(record.value) in section.text


def _defaults() -> Iterable[tuple[str, Any]]:
    """The default of every function, command and constructor that takes a cost table by name."""
    for function in (sw.sweep, sw.tune):
        yield function.__name__, inspect.signature(function).parameters["energy_table"].default
    for name, one in main.commands.items():
        yield from ((name, p.default) for p in one.params if p.name == "energy_table")


def test_every_function_and_command_has_the_same_default() -> None:
    """One constant is the default of all, and it is the name of a table."""
    found = dict(_defaults())

    assert set(found.values()) == {DEFAULT_TABLE} == {sw.energy.DEFAULT_TABLE}
    assert {"sweep", "tune"} <= set(found)
    assert DEFAULT_TABLE in TABLES


def test_a_network_is_called_what_it_is(tmp_path: Path) -> None:
    """The energy of a rate network is not called that of a spiking one, anywhere."""
    x, y = demo.held_out(SAMPLES)
    found = sw.convert(demo.MODEL).evaluate(x, y, STEPS, progress=False)
    own = own_energies(found.records, steps=STEPS)
    info = figures.energies_info(found.records)
    page = tmp_path / "page.html"
    write_html(page, found.records)
    (section,) = parse(page.read_text()).all("section", **{"aria-labelledby": "energy"})
    np.savez(tmp_path / "data.npz", x=x, y=y)
    data = f"--data={tmp_path / 'data.npz'}"
    printed = command("evaluate", MODEL, data, f"--steps={STEPS}", "--rate")

    assert {r.how["network"] for r in own} == {"rate"} and len(own) == len(TABLES)
    assert info.own == "rate network" == info.networks[0]
    assert [c.key for c in energy_table(found.records).columns][1] == "rate"
    assert "Energy of the rate network, by cost table" in section.text
    shown = section.all("p")[0].text + section.all("table")[0].text + printed.split("Energy")[-1]
    assert "rate" in shown and "spiking" not in shown
