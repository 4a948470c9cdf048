"""Evaluations in files: settings and records, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from spikewright._base.files import file_at
from spikewright._base.schema import (
    AboveZero,
    Finite,
    Natural,
    Positive,
    Where,
    check,
    is_plain,
    row,
)
from spikewright._base.writing import begins_with, file_kind, write_file
from spikewright.errors import DamagedFileError
from spikewright.records import Record, select

FORMAT = 1
KIND = file_kind("a saved evaluation", begins_with(rb'\s*\{\s*"spikewright": "evaluation"'))
"""The kind of file that holds an evaluation."""

_PLAIN = Where(is_plain, "plain data of finite numbers")


class _Told(TypedDict, total=False):
    """Details of a record, as they stand in a file."""

    steps: Positive
    dt: AboveZero
    readout: str
    output: str
    layer: str
    input: str
    threshold: Finite
    table: str
    network: str
    precision: str
    part: str
    bursts: str
    citation: str
    assumptions: str
    events: str


_NEEDED = {
    "readout": ("steps", "dt"),
    "threshold": ("steps", "dt", "readout"),
    "table": ("steps", "network", "precision"),
    "part": ("table",),
}
"""Details that a record with this detail has too."""

_OF_ITS_NAME = {
    "accuracy": "readout", "agreement": "readout", "firing rate": "layer", "energy": "table",
    "energy part": "part", "early exit steps": "threshold",
}  # fmt: skip
"""The detail that a record of this name has."""


class _EvaluationSettings(TypedDict):
    """Settings that an evaluation cannot be without."""

    samples: Positive
    steps: Positive
    dt: AboveZero
    readouts: list[str]
    metric: NotRequired[str | None]


class _Record(TypedDict):
    """Plain data of a record."""

    name: str
    value: Finite
    unit: str
    n: Natural
    interval: Annotated[list[Any], row(Finite, Finite)] | None
    how: Annotated[_Told, _PLAIN]


class _EvaluationFile(TypedDict):
    """Plain data of an evaluation."""

    settings: Annotated[_EvaluationSettings, _PLAIN]
    records: list[_Record]


def save(
    settings: Mapping[str, Any],
    records: Sequence[Record],
    path: str | Path,
    *,
    overwrite: bool = False,
) -> None:
    """Write settings and records as JSON, atomically; raises as `write_file` does."""
    document = {
        "spikewright": "evaluation",
        "format": FORMAT,
        "settings": dict(settings),
        "records": [record.as_dict() for record in records],
    }
    content = json.dumps(document, indent=1, allow_nan=False).encode()
    write_file(path, content, KIND, overwrite=overwrite)


def load(path: str | Path) -> tuple[dict[str, Any], tuple[Record, ...]]:
    """The contents of a file of `save`; raises `MissingFileError` or `DamagedFileError`."""
    text = file_at(path).read_bytes()
    try:
        document = json.loads(text)
        kind, version = document["spikewright"], document["format"]
        if (kind, version) != ("evaluation", FORMAT):
            raise ValueError(f"it holds {kind!r} of format {version!r}")
        check(document, _EvaluationFile)
        records = tuple(map(_record, document["records"]))
        _check_together(records)
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise DamagedFileError(
            f"{path}: no evaluation that can be read ({type(error).__name__}: {error})."
        ) from error
    return document["settings"], records


def _record(entry: Mapping[str, Any]) -> Record:
    interval, how = entry["interval"], entry["how"]
    own = _OF_ITS_NAME.get(entry["name"])
    told = [*how] if own is None else [*how, own]
    missing = [name for one in told for name in (one, *_NEEDED.get(one, ())) if name not in how]
    if missing:
        raise ValueError(f"a record of {entry['name']!r} does not say its {missing[0]}")
    low_high = None if interval is None else (float(interval[0]), float(interval[1]))
    return Record(entry["name"], float(entry["value"]), entry["unit"], entry["n"], low_high, how)


def _check_together(records: Sequence[Record]) -> None:
    """Raise `ValueError` for a record twice, and for an early exit whose steps are not known."""
    seen = {(r.name, json.dumps(r.how, sort_keys=True)) for r in records}
    if len(seen) < len(records):
        raise ValueError("it holds a record twice")
    for record in records:
        if record.name.startswith("early exit ") and not _exit_steps(records, record):
            raise ValueError(f"a record of {record.name!r} has none of the steps beside it")


def _exit_steps(records: Sequence[Record], record: Record) -> list[Record]:
    how = {name: record.how.get(name) for name in ("threshold", "output")}
    return select(records, "early exit steps", **how)
