"""Profiles of chips: every number with its source, and files of a user's own."""

from __future__ import annotations

import copy
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import spikewright as sw
from spikewright import chips
from spikewright.errors import ChipError, DamagedFileError
from spikewright.measure.energy import TABLES

FOLDER = Path(chips.__file__).with_name("data")

MINE: dict[str, Any] = {
    "name": "mine",
    "title": "A chip of my own",
    "placement": "cut",
    "sources": {"me": {"citation": "measured here", "certainty": "assumption"}},
    "limits": {"cores": {"value": 4, "source": "me"}},
    "arithmetic": {"resets": {"value": ["zero"], "source": "me", "note": "seen"}},
}


def _with(*path: str, value: Any) -> dict[str, Any]:
    """My profile, changed at one place."""
    changed = copy.deepcopy(MINE)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def test_all_chips_are_there() -> None:
    """The package has the nine profiles that it promises, by the names of their files."""
    assert chips.names() == (
        "akida1", "brainscales2", "loihi1", "loihi2", "speck", "spinnaker2", "truenorth",
        "xylo_audio2", "xylo_audio3",
    )  # fmt: skip


@pytest.mark.parametrize("name", chips.names())
def test_every_number_has_a_source(name: str) -> None:
    """Each limit and each number of the arithmetic that is set has a figure, and no other has."""
    chip = chips.profile(name)
    told = {
        f"{section}.{f.name}": getattr(getattr(chip, section), f.name)
        for section in ("limits", "arithmetic")
        for f in fields(getattr(chip, section))
        if getattr(getattr(chip, section), f.name) is not None
    }

    assert chip.name == name
    assert told == {place: figure.value for place, figure in chip.figures.items()}
    assert len(told) > 4
    for figure in chip.figures.values():
        assert figure.source.citation
        assert figure.source.url or figure.source.certainty == "assumption"


@pytest.mark.parametrize("name", chips.names())
def test_bits_include_the_sign(name: str) -> None:
    """A note that speaks of bits of magnitude says how many: one below the number."""
    for place, figure in chips.profile(name).figures.items():
        if "of magnitude" in figure.note:
            assert figure.note.startswith(f"{figure.value - 1} of magnitude"), place


@pytest.mark.parametrize("name", chips.names())
def test_every_source_is_cited(name: str) -> None:
    """A profile lists no source that none of its numbers is from."""
    content = tomllib.loads((FOLDER / f"{name}.toml").read_text())
    cited = {e["source"] for part in ("limits", "arithmetic") for e in content[part].values()}

    assert cited == set(content["sources"])


@pytest.mark.parametrize("name", chips.names())
def test_energy_is_a_cost_table_that_exists(name: str) -> None:
    """A profile names its cost table, which has a citation of its own; or it has none."""
    energy = chips.profile(name).energy

    assert energy is None or energy in TABLES


@pytest.mark.parametrize("field", [f.name for f in fields(chips.Limits)])
def test_every_limit_is_some_chips(field: str) -> None:
    """No limit is there that no profile sets."""
    assert any(getattr(chips.profile(n).limits, field) is not None for n in chips.names())


@pytest.mark.parametrize("field", [f.name for f in fields(chips.Arithmetic)])
def test_every_number_is_some_chips(field: str) -> None:
    """No number of an arithmetic is there that no profile sets."""
    assert any(getattr(chips.profile(n).arithmetic, field) is not None for n in chips.names())


def test_a_chip_of_ones_own(tmp_path: Path) -> None:
    """A mapping, a file, and the chip itself are the same profile."""
    chip = chips.profile(MINE)
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\ntitle = "A chip of my own"\nplacement = "cut"\n'
        '[sources.me]\ncitation = "measured here"\ncertainty = "assumption"\n'
        '[limits]\ncores = { value = 4, source = "me" }\n'
        '[arithmetic]\nresets = { value = ["zero"], source = "me", note = "seen" }\n'
    )

    assert chip.limits.cores == 4
    assert chip.arithmetic.resets == ("zero",)
    assert chip.figures["arithmetic.resets"].note == "seen"
    assert isinstance(chip, sw.chips.Chip)
    assert chips.profile(chip) is chip
    assert chips.profile(path) == chips.profile(str(path)) == chip
    assert repr(chip) == "<Chip 'mine': A chip of my own>"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (_with("title", value=3), "title holds 3, where it takes str"),
        (_with("placement", value="by magic"), "placement holds 'by magic'"),
        (_with("limits", "cores", "value", value=0), "Limits.cores holds 0, where it takes"),
        (_with("limits", "cores", "value", value=2.5), "Limits.cores holds 2.5, where it takes"),
        (_with("limits", "cores", "source", value="you"), "none of the sources me"),
        (_with("limits", "cores", value={"value": 4}), "limits.cores.source is missing"),
        (_with("limits", "coers", value={"value": 4, "source": "me"}), "Did you mean 'cores'"),
        (_with("colour", value="red"), "'colour', which no profile has. It takes name"),
        (_with("sources", "me", "certainty", value="sure"), "certainty holds 'sure'"),
        (_with("arithmetic", "decay", value={"value": "slow", "source": "me"}), "Arithmetic.decay"),
        (
            _with("limits", "core_neuron_words", value={"value": [8, 8], "source": "me"}),
            "core_neuron_words has 2 numbers for 4 cores",
        ),
        (
            _with("arithmetic", "weight_exponents", value={"value": [3, -3], "source": "me"}),
            "Arithmetic.weight_exponents holds",
        ),
    ],
)
def test_a_malformed_profile_is_refused(content: dict[str, Any], said: str) -> None:
    """The error names the place that is wrong, and the value."""
    with pytest.raises(ChipError, match="the profile") as error:
        chips.profile(content)

    assert said in str(error.value)


def test_a_profile_without_limits_is_refused() -> None:
    """A section that is missing is named."""
    with pytest.raises(ChipError, match="limits is missing"):
        chips.profile({k: v for k, v in MINE.items() if k != "limits"})


def test_an_unknown_chip_is_refused() -> None:
    """The error has the name that was meant, and all there are."""
    with pytest.raises(ChipError, match=r"Did you mean 'speck'\? Chips are akida1, .*\.toml"):
        chips.profile("spek")


@pytest.mark.parametrize("content", [b"[[[", b"\xff\xfe", b"a = " + b"[" * 100_000])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is no TOML is one clear error; none at all is the system's."""
    path = tmp_path / "mine.toml"
    path.write_bytes(content)

    with pytest.raises(DamagedFileError, match=r"mine\.toml is no TOML file"):
        chips.profile(path)
    with pytest.raises(FileNotFoundError):
        chips.profile(tmp_path / "other.toml")
