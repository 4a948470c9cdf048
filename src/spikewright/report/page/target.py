"""The file that a page is written to: only an older page of this package is ever replaced."""

from __future__ import annotations

from pathlib import Path

from spikewright._base.writing import check_place

GENERATOR = "Spikewright report"
_HEAD = 2048  # bytes of a page that say what it is


def check_target(path: str | Path, overwrite: bool = False) -> Path:
    """The path, if a page may be written there.

    Raises as `check_place` does, and `FileExistsError` for a file that is no report of ours, unless
    `overwrite`.
    """
    target = check_place(path)
    if target.exists() and not overwrite and not is_report(target):
        raise FileExistsError(
            f"{target}: exists and is no report of Spikewright, so it is left alone. Choose another"
            " name, or remove it"
        )
    return target


def is_report(path: Path) -> bool:
    """Whether a file is a page that was written here."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return f'<meta name="generator" content="{GENERATOR}'.encode() in head
