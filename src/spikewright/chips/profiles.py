"""Profiles of chips in files: those that come with the package, and a user's own."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, NotRequired, TypedDict

from spikewright._base.files import file_at
from spikewright._base.keywords import meant
from spikewright._base.schema import check
from spikewright.chips.chip import (
    MEMORIES,
    Arithmetic,
    Certainty,
    Chip,
    Figure,
    Limits,
    Placement,
    Source,
)
from spikewright.errors import ChipError, DamagedFileError, short_name

_FOLDER = Path(__file__).with_name("data")
_SECTIONS: dict[str, type] = {"limits": Limits, "arithmetic": Arithmetic}


class _Source(TypedDict):
    citation: str
    certainty: Certainty
    url: NotRequired[str]


class _Entry(TypedDict):
    value: int | float | str | list[int] | list[str]
    source: str
    note: NotRequired[str]


class _Profile(TypedDict):
    name: str
    title: str
    placement: Placement
    sources: dict[str, _Source]
    limits: dict[str, _Entry]
    arithmetic: NotRequired[dict[str, _Entry]]
    energy: NotRequired[str]
    assumptions: NotRequired[list[str]]


def names() -> tuple[str, ...]:
    """Names of the profiles that come with the package."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def profile(chip: str | Path | Mapping[str, Any] | Chip) -> Chip:
    """The profile of a chip: by its name, from a file, or as given.

    A `.toml` file or a mapping has what the files of the package have (docs/chips.md describes
    them). Raises `ChipError` for an unknown name and for a profile that lacks something,
    `DamagedFileError` for a file that is no TOML, and `MissingFileError`.
    """
    if isinstance(chip, Chip):
        return chip
    if isinstance(chip, Mapping):
        return _made(dict(chip), "the profile")
    if not isinstance(chip, str | Path):
        raise ChipError(
            f"{chip!r} is no chip. Give a name, a path ending in .toml, a mapping or a Chip"
        )
    if isinstance(chip, Path) or chip.endswith(".toml"):
        return _made(_read(Path(chip)), str(chip))
    if chip not in names():
        hint = meant(chip, names())
        known = f"there are {', '.join(names())}, and files of your own that end in .toml"
        raise ChipError(f"no chip is named {short_name(chip)!r}. {hint}".rstrip() + f" ({known})")
    return _made(_read(_FOLDER / f"{chip}.toml"), chip)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file_at(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedFileError(f"{path} is no TOML file: {error}") from None


def _made(content: dict[str, Any], where: str) -> Chip:
    """A chip from plain data; raises `ChipError` naming the place that is wrong."""
    _refuse_unknown(content, _Profile.__annotations__, where)
    try:
        check(content, _Profile)
        sources = {key: Source(**entry) for key, entry in content["sources"].items()}
        figures = {
            f"{section}.{key}": _figure(entry, sources, f"{section}.{key}")
            for section in _SECTIONS
            for key, entry in content.get(section, {}).items()
        }
        made = {section: _section(section, figures, where) for section in _SECTIONS}
    except TypeError as error:
        raise ChipError(f"{where}: {error}") from None
    _refuse_unequal_cores(made["limits"], where)
    return Chip(
        name=content["name"],
        title=content["title"],
        placement=content["placement"],
        figures=MappingProxyType(figures),
        energy=content.get("energy"),
        assumptions=tuple(content.get("assumptions", ())),
        **made,
    )


def _figure(entry: _Entry, sources: Mapping[str, Source], place: str) -> Figure:
    if entry["source"] not in sources:
        raise TypeError(
            f"{place}.source names {entry['source']!r}, which is none of the sources "
            f"{', '.join(sources) or '(there are none)'}"
        )
    value: Any = entry["value"]
    return Figure(
        tuple(value) if isinstance(value, list) else value,
        sources[entry["source"]],
        entry.get("note", ""),
    )


def _section(section: str, figures: Mapping[str, Figure], where: str) -> Any:
    mine = {
        place.removeprefix(f"{section}."): figure.value
        for place, figure in figures.items()
        if place.startswith(f"{section}.")
    }
    kind = _SECTIONS[section]
    _refuse_unknown(mine, [field.name for field in fields(kind)], f"{where}: {section}")
    return kind(**mine)


def _refuse_unknown(given: Mapping[str, Any], known: Any, where: str) -> None:
    for key in given:
        if key not in known:
            hint = meant(str(key), known) or f"It takes {', '.join(known)}."
            raise ChipError(f"{where} has {key!r}, which no profile has. {hint}")


def _refuse_unequal_cores(limits: Limits, where: str) -> None:
    for name in MEMORIES:
        words = getattr(limits, name)
        if words is not None and len(words) != limits.cores:
            raise ChipError(
                f"{where}: limits.{name} has {len(words)} numbers for {limits.cores} cores"
            )
