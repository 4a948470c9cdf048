"""Inspections of models and checkups of a machine: what was found, and how it is printed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from spikewright._base.amounts import percent
from spikewright.errors import Refusal
from spikewright.lower.trace import Status, weakest
from spikewright.report.printed import Part, as_text
from spikewright.report.tables import Column, table_of

State = Literal["works", "absent", "broken"]
_SHOWN = 6  # layers in a sentence
_COLUMNS = (
    Column("name", "layer"),
    Column("kind", "kind"),
    Column("shape", "shape", lambda shape: ", ".join(map(str, shape))),
    Column("parameters", "parameters", lambda value: f"{value:,}"),
    Column("operations", "operations", lambda value: f"{value:,}"),
    Column("analog", "of numbers", lambda value: f"{value:,}"),
    Column("becomes", "becomes"),
    Column("status", "status"),
    Column("why", "why"),
)


@dataclass(frozen=True)
class LayerReport:
    """One layer of the source: its name and kind there, unbatched shape of its output.

    `parameters` counts weights, biases and statistics, each once; `operations` the
    multiply-accumulates for one sample (`Layer.multiply_accumulates` has the formulas).
    `analog` are those of them that multiply two numbers, neither of which is a spike.
    `becomes` is its form in the spiking network, `status` the guarantee of that form and `why` the
    reason. For a refused layer `why` lists every reason, with the next move. Facts that cannot be
    known while a layer is refused are None or "".
    """

    name: str
    kind: str
    shape: tuple[int, ...] | None = None
    parameters: int | None = None
    operations: int | None = None
    analog: int | None = None
    becomes: str = ""
    status: Status = ""
    why: str = ""


@dataclass(frozen=True, repr=False)
class Inspection:
    """Every layer of a model in order, and every reason for which one is refused.

    `places` are the names of the populations: the values that are sent in spikes.
    """

    layers: tuple[LayerReport, ...]
    refusals: tuple[Refusal, ...]
    places: tuple[str, ...] = ()

    @property
    def convertible(self) -> bool:
        """True where every layer can be converted."""
        return not self.refusals

    @property
    def parameters(self) -> int | None:
        """Of the whole model; None where a layer could not be read."""
        return _total(layer.parameters for layer in self.layers)

    @property
    def operations(self) -> int | None:
        """Multiply-accumulates of the whole model; None where a layer could not be read."""
        return _total(layer.operations for layer in self.layers)

    @property
    def analog(self) -> int | None:
        """Those of the operations that multiply two numbers; None where a layer is unknown."""
        return _total(layer.analog for layer in self.layers)

    @property
    def guarantee(self) -> Status:
        """The weakest guarantee of all layers, which is the network's."""
        return "refused" if self.refusals else weakest(layer.status for layer in self.layers)

    def parts(self, title: str = "") -> Iterator[Part]:
        """The table and sentences that `print` and `spikewright inspect` show."""
        yield table_of(title, self.layers, *_COLUMNS)
        yield _summary(self)

    def __str__(self) -> str:
        return as_text(self.parts())

    def __repr__(self) -> str:
        refused = f", {len(self.refusals)} refusals" if self.refusals else ""
        return f"<Inspection of {len(self.layers)} layers, {self.guarantee or 'empty'}{refused}>"


def _total(counts: Iterable[int | None]) -> int | None:
    known = list(counts)
    return None if None in known else sum(n for n in known if n is not None)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: its state, its version or form, and the next move."""

    what: str
    name: str
    state: State
    detail: str = ""
    advice: str = ""


@dataclass(frozen=True, repr=False)
class Checkup:
    """All findings, and the machine that they hold for."""

    version: str
    python: str
    machine: str
    processors: int
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> tuple[Finding, ...]:
        """Engines and packages that are installed and do not work."""
        return tuple(f for f in self.findings if f.state == "broken")

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)

    def parts(self) -> Iterator[Part]:
        """The table and the sentence that `print` and `spikewright doctor` show."""
        title = (
            f"spikewright {self.version}, Python {self.python}, {self.machine}, "
            f"{self.processors} processors"
        )
        columns = (
            Column("what", ""),
            Column("name", "name"),
            Column("state", "state"),
            Column("detail", "version or instruction sets"),
            Column("advice", "what to do"),
        )
        yield table_of(title, self.findings, *columns)
        absent = sum(f.state == "absent" for f in self.findings)
        if self.broken:
            yield f"Broken: {', '.join(f.name for f in self.broken)}."
        elif absent:
            yield f"What is installed works; {absent} are absent."
        else:
            yield "Everything works."

    def __str__(self) -> str:
        return as_text(self.parts())

    def __repr__(self) -> str:
        works = sum(f.state == "works" for f in self.findings)
        return f"<Checkup: {works} of {len(self.findings)} work, {len(self.broken)} broken>"


def _summary(found: Inspection) -> str:
    if found.convertible:
        return (
            f"{found.parameters:,} parameters, {found.operations:,} multiply-accumulates a sample; "
            f"{_analog(found)}. {_places(found.places)}. "
            f"Every layer can be converted; the network is {found.guarantee}, as the weakest of "
            "its layers."
        )
    reasons = len(found.refusals)
    layers = len({refusal.layer for refusal in found.refusals})
    return (
        f"{layers} layer{'s' * (layers != 1)} refused, for {reasons} reason{'s' * (reasons != 1)}; "
        "what cannot be known before they are mended is empty (-). "
        "The model cannot be converted as it is."
    )


def _places(names: Sequence[str]) -> str:
    """The number and names of the populations that send spikes, as a clause."""
    if not names:
        return "No place sends spikes"
    several = len(names) > 1
    return f"{len(names)} place{'s send' if several else ' sends'} spikes: {', '.join(names)}"


def _analog(found: Inspection) -> str:
    """The share of multiplications that no spike takes part in, with the layers of most."""
    total = found.operations or 0
    if not (total and found.analog):
        return "none of them multiplies two numbers"
    layers = sorted((r for r in found.layers if r.analog), key=lambda r: -(r.analog or 0))
    shares = [f"{layer.name} {percent((layer.analog or 0) / total)}" for layer in layers[:_SHOWN]]
    more = f" and {len(layers) - _SHOWN} more layers" if len(layers) > _SHOWN else ""
    return (
        f"{percent(found.analog / total)} of them multiply two numbers, neither of them a spike "
        f"({', '.join(shares)}{more})"
    )
