"""Tables and labels of layers, as text."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from spikewright.errors import printable


def format_table(rows: Sequence[Sequence[str]], numbers: Collection[int] = ()) -> str:
    """Rows of one length as a table: to the left, but columns of `numbers` to the right."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place in numbers else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


_LAST = re.compile(r"[./]")


def layer_label(name: str, kind: str) -> str:
    """The name of a layer as it is printed, and taken as a key.

    A name whose last part has no letter stands with its kind: `2` of a Sequential is `2 Conv2d`,
    `features.3` is `features.3 ReLU`, and `conv1` stays as it is.
    """
    return f"{name} {kind}" if kind and _is_number(name) else name


def label_to_name(label: str) -> str:
    """The layer's own name, from the label that `layer_label` made of it."""
    name, separator, kind = label.partition(" ")
    return name if separator and kind and _is_number(name) else label


def _is_number(name: str) -> bool:
    last = _LAST.split(name)[-1]
    return bool(last) and not any(c.isalpha() for c in last)
