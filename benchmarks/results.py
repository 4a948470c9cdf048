"""Where measurements are kept until the document is written: one file a machine, outside the
repository, so that a long comparison can be done in parts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.timing import machine


@dataclass
class Results:
    """Measurements of this machine, by section and key; every `put` is written at once."""

    path: Path
    machine: dict[str, str]

    @classmethod
    def here(cls, cache: Path) -> Results:
        """The results of the machine that this runs on."""
        described = machine()
        digest = hashlib.sha256(repr(sorted(described.items())).encode()).hexdigest()[:12]
        return cls(cache / "benchmarks" / f"{digest}.json", described)

    def section(self, name: str) -> dict[str, Any]:
        """All that was measured under a section's name, by key."""
        found: dict[str, Any] = self._read().get(name, {})
        return found

    def put(self, section: str, key: str, value: Any) -> None:
        """Keep one measurement; an earlier one of the same key is replaced."""
        everything = self._read()
        everything.setdefault(section, {})[key] = value
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(everything, indent=1), encoding="utf-8")
        partial.replace(self.path)

    def _read(self) -> dict[str, Any]:
        if not self.path.exists():
            return {}
        read: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return read


def markdown_table(head: list[str], rows: Iterator[list[str]] | list[list[str]]) -> str:
    """A table in Markdown; all columns but the first are set to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
