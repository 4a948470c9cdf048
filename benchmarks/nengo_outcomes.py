"""A pytest plugin: writes how every collected test that asks for a simulator ended.

The file that it writes, named by `--outcomes`, is `{module::test: [outcome, message]}`; a
message is the line that pytest prints with `--tb=line`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FIXTURE = "Simulator"


def pytest_addoption(parser: Any) -> None:
    """Take the name of the file."""
    parser.addoption("--outcomes", help="where to write outcomes")


def pytest_configure(config: Any) -> None:
    """Begin to watch."""
    config.pluginmanager.register(_Outcomes(Path(config.getoption("--outcomes"))))


class _Outcomes:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, list[str]] = {}

    def pytest_collection_finish(self, session: Any) -> None:
        self._found = {
            _name(item): ["not run", ""]
            for item in session.items
            if FIXTURE in getattr(item, "fixturenames", ())
        }
        self._write()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
        report = yield
        if _name(item) in self._found:
            self._take(_name(item), report)
        return report

    def _take(self, name: str, report: Any) -> None:
        before = self._found[name][0]
        if report.when == "call" or (report.outcome != "passed" and before != "failed"):
            outcome = "xfailed" if hasattr(report, "wasxfail") else report.outcome
            self._found[name] = [outcome, _line(report)]
            self._write()

    def _write(self) -> None:
        self._path.write_text(json.dumps(self._found, indent=0))


def _name(item: Any) -> str:
    return f"{item.module.__name__}::{item.nodeid.split('::', 1)[1]}"


def _line(report: Any) -> str:
    """Where and why a test failed, on one line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is None:
        return ""
    return f"{Path(crash.path).name}:{crash.lineno}: {crash.message}".splitlines()[0]
