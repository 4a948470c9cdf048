"""The course of every command: what it was given, opened and read, and its results given out."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from spikewright.cli import files
from spikewright.cli.opening import open_conversion
from spikewright.cli.output import emit, introduce, network_of
from spikewright.cli.reporting import PageSubject
from spikewright.cli.samples import FileSamples, load_samples
from spikewright.conversion import Conversion


class Given:
    """The arguments of a command: of files by name, of a conversion, and those of its groups.

    `spiking` commands make spiking networks of models, unless the choices say otherwise.
    """

    def __init__(
        self,
        paths: dict[str, Any],
        choices: dict[str, Any],
        settings: dict[str, Any],
        as_json: bool,
        spiking: bool,
    ) -> None:
        self.limit = settings.pop("limit", None)
        self.paths, self.choices, self.settings = paths, choices, settings
        self.as_json, self._spiking = as_json, spiking

    @property
    def model(self) -> Path:
        """MODEL."""
        path: Path = self.paths["model"]
        return path

    @cached_property
    def samples(self) -> FileSamples:
        """The samples of the data, as many as are asked for."""
        return load_samples(self.paths["data"], self.limit)

    def others(self, name: str) -> FileSamples | None:
        """All samples of another file, where it was given."""
        path = self.paths[name]
        return None if path is None else load_samples(path)

    @cached_property
    def conversion(self) -> Conversion:
        """MODEL as a network, under the choices."""
        return open_conversion(self.model, self.choices, self._spiking)

    @property
    def run(self) -> dict[str, Any]:
        """The steps of a run and their length, its seed and its engine."""
        return {name: self.settings[name] for name in ("steps", "dt", "seed", "engine")}

    def subject(self, **changes: Any) -> PageSubject:
        """The subject of a page: the network as it was opened, or others."""
        held = self.settings.get("encoder") is None
        usual = {"model": self.model, "data": self.paths["data"], "held": held, **changes}
        for name in ("conversion", "samples", "run", "choices"):
            usual[name] = changes[name] if name in changes else getattr(self, name)
        return PageSubject(**usual)

    def save(self, made: Any, name: str = "out") -> None:
        """Save something under a name of a file, where it was given."""
        if self.paths[name] is not None:
            made.save(self.paths[name], overwrite=files.forced())

    def answer(self, document: Any, tell: Callable[[], None]) -> None:
        """Print the result: a document with `--json`, else what `tell` prints."""
        if self.as_json:
            emit(document)
        else:
            tell()

    def answer_of_network(self, document: dict[str, Any], tell: Callable[[], None]) -> None:
        """Print the result beside the kind of network that it is of."""

        def introduced() -> None:
            introduce(self.conversion, self.model.name)
            tell()

        self.answer({"network": network_of(self.conversion), **document}, introduced)
