"""Runs the notebooks of docs/notebooks/ in kernels of their own.

    python scripts/notebooks.py [NAME...]            write what their cells give
    python scripts/notebooks.py --check [NAME...]    compare it with what they hold

Run the first after changing a notebook or what it shows. The second is the weekly workflow
`tutorials`: numbers may differ a little, since machines round the training of a network otherwise.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.pages import differing_lines

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
POINTS = 5
"""By how much accuracies may differ: with few spikes they depend on how a machine rounds."""
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def read(path: Path) -> Any:
    """A notebook of the present format."""
    return nbformat.read(path, as_version=4)


def printed(cell: Any) -> str:
    """The printed text among a cell's outputs."""
    return "".join(o.text for o in cell.get("outputs", ()) if o.output_type == "stream")


def shown(cell: Any) -> list[str]:
    """The kinds of what a cell shows: tables and pictures."""
    return sorted(kind for o in cell.get("outputs", ()) for kind in o.get("data", ()))


def run(path: Path) -> Any:
    """The notebook with the outputs that its cells give, run in an empty folder."""
    notebook = read(path)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=300, coalesce_streams=True, resources=resources).execute()
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    for cell in notebook.cells:
        cell.metadata = {}
        if "outputs" in cell:  # progress bars are displayed: what is left of them is empty
            cell.outputs = [o for o in cell.outputs if _is_kept(o)]
        for output in cell.get("outputs", ()):
            for kind in ("text/html", "image/png"):
                if kind in output.get("data", ()):  # its text says the same, or nothing
                    output.data = {kind: output.data[kind]}
                    output.metadata = {}
    return notebook


def differences(held: Any, given: Any) -> Iterator[str]:
    """Cells whose outputs are not those that the notebook holds."""
    for number, (old, new) in enumerate(zip(held.cells, given.cells, strict=True)):
        for line in differing_lines(printed(new), printed(old), POINTS):
            yield f"cell {number}: {line}"
        if shown(old) != shown(new):
            yield f"cell {number} shows {shown(new)} in place of {shown(old)}"


def _is_kept(output: Any) -> bool:
    return output.output_type != "display_data" or "image/png" in output.data


def main(arguments: list[str]) -> int:
    """Write or check the notebooks that are named, or all; 1 where one differs."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # training then rounds alike on every run
    os.environ.pop("MPLBACKEND", None)  # figures are to be shown
    check = "--check" in arguments
    names = [name.removesuffix(".ipynb") for name in arguments if name != "--check"]
    known = {path.stem: path for path in NOTEBOOKS}
    status = 0
    for name in names or known:
        begin = time.perf_counter()
        given = run(known[name])
        print(f"{name}: {time.perf_counter() - begin:.0f} s")
        if check:
            for difference in differences(read(known[name]), given):
                print(f"{name}: {difference}")
                status = 1
        else:
            nbformat.write(given, known[name])
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
