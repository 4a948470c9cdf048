"""Runs the notebooks of docs/notebooks/ and writes what their cells give.

    python scripts/notebooks.py

Tests compare what a notebook holds with what its cells print, so run it after changing a notebook,
or what it shows.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def read(path: Path) -> Any:
    """A notebook of the present format."""
    return nbformat.read(path, as_version=4)


def run(path: Path) -> None:
    """Run a notebook in a kernel of its own, in its folder, and write it with its outputs."""
    notebook = read(path)
    folder = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, timeout=300, coalesce_streams=True, resources=folder).execute()
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    for cell in notebook.cells:
        cell.metadata = {}
        if "outputs" in cell:  # progress bars are displayed: what is left of them is empty
            cell.outputs = [o for o in cell.outputs if o.output_type != "display_data"]
        for output in cell.get("outputs", ()):
            if "text/html" in output.get("data", ()):  # its text says the same
                output.data = {"text/html": output.data["text/html"]}
    nbformat.write(notebook, path)


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "torch")
    for notebook_path in NOTEBOOKS:
        run(notebook_path)
        print(notebook_path.name)
