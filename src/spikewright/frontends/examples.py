"""Example inputs as users give them, by the names of the model's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikewright._base.arrays import is_array
from spikewright._base.structure import Structure
from spikewright.errors import ReadError


def named_examples(example: Any, structure: Structure, place: str = "") -> dict[str, Any]:
    """The examples of all inputs, or of those that a mapping names; of none for None.

    Raises `ReadError`, which begins with `place`, for anything else.
    """
    if example is None:
        return {}
    if isinstance(example, Mapping) and set(example) <= set(structure.places):
        return dict(example)
    found = structure.find(example)
    if found is None and isinstance(example, list | tuple) and any(map(is_array, example)):
        raise ReadError(
            f"{place}example_input holds {len(example)} arrays; the model's inputs are "
            f"{list(structure.places)}."
        )
    try:
        return structure.named(example) if found is None else found
    except ValueError as error:
        raise ReadError(f"{place}example_input: {error}.") from None
