"""Whatever states a difference says on which side of zero it lies, and each end of its interval."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

import spikewright as sw
from spikewright._base.amounts import format_difference
from spikewright.diagnosis.findings import Diagnosis, summary
from spikewright.diagnosis.loss import Loss, Score
from spikewright.records import Record, Worth, table_of
from spikewright.report.figures import trade_off_info
from spikewright.report.page import sentence
from spikewright.report.tables import over_time_table
from spikewright.study.grid.summary import found_one
from spikewright.study.point import Certificate, OutputScore
from spikewright.study.search.result import conclusion

SOURCE = Path(sw.__file__).parent
HOW = {"steps": 4, "readout": "mean", "dt": 0.001}
ACCURACY = Worth("accuracy")


@dataclass(frozen=True)
class Stated:
    """A difference of accuracy, its interval, and the records that an evaluation has of it."""

    drop: float
    low: float
    high: float

    @property
    def record(self) -> Record:
        """The record of the drop."""
        return Record("accuracy drop", self.drop, "fraction", 50, (self.low, self.high), HOW)

    @property
    def records(self) -> list[Record]:
        """The scores of network and source, and the drop."""
        return [
            Record("source accuracy", 0.9, "fraction", 50),
            Record("accuracy", 0.9 - self.drop, "fraction", 50, (0.8, 0.95), HOW),
            self.record,
        ]


def of_a_sweep(stated: Stated) -> str:
    """The sentence of a sweep about its best setting."""
    source, value, drop = stated.records
    score = OutputScore(ACCURACY, value, drop, source)
    setting = sw.StudySetting("scale 5", {})
    point = sw.results.OperatingPoint(setting=setting, steps=4, dt=0.001, scores=(score,))
    return found_one(point, 0.01, "spikes")


def of_a_diagnosis(stated: Stated) -> str:
    """The sentence of a diagnosis."""
    score = Score(ACCURACY, 0.9 - stated.drop, 0.9)
    loss, interval = Loss(score.drop, 0.1), (stated.low, stated.high)
    return summary(Diagnosis(loss, interval, score, (), (), "", 5.0, 50, 4, 0.001))


def of_a_search(stated: Stated) -> str:
    """The sentence of a search, whose interval is in its verdict."""
    score = OutputScore(ACCURACY, stated.record, stated.record)
    point = sw.results.OperatingPoint(
        setting=sw.StudySetting("trial 1", {}), steps=4, dt=0.001, scores=(score,),
        check=Certificate(certified=False, needed=9),
    )  # fmt: skip
    return conclusion({"max_drop": 0.5, "confidence": 0.95}, point)


def cells(stated: Stated) -> str:
    """The cells of a table of an evaluation."""
    _, row = over_time_table(stated.records, [4]).as_texts()
    return "; ".join(row)


def of_a_mark(stated: Stated) -> str:
    """The description of a figure of settings by their drop."""
    records = [
        Record(name, value, unit, 50, None, {"setting": setting})
        for setting, value_of in (("one", stated.drop), ("two", 0.25))
        for name, value, unit in (
            ("accuracy drop", value_of, "fraction"), ("spikes per sample", 9 + value_of, "spikes"),
        )
    ]  # fmt: skip
    return trade_off_info(records).chart().words


WITH_INTERVAL: dict[str, Callable[[Stated], str]] = {
    "the headline of a report": lambda stated: sentence(stated.records),
    "a sweep": of_a_sweep,
    "a diagnosis": of_a_diagnosis,
    "a record": lambda stated: str(stated.record),
}
PARTS: dict[str, Callable[[Stated], str]] = {
    "a table over time": cells,
    "an evaluation in a notebook": lambda stated: str(table_of([stated.record])[1]),
    "a search": of_a_search,
    "a figure of settings": of_a_mark,
}
CASES = (
    Stated(-0.004, -0.018, 0.009), Stated(0.004, 0.001, 0.009), Stated(-0.018, -0.03, -0.009),
    Stated(0.05, -0.02, 0.12), Stated(0.0, -0.02, 0.03), Stated(0.02, 0.0, 0.04),
)  # fmt: skip


@pytest.mark.parametrize("stated", CASES, ids=str)
@pytest.mark.parametrize("output", WITH_INTERVAL.values(), ids=WITH_INTERVAL)
def test_sentences_state_it_alike(output: Callable[[Stated], str], stated: Stated) -> None:
    """The direction of the difference, and that of each end."""
    assert format_difference(stated.drop, (stated.low, stated.high)) in output(stated)


@pytest.mark.parametrize("stated", CASES, ids=str)
@pytest.mark.parametrize("output", PARTS.values(), ids=PARTS)
def test_cells_and_labels_say_lost_or_gained(
    output: Callable[[Stated], str], stated: Stated
) -> None:
    """There is no minus, and the word is that of the sign."""
    text = output(stated)
    size = f"{abs(100 * stated.drop):.1f}" if stated.drop else "0"
    words = re.findall(rf"(?<![\d.]){re.escape(size)}0?(?: points)?(?: (lost|gained))?", text)

    assert not re.search(r"-\d", text)
    if stated.drop:
        assert ("gained" if stated.drop < 0 else "lost") in words
    else:
        assert words and "gained" not in words


def _texts(path: Path) -> Iterator[str]:
    """All texts of a module but its docstrings; of other files all lines."""
    if path.suffix != ".py":
        yield path.read_text()
        return
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield cast(str, node.value)


def test_one_module_has_the_words() -> None:
    """Nothing else writes of points that are lost or gained: so no copy of it can forget a sign."""
    stating = re.compile(r"\bgained\b(?! samples)|points (are )?lost|% confidence")
    found = [
        path.relative_to(SOURCE).as_posix()
        for path in sorted(SOURCE.rglob("*"))
        if path.suffix in (".py", ".js", ".html") and any(map(stating.search, _texts(path)))
    ]

    assert found == ["_base/amounts.py"]
