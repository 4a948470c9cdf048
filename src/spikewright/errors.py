"""Every exception that Spikewright raises on purpose.

::

    SpikewrightError
    ├── ReadError            a source model could not be read (also a ValueError)
    │   ├── UnsupportedLayerError   it holds layers without a reading; lists every one of them
    │   └── DamagedFileError        the file is not what it says it is
    ├── GraphError           a graph is malformed: shapes, names, stage grammar (also a ValueError)
    ├── PassError            a pass broke its contract
    ├── ConversionError      a layer cannot be converted as asked (also a ValueError)
    ├── ExchangeError        another tool's format cannot say a layer (also a ValueError)
    ├── VerificationError    the converted network differs from its source
    ├── NetworkError         a modelling object was given something impossible (also a ValueError)
    │   └── UnknownAttributeError   it has no attribute of this name (also an AttributeError)
    ├── BuildError           a network cannot be compiled, e.g. a cycle without a synapse
    ├── ChipError            a chip's profile is malformed, or a network has no form for chips
    ├── SimulationError      a run met bad input, NaN, or a misbehaving node
    ├── TuningError          a search was asked for what it cannot do (also a ValueError)
    ├── TrainingError        a training was asked for what it cannot do (also a ValueError)
    ├── FileError            a path leads to nothing that can be read or written (also an OSError)
    │   ├── MissingFileError       there is no such file (also a FileNotFoundError)
    │   └── FolderError            it is a folder (also an IsADirectoryError)
    ├── ExistingFileError    a file of another kind stands in the way (also a FileExistsError)
    └── MissingExtraError    an optional dependency is not installed (also an ImportError)

Each message names the place, the cause, the value and the next move. A `ConversionWarning` reports
anything else about a conversion: through `warnings`, once, and to the logger `spikewright`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikewright.advice import advise, as_options

_NAMED = 8  # layers that a sentence names where it speaks of more


_SHORT = 500  # characters of a name in a message; of a longer one both ends stand there
_JOINING = "\u200c\u200d"  # they join letters and pictures, and move nothing
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
"""Categories of characters that show nothing, or that a terminal obeys."""


def printable(text: str) -> str:
    """A text whose characters all show what they are: escapes stand for those that cannot.

    Names come from files, and a terminal obeys the escape sequences in them, while marks of writing
    direction turn the text around. Lines and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _is_visible(c) else _escaped(c) for c in text)


def short_name(name: str) -> str:
    """A name or a path in a message: on one line, printable, of at most some 500 characters."""
    if len(name) > _SHORT:
        half = _SHORT // 2 - 10
        name = f"{name[:half]}...({len(name)} characters)...{name[-half:]}"
    return "".join(_escaped(c) if c in "\n\t" else c for c in printable(name))


def _is_visible(character: str) -> bool:
    if character in "\n\t" or character in _JOINING:
        return True
    return unicodedata.category(character) not in _UNSEEN


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class SpikewrightError(Exception):
    """Base of all errors that Spikewright raises on purpose; what they say is printable."""

    def __str__(self) -> str:
        return printable(super().__str__())


class ReadError(SpikewrightError, ValueError):
    """A source model could not be read.

    `details` is what the source's own framework printed on the way, if it did.
    """

    details = ""


@dataclass(frozen=True)
class Refusal:
    """One reason why one layer cannot be used: where, what it is, why, and the next move.

    `layer` is also the name of an argument that cannot be honoured (`kind` "argument"), of a call
    that cannot be made ("method"), or of state that a model keeps ("attribute").
    `keeping` are outputs without which the layer is not needed; `callable` ones are run as they are
    by `fallback="python"`.
    """

    layer: str
    kind: str
    reason: str
    options: str = ""
    location: str = ""
    keeping: tuple[str, ...] = ()
    callable: bool = False

    @property
    def advice(self) -> str:
        """All advice in one text: the options, `outputs=` and `fallback=`."""
        kept, more = list(self.keeping), []
        if kept:
            options = as_options("--outputs", kept)
            more.append(advise("other outputs", kept=kept, options=options))
        if self.callable:
            more.append(advise("call of a live model"))
        return ". ".join(filter(None, [self.options.rstrip("."), *more])) if more else self.options

    def __str__(self) -> str:
        where = f"layer {self.layer!r}"
        if not self.layer.endswith(f" {self.kind}"):  # as names of numbers do
            where += f" ({self.kind})"
        if self.kind in ("argument", "method", "attribute"):
            where = f"{self.kind} {self.layer!r}"
        return self.format_for(where, self.location)

    def format_for(self, where: str, location: str = "") -> str:
        """Reason and options as sentences about `where`."""
        text = f"{where}: {self.reason}"
        if location:
            text += f" [at {location}]"
        sentences = [text, self.advice] if self.advice else [text]
        return " ".join(s if s.endswith((".", "?", "!")) else f"{s}." for s in sentences)


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: all of a few, else the first and how many more there are."""
    if len(names) <= _NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"


def _by_reason(refusals: Sequence[Refusal]) -> Iterator[str]:
    """One line for each reason: layers of one kind that are refused alike are named together."""
    groups: dict[tuple[str, str, str], list[Refusal]] = {}
    for refusal in refusals:
        groups.setdefault((refusal.kind, refusal.reason, refusal.advice), []).append(refusal)
    for first, *others in groups.values():
        if not others:
            yield str(first)
            continue
        names = listed([refusal.layer for refusal in (first, *others)])
        yield first.format_for(f"{len(others) + 1} x {first.kind} ({names})")


class _ListsRefusals(SpikewrightError, ValueError):
    """An error that carries one `Refusal` per offending layer in `.refusals`.

    Its message has one line for each reason.
    """

    _what = "cannot be used"

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = tuple(refusals)
        count = len(self.refusals)
        head = f"{count} layer{'s' * (count != 1)} {self._what}"
        lines = list(_by_reason(self.refusals))
        super().__init__(lines[0] if count == 1 else "\n  - ".join([head + ":", *lines]))


class UnsupportedLayerError(_ListsRefusals, ReadError):
    """The source model holds layers that no reader understands; all of them are listed.

    `met` maps the name of every inspected layer to its kind, in order. `read` has the nodes of the
    graph (`spikewright.graph.GraphNode`) that were made of the readable ones.
    """

    _what = "cannot be read"

    def __init__(
        self,
        refusals: Sequence[Refusal],
        read: Sequence[Any] = (),
        met: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(refusals)
        self.read = tuple(read)
        self.met = dict(met or {})


class DamagedFileError(ReadError):
    """A file is truncated, hostile, or not of the format that its name promises."""


class GraphError(SpikewrightError, ValueError):
    """A graph is malformed: a missing input, shapes that do not fit, a layer its stage forbids."""


class PassError(SpikewrightError):
    """A pass broke its contract: this is a bug in the pass, not in the user's model."""


class ConversionError(_ListsRefusals):
    """Layers cannot be converted as asked; every one is listed with the options that would do."""

    _what = "cannot be converted"


class ExchangeError(_ListsRefusals):
    """Another tool's format cannot say some layers; all are listed, with what would help."""

    _what = "cannot be written"


class VerificationError(SpikewrightError):
    """The converted network does not compute what its source computes.

    `verification` has every difference (`spikewright.results.Verification`), or is None where
    the source could not be asked.
    """

    def __init__(self, message: str, verification: Any = None) -> None:
        super().__init__(message)
        self.verification = verification


class NetworkError(SpikewrightError, ValueError):
    """A modelling object was given something impossible."""


class UnknownAttributeError(NetworkError, AttributeError):
    """An attribute was set that a modelling object does not have."""


class BuildError(SpikewrightError):
    """A network cannot be compiled for an engine."""


class ChipError(SpikewrightError, ValueError):
    """A chip's profile is malformed or unknown, or a network has no form that chips could hold."""


class SimulationError(SpikewrightError):
    """A run met bad input, NaN, or a node that misbehaves."""


class TrainingError(SpikewrightError, ValueError):
    """A training was asked for what it cannot do: data, budgets or parameters that do not fit."""


class TuningError(SpikewrightError, ValueError):
    """A search was asked for the impossible, or was given the study of another search."""


class FileError(SpikewrightError, OSError):
    """A path, or what was given as one, leads to nothing that can be read or written."""


class MissingFileError(FileError, FileNotFoundError):
    """There is no file, or no folder, at a path."""


class FolderError(FileError, IsADirectoryError):
    """A folder is where a file is needed."""


class ExistingFileError(SpikewrightError, FileExistsError):
    """A file was not replaced, because it is not of the kind that was to be written.

    `path` is the file.
    """

    def __init__(self, path: Any, reason: str) -> None:
        self.path, self._reason = path, reason
        super().__init__(self.advising("overwrite=True"))

    def advising(self, option: str) -> str:
        """The message, with the option that replaces the file all the same."""
        return (
            f"{self.path}: {self._reason}, so it was left alone. Choose another name, or replace "
            f"it with {option}"
        )


class MissingExtraError(SpikewrightError, ImportError):
    """An optional dependency is not installed; the message is the sentence that installs it."""


class ConversionWarning(UserWarning):
    """Something about a conversion that a user should know, such as layers that hardly spike."""

    def __str__(self) -> str:
        return printable(super().__str__())
