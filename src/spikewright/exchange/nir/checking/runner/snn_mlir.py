"""snn-mlir as a linter: its rules for a file, and no run."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module


class Blocked(Exception):
    """Its rules do not allow a file."""


class Model:
    """The report of snn-mlir about a file."""

    run = None

    def __init__(self) -> None:
        import_module("snn_mlir")
        self.notes: tuple[str, ...] = ()

    def read(self, path: str, dt: float, neurons: tuple[str, ...]) -> None:
        """Check a file; raises `Blocked` with what blocks it."""
        command = [sys.executable, "-m", "snn_mlir", "check", "--json", path]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        report = json.loads(said)
        by_node = [found for node in report["nodes"] for found in node["findings"]]
        findings = [*by_node, *report["graph"]]
        messages = tuple(found["message"] for found in findings if found["severity"] != "error")
        if not report["ok"]:
            blocks = [found["message"] for found in findings if found["severity"] == "error"]
            raise Blocked("; ".join(blocks))
        self.notes = messages
