"""Profiles of chips: published limits and arithmetic, each number with its source."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from spikewright._base.codec import RecordDecoder
from spikewright._base.files import file_at
from spikewright._base.options import did_you_mean
from spikewright._base.schema import Natural, Positive, Where, check_types
from spikewright.errors import ChipError, DamagedFileError, short_name

Certainty = Literal["documentation", "paper", "source code", "measured", "secondary", "assumption"]
Placement = Literal["one layer a core", "cut", "crossbar", "whole"]
MEMORIES = ("core_kernel_words", "core_neuron_words")
"""Limits with a number for each core."""

_FLOORS = {None: None, "-threshold": 1.0, "zero": 0.0}
Exponents = Annotated[tuple[int, int], Where(lambda pair: pair[0] <= pair[1], "least and largest")]


@dataclass(frozen=True)
class FigureSource:
    """The origin of numbers.

    `certainty` is the kind of text in which they were read: the vendor's or the software's
    documentation, a paper, source code. "measured" is what the chip or its emulator was seen to do.
    "secondary" is a text that quotes another, which was not consulted. "assumption" is nobody's
    number: it stands where the vendor publishes none.
    """

    citation: str
    certainty: Certainty
    url: str = ""

    def __str__(self) -> str:
        return f"{self.citation} ({self.certainty})"


@dataclass(frozen=True)
class Figure:
    """A number of a profile, its source, and what has to be known about it."""

    value: int | float | str | tuple[int, ...] | tuple[str, ...]
    source: FigureSource
    note: str = ""


@dataclass(frozen=True)
class Limits:
    """Sizes that a chip has room for; None is a limit that the chip lacks, or does not publish.

    * `cores`: places for (parts of) layers;
    * `core_neurons`, `core_axons_in`, `core_axons_out`: of each core; an axon in is a sender that
      a core listens to, an axon out a neuron that sends to another core, once each such core;
    * `axons_per_input`: axons of a core for each value that it reads, one if it is not given;
    * `core_synapse_bits`, `core_bytes`: memory of a core for weights, and for all that it holds;
    * `core_kernel_words`, `core_neuron_words`: memory of each core by its number, in words of a
      weight and of a neuron's state;
    * `inputs`, `hidden`, `outputs`, `neurons`: values of the whole chip;
    * `hidden_from_input`, `hidden_to_output`: hidden neurons that the input reaches, and those that
      the output reads;
    * `fan_in`, `fan_out`: weights that lead to a neuron, and from one of a hidden layer to others;
    * `destinations`: layers that a layer may send to;
    * `channels`, `kernel_side`, `input_side`, `output_side`: largest numbers of a layer;
    * `kernel_sides`, `strides`, `paddings`, `pool_sides`: all allowed numbers of a layer;
    * `max_pool_side`: the largest window of a max pool, 1 where a chip has none;
    * `dense_inputs`: values that a matrix may read.
    """

    cores: Positive | None = None
    core_neurons: Positive | None = None
    core_axons_in: Positive | None = None
    core_axons_out: Positive | None = None
    axons_per_input: Positive | None = None
    core_synapse_bits: Positive | None = None
    core_bytes: Positive | None = None
    core_kernel_words: tuple[Positive, ...] | None = None
    core_neuron_words: tuple[Positive, ...] | None = None
    inputs: Positive | None = None
    hidden: Positive | None = None
    outputs: Positive | None = None
    hidden_from_input: Positive | None = None
    hidden_to_output: Positive | None = None
    neurons: Positive | None = None
    fan_in: Positive | None = None
    fan_out: Positive | None = None
    destinations: Positive | None = None
    channels: Positive | None = None
    kernel_side: Positive | None = None
    kernel_sides: tuple[Positive, ...] | None = None
    strides: tuple[Positive, ...] | None = None
    paddings: tuple[Natural, ...] | None = None
    input_side: Positive | None = None
    output_side: Positive | None = None
    pool_sides: tuple[Positive, ...] | None = None
    max_pool_side: Positive | None = None
    dense_inputs: Positive | None = None

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class Arithmetic:
    """Numbers that a chip computes with; None is a number without bound, or not published.

    Bits include the sign where there is one. `*_exponents` are the least and the largest power of
    two that stored numbers may be multiplied by.

    * `weight_bits`, `input_weight_bits`: of weights, and of those that read the chip's input where
      they differ; a weight `w` of `b` bits is a whole number with `|w| <= 2^(b-1) - 1`;
    * `scale`: what has a scale of its own, a "layer" or each "neuron" (of a convolution: channel);
    * `bias_bits`, `threshold_bits`, `state_bits`, `current_bits`: of biases, thresholds, voltages
      and filtered currents;
    * `activation_bits`: of values between layers, on chips that send values in place of spikes;
    * `rounding`: "nearest" or "down", of numbers that become whole;
    * `resets`: what a spike does to the voltage: it may "subtract" the threshold, or set "zero";
    * `input_spikes`, `spikes`, `output_spikes`: most spikes in a step of an input, of a neuron,
      and of one in the last layer;
    * `spikes_above`: "yes" where a spike takes a voltage above the threshold, not one at it;
    * `floor`: the lowest voltage, "-threshold" or "zero";
    * `decay`: leak of voltages and currents: "none", "shift" (`v -= v >> d`) or "factor"
      (`v = v (2^b - d) / 2^b`); `decay_bits`: of `d`, and `b`;
    * `digits`: "yes" where neurons may double their state at every step, start layer by layer and
      send spikes of either sign, as signed digits need;
    * `analog`: "yes" where neurons and weights are circuits that differ from their numbers.
    """

    weight_bits: Positive | None = None
    input_weight_bits: Positive | None = None
    weight_exponents: Exponents | None = None
    scale: Literal["layer", "neuron"] | None = None
    bias_bits: Positive | None = None
    bias_exponents: Exponents | None = None
    threshold_bits: Positive | None = None
    threshold_exponents: Exponents | None = None
    state_bits: Positive | None = None
    current_bits: Positive | None = None
    activation_bits: Positive | None = None
    rounding: Literal["nearest", "down"] | None = None
    resets: tuple[Literal["subtract", "zero"], ...] | None = None
    input_spikes: Positive | None = None
    spikes: Positive | None = None
    output_spikes: Positive | None = None
    spikes_above: Literal["yes"] | None = None
    floor: Literal["-threshold", "zero"] | None = None
    decay: Literal["none", "shift", "factor"] | None = None
    decay_bits: Positive | None = None
    digits: Literal["yes"] | None = None
    analog: Literal["yes"] | None = None

    def __post_init__(self) -> None:
        check_types(self)

    @property
    def voltage_floor(self) -> float | None:
        """The lowest voltage as thresholds below zero, as `IntegrateAndFire` takes it."""
        return _FLOORS[self.floor]


@dataclass(frozen=True, repr=False)
class Chip:
    """A chip as published: its limits and arithmetic.

    `placement` is the way in which a network is laid out (see docs/chips.md), `energy` the name of
    its cost table in `spikewright.energy`, if it has one. `figures` has the source of every number,
    by a name like "limits.cores". `assumptions` are sentences that every verdict repeats.
    """

    name: str
    title: str
    placement: Placement
    limits: Limits
    arithmetic: Arithmetic
    figures: Mapping[str, Figure]
    energy: str | None = None
    assumptions: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Chip {self.name!r}: {self.title}>"


_FOLDER = Path(__file__).with_name("data")
_SECTIONS: dict[str, type] = {"limits": Limits, "arithmetic": Arithmetic}


@dataclass(frozen=True)
class FigureEntry:
    """A number of a profile in its file; `source` names one of the sources."""

    value: int | float | str | tuple[int, ...] | tuple[str, ...]
    source: str
    note: str = ""


@dataclass(frozen=True)
class ProfileEntry:
    """A profile in its file."""

    name: str
    title: str
    placement: Placement
    sources: Mapping[str, FigureSource]
    limits: Mapping[str, FigureEntry]
    arithmetic: Mapping[str, FigureEntry] = field(default_factory=dict)
    energy: str | None = None
    assumptions: tuple[str, ...] = ()


def names() -> tuple[str, ...]:
    """Names of the profiles that come with the package."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


AnyChip = str | Path | Mapping[str, Any] | Chip
"""The name of a chip, its file, or a profile."""


def profile(chip: AnyChip) -> Chip:
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
        hint = did_you_mean(chip, names())
        known = f"Chips are {', '.join(names())}, and files of your own that end in .toml"
        sentences = [f"no chip is named {short_name(chip)!r}.", hint, known]
        raise ChipError(" ".join(filter(None, sentences)))
    return _made(_read(_FOLDER / f"{chip}.toml"), chip)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file_at(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedFileError(f"{path} is no TOML file: {error}") from None


def _made(content: dict[str, Any], where: str) -> Chip:
    """A chip from plain data; raises `ChipError` naming the place that is wrong."""
    _refuse_unknown(content, ProfileEntry, where)
    try:
        entry = RecordDecoder({}).record(ProfileEntry, content)
        figures = {
            f"{section}.{key}": _figure(figure, entry.sources, f"{section}.{key}")
            for section in _SECTIONS
            for key, figure in getattr(entry, section).items()
        }
        made = {section: _section(section, figures, where) for section in _SECTIONS}
    except (TypeError, LookupError) as error:
        raise ChipError(f"{where}: {error}") from None
    _refuse_unequal_cores(made["limits"], where)
    return Chip(
        name=entry.name,
        title=entry.title,
        placement=entry.placement,
        figures=MappingProxyType(figures),
        energy=entry.energy,
        assumptions=entry.assumptions,
        **made,
    )


def _figure(entry: FigureEntry, sources: Mapping[str, FigureSource], place: str) -> Figure:
    if entry.source not in sources:
        raise TypeError(
            f"{place}.source names {entry.source!r}, which is none of the sources "
            f"{', '.join(sources) or '(there are none)'}"
        )
    return Figure(entry.value, sources[entry.source], entry.note)


def _section(section: str, figures: Mapping[str, Figure], where: str) -> Any:
    mine = {
        place.removeprefix(f"{section}."): figure.value
        for place, figure in figures.items()
        if place.startswith(f"{section}.")
    }
    kind = _SECTIONS[section]
    _refuse_unknown(mine, kind, f"{where}: {section}")
    return kind(**mine)


def _refuse_unknown(given: Mapping[str, Any], kind: Any, where: str) -> None:
    known = [one.name for one in fields(kind)]
    for key in given:
        if key not in known:
            hint = did_you_mean(str(key), known) or f"It takes {', '.join(known)}."
            raise ChipError(f"{where} has {key!r}, which no profile has. {hint}")


def _refuse_unequal_cores(limits: Limits, where: str) -> None:
    for name in MEMORIES:
        words = getattr(limits, name)
        if words is not None and len(words) != limits.cores:
            raise ChipError(
                f"{where}: limits.{name} has {len(words)} numbers for {limits.cores} cores"
            )
