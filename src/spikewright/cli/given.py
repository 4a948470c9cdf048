"""The arguments of a command: files are opened, models and data read, and results printed.

`--report` writes a page about them.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import click
from numpy.typing import NDArray

from spikewright._base.samples import held as held_constant
from spikewright.choosing.default import ENOUGH
from spikewright.cli import files
from spikewright.cli.files import FileSamples, load_samples
from spikewright.cli.option_texts import flag
from spikewright.cli.output import (
    network_of,
    print_json,
    print_network,
    print_paragraph,
    print_text,
)
from spikewright.conversion import Conversion, convert, watch
from spikewright.conversion.trace_warnings import CHOICE
from spikewright.errors import ConversionError, DamagedFileError, ReadError
from spikewright.frontends import SUFFIXES
from spikewright.frontends.live import instead_of_weights
from spikewright.lower.choices import STEP
from spikewright.lower.trace import suppress_warnings
from spikewright.measure import Evaluation
from spikewright.measure.targets import Targets
from spikewright.records import Record
from spikewright.report import write_html
from spikewright.report.figures import RasterInfo, raster_info
from spikewright.report.tables import powers_of_two
from spikewright.running.own_steps import run_steps
from spikewright.running.recording import only_targets
from spikewright.study.programs import ProgramWriter, with_rules


def is_model(path: Path) -> bool:
    """Whether a file is a model to convert, and not a network that was saved."""
    return path.suffix.lower() in SUFFIXES


FIXED = ("coding", "scale_firing_rates")
"""Choices of firing rates, beside which nothing is chosen for a number of steps."""

NIR = ".nir"
_SPIKES = (
    "coding", "scale_firing_rates", "initial_voltage", "max_spikes_per_step", "bias_correction",
)  # fmt: skip
"""Choices that say something about spikes."""


def with_spikes(choices: dict[str, Any], spiking: bool = False) -> dict[str, Any]:
    """Choices with spiking neurons where any of them is about spikes; `spiking` networks have them.

    Raises `click.UsageError` where rate neurons were asked for as well.
    """
    about = [flag(name) for name in _SPIKES if name in choices]
    if "weights" in choices and choices["weights"].chip:
        about.append(flag("weights"))
    if about and choices.get("spiking") is False:
        raise click.UsageError(
            f"--rate neurons send no spikes, and {', '.join(about)} is about spikes: leave one out"
        )
    return {"spiking": True, **choices} if about and not spiking else choices


def open_conversion(path: Path, choices: dict[str, Any], spiking: bool = False) -> Conversion:
    """A model file, converted, or a saved network, converted again where there are choices.

    A model has spiking neurons where the choices say so, or `spiking` does and they say nothing.
    Raises as `convert`, `Conversion.load` and `Conversion.replace` do.
    """
    if is_model(path):
        chosen = with_spikes(choices)
        return convert(path, **({"spiking": True, **chosen} if spiking else chosen))
    try:
        saved = Conversion.load(path)
    except DamagedFileError as error:
        weights = instead_of_weights(path)
        if weights is not None:
            raise ReadError(weights) from None
        raise DamagedFileError(f"{error} Files of models end in {', '.join(SUFFIXES)}.") from error
    if "example_input" in choices:
        raise click.UsageError(f"--example-shape: {path} knows the shapes of its inputs")
    if not choices:
        return saved
    spikes = saved.arguments.get("spiking", False) is not False
    return saved.replace(**with_spikes(choices, spikes))


ARGUMENTS = "spikewright.arguments"
"""The key in the context's `meta` that holds the arguments of the program."""

DIAGNOSED = 256
"""Samples that a report's diagnosis looks at, at most."""

_LONGEST = 20_000  # characters of a call that is shown


@dataclass(frozen=True)
class MeasuredModel:
    """A network with its model and data files, its samples and its run, for a report about it.

    `run` are steps, dt, seed and engine; `held` says that no encoder makes spikes of values.
    """

    model: Path
    data: Path
    samples: FileSamples
    conversion: Conversion
    run: Mapping[str, Any]
    choices: Mapping[str, Any] = field(default_factory=dict)
    held: bool = True

    @property
    def spikes(self) -> bool:
        """Whether anything in it spikes, on input that is held constant."""
        conversion = self.conversion
        spiking = any(e.neuron_type.spiking for e in conversion.populations().values())
        return self.held and spiking and conversion.lowered.stepping is None and self._is_held

    @property
    def _is_held(self) -> bool:
        return all(
            name in self._arrays and held_constant(self._arrays[name], node.shape_out) is not None
            for name, node in self.conversion.inputs.items()
        )

    @property
    def _arrays(self) -> Mapping[str, NDArray]:
        x = self.samples.x
        return x if isinstance(x, dict) else {next(iter(self.conversion.inputs)): x}

    @cached_property
    def truth(self) -> Targets | None:
        """Labels or targets; None where there are none, and of several outputs."""
        samples = len(next(iter(self._arrays.values())))
        return only_targets(self.conversion.lowered, self.samples.y, samples)

    def first(self, most: int | None) -> tuple[dict[str, NDArray], NDArray | None]:
        """The first samples and their labels or targets."""
        y = None if self.truth is None else self.truth.values[:most]
        return {n: a[:most] for n, a in self._arrays.items()}, y

    def measured(self, most: int | None, **how: Any) -> Evaluation:
        """Its results over time on the first samples."""
        x, y = self.first(most)
        with suppress_warnings():
            return self.conversion.evaluate(
                x, y, **self.run, at=powers_of_two(self.run["steps"]), **how
            )

    def _diagnosis(self) -> tuple[Record, ...]:
        """Records of a diagnosis on some samples; none where there is nothing to diagnose."""
        if not self.spikes:
            return ()
        return self.conversion.diagnose(*self.first(DIAGNOSED), **self.run).records

    def _raster(self) -> RasterInfo | None:
        """The first sample, spike by spike; None where nothing spikes or input is not held."""
        if not self.spikes:
            return None
        x, _ = self.first(1)
        found = watch(self.conversion, x, **self.run)
        details: dict[str, Any] = {"sample": "the first of the data"}
        if self.truth is not None and self.truth.kind == "labels":
            details["label"] = int(self.truth.values[0])
        if len(found.answers) > 1:
            details["output"] = next(iter(found.answers))
        return raster_info(found, details, next(iter(x.values()))[0] if len(x) == 1 else None)

    def write(
        self,
        path: Path,
        title: str,
        facts: Mapping[str, Any],
        python: str | None = None,
        **parts: Any,
    ) -> None:
        """Write the page; `parts` are further ones of `report.write_html`.

        `python` makes the network again; None where the choices say how. A diagnosis is made where
        the parts have none.
        """
        code = _python(self) if python is None else python
        lines = [command_line()]
        if 0 < len(code) <= _LONGEST:
            head = [] if "import" in code else [*ProgramWriter().imports(code), ""]
            lines.append("\n".join([*head, code]))
        origin = {"model": _named(self.model), "data": _named(self.data)}
        if "diagnosis" not in parts:
            parts["diagnosis"] = self._diagnosis()
        write_html(
            path,
            title=f"{title}: {self.model.name}",
            trace=self.conversion.trace,
            reproduce=lines,
            facts={**origin, **facts},
            raster=self._raster(),
            overwrite=files.forced(),
            **parts,
        )
        print_text(f"Report: {path}", err=True)


def _python(measured_model: MeasuredModel) -> str:
    """The network as a call; a rule stands in the place of more than some numbers."""
    path, numbers = repr(str(measured_model.model)), measured_model.conversion.resolved
    if is_model(measured_model.model):
        given = measured_model.conversion.arguments
        known = None if given.get("calibration") is None else "calibration"
        return ProgramWriter().call(path, *with_rules(numbers, given, known))
    if not measured_model.choices:
        return f"sw.load({path})"
    changed = ["spiking", *measured_model.choices]
    return ProgramWriter().replace(f"sw.load({path})", numbers, changed)


def command_line() -> str:
    """The command that is running, as it was typed."""
    arguments = click.get_current_context().meta.get(ARGUMENTS, [])
    return shlex.join(["spikewright", *arguments])


def _named(path: Path) -> str:
    """A file's name and its SHA-256."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{path.name}, SHA-256 {digest}"


class Given:
    """The arguments of a command: of files by name, of a conversion, and those of its groups.

    `spiking` commands make spiking networks of models, unless the choices say otherwise. Those that
    `may_choose` choose for their steps what was not given.
    """

    def __init__(
        self,
        paths: dict[str, Any],
        choices: dict[str, Any],
        settings: dict[str, Any],
        as_json: bool,
        *,
        spiking: bool,
        may_choose: bool,
    ) -> None:
        self.limit = settings.pop("limit", None)
        self.paths, self.choices, self.settings = paths, choices, settings
        self.as_json, self._spiking, self._may_choose = as_json, spiking, may_choose

    @property
    def model(self) -> Path:
        """MODEL."""
        path: Path = self.paths["model"]
        return path

    @cached_property
    def chooses(self) -> bool:
        """True if the network is chosen for --steps on samples, as by `convert(steps=...)`.

        It is not where rates or a code were given, nor for encoded input, other lengths of a step,
        networks that were saved, NIR files and a single sample.
        """
        settings, given = self.settings, self.choices
        if not self._may_choose or settings.get("steps") is None or not is_model(self.model):
            return False
        fixed = any(name in given for name in FIXED) or given.get("spiking") is False
        if fixed or settings.get("encoder") is not None or settings["dt"] != STEP or self.nir:
            return False
        return "data" not in self.paths or "calibration" in given or len(self._all) > 1

    @property
    def nir(self) -> bool:
        """True if -o names a .nir file."""
        out = self.paths.get("out")
        return out is not None and out.suffix == NIR

    @cached_property
    def _all(self) -> FileSamples:
        """The samples of the data, as many as are asked for."""
        return load_samples(self.paths["data"], self.limit)

    @property
    def samples(self) -> FileSamples:
        """The samples of the data to measure on: all that no choice was made on."""
        return self._all if self._choice is None else self._all[self._seen :]

    @property
    def _seen(self) -> int:
        """The number of samples at the beginning of the data that a choice is made on."""
        own = "data" in self.paths and "calibration" not in self.choices
        return min(len(self._all) // 2, ENOUGH) if own else 0

    def others(self, name: str) -> FileSamples | None:
        """All samples of another file, where it was given."""
        path = self.paths[name]
        return None if path is None else load_samples(path)

    @cached_property
    def conversion(self) -> Conversion:
        """MODEL as a network, under the choices, or with all else chosen for its steps."""
        return self._choice or open_conversion(self.model, self.choices, self._spiking)

    @cached_property
    def _choice(self) -> Conversion | None:
        """MODEL with all else chosen for its steps; None where nothing is chosen.

        Nothing is on the samples to measure on where they are such that no choice can be made on
        them: a run takes them, over time, or says what is wrong with them.
        """
        if not self.chooses:
            return None
        chosen = {"spiking": True, **self.choices, "steps": self.settings["steps"]}
        seen, where = self._seen, "the samples of --calibration"
        if seen:
            chosen["calibration"] = self._all[:seen].x
            all_ = len(self._all)
            where = f"the first {seen:,} of {all_:,} samples, measured on the other {all_ - seen:,}"
        try:
            made = convert(self.model, **chosen)
        except ConversionError as error:
            if seen and error.refusals[0].layer == "calibration":
                return None
            raise
        made.trace.add(CHOICE, "", f"chosen on {where}", "exact")
        return made

    @property
    def chosen(self) -> str | None:
        """A sentence: the code that was chosen for --steps, and the samples that chose it."""
        if self._choice is None:
            return None
        what, where = (e.text for e in self._choice.trace if e.stage == CHOICE)
        return f"{where.capitalize()}: {what}."

    @property
    def run(self) -> dict[str, Any]:
        """The steps of a run and their length, its seed and its engine."""
        found = {name: self.settings[name] for name in ("steps", "dt", "seed", "engine")}
        return {**found, "steps": run_steps(self.conversion, found["steps"])}

    def measured_model(self, **changes: Any) -> MeasuredModel:
        """What a report is about: the network as it was opened, with these `changes`."""
        held = self.settings.get("encoder") is None
        usual = {"model": self.model, "data": self.paths["data"], "held": held, **changes}
        for name in ("conversion", "samples", "run", "choices"):
            usual[name] = changes[name] if name in changes else getattr(self, name)
        return MeasuredModel(**usual)

    def save(self, made: Any, name: str = "out") -> None:
        """Save something under a name of a file, where it was given."""
        if self.paths[name] is not None:
            made.save(self.paths[name], overwrite=files.forced())

    def answer(self, document: Any, print_result: Callable[[], None]) -> None:
        """Print the result: a document with `--json`, else what `print_result` prints."""
        if self.as_json:
            print_json(document)
        else:
            print_result()

    def answer_of_network(self, document: dict[str, Any], print_result: Callable[[], None]) -> None:
        """Print the result beside the kind of network that it is of."""

        def introduced() -> None:
            print_network(self.conversion, self.model.name)
            if self.chosen:
                print_paragraph(self.chosen)
            print_result()

        about = {"network": network_of(self.conversion), "chosen": self.chosen}
        self.answer({**about, **document}, introduced)
