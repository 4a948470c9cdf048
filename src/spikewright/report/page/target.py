"""Where a page is written: nothing but an older page of ours is ever replaced."""

from __future__ import annotations

from pathlib import Path

GENERATOR = "Spikewright report"
_HEAD = 2048  # bytes of a page that say what it is


def check_target(path: str | Path, overwrite: bool = False) -> Path:
    """The path, if a page may be written there.

    Raises `FileNotFoundError` where its folder does not exist, `IsADirectoryError` for a folder,
    and `FileExistsError` for a file that is no report of ours, unless `overwrite`.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target}: its folder does not exist")
    if target.is_dir():
        raise IsADirectoryError(f"{target}: is a folder; name a file in it, such as report.html")
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
