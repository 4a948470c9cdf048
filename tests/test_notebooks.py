"""Notebooks of docs/ are whole: run in order, small, and true to what stands below their cells.

The tutorials train networks, which takes a minute each, so a weekly workflow runs those:
`python scripts/notebooks.py --check`.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import copy
import io
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from PIL import Image
from scripts.notebooks import NOTEBOOKS, differences, printed, read
from scripts.pages import DOCS

every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
TUTORIALS = [path for path in NOTEBOOKS if path.stem.endswith("_to_decision")]
LARGEST, PICTURES = 400_000, 2_000_000
"""Bytes of a notebook, and of all pictures of the documentation."""
_FIGURE = re.compile(r"\d[\d,.]*\d|\d")


def _value(code: str, names: dict[str, Any]) -> Any:
    """Run a cell; the value of its last line, where that is an expression, as notebooks show it."""
    *body, last = ast.parse(code).body
    if not isinstance(last, ast.Expr):
        exec(code, names)
        return None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
@pytest.mark.parametrize("path", set(NOTEBOOKS) - set(TUTORIALS), ids=lambda path: path.stem)
def test_the_cells_give_what_stands_below_them(path: Path) -> None:
    """From top to bottom, as printed; of a result that is shown, its table, but for numbers."""
    names: dict[str, Any] = {}
    for cell in (cell for cell in read(path).cells if cell.cell_type == "code"):
        stream = io.StringIO()
        with contextlib.redirect_stdout(stream):
            value = _value(cell.source, names)
        assert stream.getvalue() == printed(cell)
        shown = [o.data["text/html"] for o in cell.outputs if "text/html" in o.get("data", ())]
        assert bool(shown) == hasattr(value, "_repr_html_")


@every
def test_a_notebook_is_small_and_whole(path: Path) -> None:
    """It begins as every page does, ran from top to bottom without an error, and tells no path."""
    notebook = read(path)
    nbformat.validate(notebook)
    title, _, text = notebook.cells[0].source.partition("\n\n")
    assert title.startswith("# ") and 1 <= len(re.findall(r"\.(?:\s|$)", text)) <= 3
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert {o.output_type for o in outputs} <= {"stream", "execute_result", "display_data"}
    assert {o.name for o in outputs if o.output_type == "stream"} == {"stdout"}
    assert {k for o in outputs for k in o.get("data", ())} <= {"text/html", "image/png"}
    content = path.read_text(encoding="utf-8")
    assert len(content) < LARGEST
    assert not re.search(r"/(home|root|work|tmp|Users)/|[A-Z]:\\\\", content)


def test_pictures_of_the_documentation_are_small() -> None:
    """Those of pages and those in notebooks, together."""
    sizes = [path.stat().st_size for path in DOCS.rglob("*.png")]
    outputs = [o for path in NOTEBOOKS for c in read(path).cells for o in c.get("outputs", ())]
    drawn = [
        base64.b64decode(o.data["image/png"]) for o in outputs if "image/png" in o.get("data", ())
    ]
    assert len(drawn) >= 2 * len(TUTORIALS)
    for content in drawn:
        assert Image.open(io.BytesIO(content)).width <= 1000
    assert sum(sizes) + sum(map(len, drawn)) < PICTURES


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_decision_rests_on_what_was_measured(path: Path) -> None:
    """Every figure of its last section was printed by a cell, or stands in its code."""
    notebook = read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    measured = set(_FIGURE.findall(" ".join(c.source + printed(c) for c in code)))
    title, _, decision = notebook.cells[-1].source.partition("\n")
    assert title.endswith("Decide") and decision.count("\n|") >= 5
    figures = _FIGURE.findall(re.sub(r"\]\(.*?\)", "", decision))
    assert len(figures) > 10
    assert not set(figures) - measured


def test_a_check_names_the_cell_that_differs() -> None:
    """A number that is near passes; another one, or a picture that is missing, does not."""
    held = read(TUTORIALS[0])
    given = copy.deepcopy(held)
    assert not list(differences(held, given))
    texts = [o for c in given.cells for o in c.get("outputs", ()) if o.output_type == "stream"]
    texts[0].text = texts[0].text.replace("1437", "1440")
    assert not list(differences(held, given))
    texts[0].text = texts[0].text.replace("1440", "2437")
    drawn = next(
        c
        for c in given.cells
        if any("image/png" in o.get("data", ()) for o in c.get("outputs", ()))
    )
    drawn.outputs.clear()
    printed_other, shows_less = differences(held, given)
    assert printed_other.startswith("cell 2: ") and "shows []" in shows_less


def test_the_workflow_runs_the_check_weekly() -> None:
    """With the backend that `scripts/notebooks.py` names, and what the notebooks need."""
    path = DOCS.parent / ".github" / "workflows" / "tutorials.yml"
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    (schedule,) = workflow[True]["schedule"]  # YAML reads the key `on` as true
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", schedule["cron"])
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step][-1] == (
        "python scripts/notebooks.py --check"
    )
