"""Names of layers as they are printed: a number alone does not say which layer it is."""

from __future__ import annotations

import re

_LAST = re.compile(r"[./]")


def shown_name(name: str, kind: str) -> str:
    """The name of a layer as it is printed, and taken as a key.

    A name whose last part has no letter stands with its kind: `2` of a Sequential is `2 Conv2d`,
    `features.3` is `features.3 ReLU`, and `conv1` stays as it is.
    """
    return f"{name} {kind}" if kind and _is_number(name) else name


def bare_name(shown: str) -> str:
    """The layer's own name, from the name that `shown_name` made of it."""
    name, separator, kind = shown.partition(" ")
    return name if separator and kind and _is_number(name) else shown


def _is_number(name: str) -> bool:
    last = _LAST.split(name)[-1]
    return bool(last) and not any(c.isalpha() for c in last)
