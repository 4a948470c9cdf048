"""Notebooks of docs/ are true: their cells run, and give what stands below them."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from scripts.notebooks import NOTEBOOKS, read
from scripts.pages import alike

every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
TRAINED = {"keras_to_spikes", "torch_one_spike"}


def _printed(cell: Any) -> str:
    """What a notebook holds as the printed text of a cell."""
    return "".join(o.text for o in cell.outputs if o.output_type == "stream")


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
@every
def test_the_cells_give_what_stands_below_them(path: Path) -> None:
    """From top to bottom, as printed; of a result that is shown, its table, but for numbers."""
    names: dict[str, Any] = {}
    for cell in (cell for cell in read(path).cells if cell.cell_type == "code"):
        stream = io.StringIO()
        with contextlib.redirect_stdout(stream):
            value = _value(cell.source, names)
        if path.stem in TRAINED:
            assert alike(stream.getvalue(), _printed(cell))
        else:
            assert stream.getvalue() == _printed(cell)
        shown = [o.data["text/html"] for o in cell.outputs if "text/html" in o.get("data", ())]
        assert bool(shown) == hasattr(value, "_repr_html_")


@every
def test_a_notebook_is_small_and_whole(path: Path) -> None:
    """It begins as every page does, ran from top to bottom without an error, and tells no path."""
    notebook = read(path)
    nbformat.validate(notebook)
    title, _, text = notebook.cells[0].source.partition("\n\n")
    assert title.startswith("# ") and text.startswith("For those ")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kinds = {output.output_type for cell in code for output in cell.outputs}
    assert kinds == {"stream", "execute_result"}
    assert {o.name for c in code for o in c.outputs if o.output_type == "stream"} == {"stdout"}
    content = path.read_text(encoding="utf-8")
    assert len(content) < 100_000
    assert not re.search(r"/(home|root|work|tmp|Users)/", content)
