"""A converted network: run it, measure it, verify it, change it, save it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from spikewright._base.amounts import steps_text
from spikewright._base.arguments import is_number, is_whole, refuse
from spikewright._base.markup import RichRepr, Rows
from spikewright._base.options import declared, did_you_mean, suggests_keywords
from spikewright.chips import Fit, fits, profile
from spikewright.chips.chip import AnyChip
from spikewright.choosing.coding import Coding, RateCode
from spikewright.conversion import measuring, source_model
from spikewright.conversion.arguments import FROM_ELSEWHERE, Layers, in_names, recorded
from spikewright.conversion.loss_warnings import warn_of_answers
from spikewright.conversion.source_model import SourceModel
from spikewright.conversion.stages import from_saved
from spikewright.conversion.trace_warnings import warn_of_length, warn_of_run
from spikewright.conversion.verification import verify
from spikewright.conversion.verification_result import Verification
from spikewright.engines import MemoryNeed, Plan, Precision
from spikewright.engines.settings import check_settings
from spikewright.errors import SimulationError, printable
from spikewright.frontends import ModelReader, Source
from spikewright.graph import Graph
from spikewright.lower import Lowered
from spikewright.lower.trace import Trace, warn_and_log
from spikewright.measure import Run
from spikewright.measure.readout import Readout
from spikewright.network import Ensemble, Network, Node
from spikewright.quantising import bits_of
from spikewright.running.inputs import (
    EncodedOptions,
    as_arrays,
    as_held,
    as_named,
    check_numbers,
    encoders_for,
    lists_of,
    without_held,
)
from spikewright.running.own_steps import network_steps
from spikewright.running.recording import layers_of
from spikewright.running.run import Stream, run_of
from spikewright.running.runner import RunJob, Runner
from spikewright.running.storage import as_bytes, from_bytes, load_parts, save


@dataclass(eq=False, repr=False)
class Conversion(RichRepr):
    """A source model as a network.

    `network` is the network, to change, probe or embed; `layers[name]` is the ensemble or node that
    a source layer became (a part of); `inputs` and `outputs` are its ends; `trace` lists the steps.
    `graph` is the model as read, and `source` runs the model itself. `arguments` are those of
    `convert` that it was made with, and `resolved` the same with numbers where they left the choice
    to rules and corrections: `sw.convert(model, **conversion.resolved)` needs no data.

    Loaded from a file, a conversion has the graph for its source, and the `resolved` values for
    `arguments`. Deep copies share the source and have a network of their own; pickles hold what
    files hold, and no code.
    """

    lowered: Lowered
    graph: Graph
    canonical: Graph
    trace: Trace
    source: Source
    arguments: Mapping[str, Any] = field(default_factory=dict)
    resolved: Mapping[str, Any] = field(default_factory=dict, init=False)
    _convert: Callable[[Mapping[str, Any]], Conversion] | None = field(default=None, repr=False)
    _reading: ModelReader | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._runner = Runner(self.lowered)
        self._model = SourceModel(self._reading, self.source, self.graph, self.arguments)

    @property
    def network(self) -> Network:
        """The network."""
        return self.lowered.network

    @property
    def coding(self) -> Coding:
        """The code of values in spikes; its numbers are those of this network."""
        return self.resolved.get("coding") or self.arguments.get("coding") or RateCode()

    @property
    def layers(self) -> Mapping[str, Ensemble | Node]:
        """The ensemble or node that each source layer became, or became a part of.

        In a network made by hand, connections from one carry its values, and connections to an
        ensemble add to its neurons' current.
        """
        return Layers(self.lowered, self.canonical, self._model.named)

    @property
    def inputs(self) -> Mapping[str, Node]:
        """Input nodes by name: fed, or driven by connections that lead to them."""
        return self.lowered.inputs

    @property
    def outputs(self) -> Mapping[str, Ensemble | Node]:
        """The ensemble or node that each output is read from, by name."""
        return self.lowered.outputs

    def replace(self, **changes: Any) -> Conversion:
        """The same model converted once more, without reading it, with these arguments changed.

        Takes the arguments of `convert` but `example_input`. Another `coding` chooses its scales
        anew where none are given with it: those of other steps say other values. Raises as
        `convert` does, and `ConversionError` for unknown arguments. A conversion that was loaded
        from a file is made from the graph in it: arguments that need the model (another form of its
        recurrent layers, or outputs that were cut) are refused.
        """
        if self._convert is None:
            reason = "its file is from before files held arguments"
            raise refuse("replace", reason, "Convert the model, and save that")
        unknown = sorted(set(changes) - set(self.arguments))
        if unknown:
            hint = did_you_mean(unknown[0], self.arguments, FROM_ELSEWHERE)
            known = f"{hint} Arguments are {', '.join(self.arguments)}".lstrip()
            raise refuse(unknown[0], "convert has no such argument", known)
        now, then = self.coding, changes.get("coding", self.coding) or RateCode()
        if isinstance(then, Coding) and (type(then), then.steps) != (type(now), now.steps):
            changes = {"scale_firing_rates": None, **changes}
        return self._convert({**self.arguments, **in_names(changes, self._model.named)})

    def for_chip(self, chip: AnyChip, *, dt: float = 0.001) -> Conversion:
        """The same model with the bits of a chip, as another conversion.

        `chip` is a name in `spikewright.chips.names()`, a profile of your own, or its file.
        Weights, biases, thresholds and states have the chip's bits, and neurons its reset, floor
        and cap (see `sw.Quantised`). Scales are chosen anew where rules choose them. Whether
        the network fits is another question: see `fits`. Values from outside arrive as charge; an
        `encoder` makes spikes of them. Its numbers are whole for steps of `dt` seconds, and runs in
        others are refused. Raises `ChipError` for chips that no spiking network runs on, and
        `ConversionError` for networks without spikes and for neurons that the chip lacks.
        """
        if self.arguments.get("spiking") is False:
            reason = "a chip runs spiking networks, and this one has rates"
            raise refuse("spiking", reason, "Convert with spiking=True")
        return self.replace(weights=replace(bits_of(profile(chip)), dt=dt))

    calibrate = measuring.calibrate

    def populations(self) -> dict[str, Ensemble]:
        """The layers that have neurons, by name, in order."""
        return self._runner.populations()

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {e.n_neurons}" for name, e in self.populations().items())
        return printable(f"<Conversion with neurons {sizes or 'nowhere'}>")

    def _summary(self) -> tuple[str, Rows]:
        status = self.trace.status
        rows = [
            (n, f"{e.n_neurons:,}", type(e.neuron_type).__name__, _range(e.rate_scale), status(n))
            for n, e in self.populations().items()
        ]
        sentence = f"A network with {self.network.n_neurons:,} neurons: {self.trace.guarantee}."
        if steps := self.coding.steps:
            sentence += f" Runs take {steps_text(steps, network_steps(self.lowered, steps))}."
        return sentence, [("layer", "neurons", "type", "firing-rate scale", "status"), *rows]

    @declared(SimulationError)
    def run(
        self,
        x: Any,
        steps: int | None = None,
        dt: float = 0.001,
        *,
        record: Sequence[str] = (),
        **options: Unpack[EncodedOptions],
    ) -> Run:
        """Run for `steps` steps of `dt` seconds.

        `x` is `(batch, *shape)` held constant or `(batch, steps, *shape)`; with several inputs
        `{name: array}`, or what the source's own call takes: a list, a tuple, dicts in dicts.
        `encoder` makes spikes of values, or currents of frames and of events; one for all inputs
        leaves whole numbers and masks as they are, held. With `sequence_step` `x` is
        `(batch, time, *shape)`, of any length, and the run lasts `time x sequence_step` steps.
        With signed digits each frame of `encoder=Frames()` or `Events()` is a sample by itself.
        Neither `batch_size` nor `threads` changes a result of an exact engine. `record` names
        layers whose values at every step are kept too, in `Run.recorded`.

        Raises `SimulationError` for input of the wrong shape or not finite, for settings that no
        run can have, and for unknown layers. It is raised before anything is computed where memory
        does not suffice (see `memory`). Raises `BuildError` for scales that no engine computes with
        at this `dt`, and `MissingExtraError` for an engine that is not installed.
        """
        given: dict[str, Any] = dict(options)
        if self.lowered.stepping is None:  # steps of sequences follow from their lengths
            steps = self.coding.run_steps(steps)
        encoder = without_held(given.pop("encoder"), self.lowered)
        lists = lists_of(encoders_for(encoder, self.inputs))
        structure = replace(self.graph.structure, lists=lists)
        named = as_named(x, structure)
        check_numbers(named, structure)
        recorded = self._record(record)
        run = run_of(self._runner, named, steps, dt, encoder=encoder, record=recorded, **given)
        means = {name: p.mean() for name, p in run.populations.items() if p.spiking}
        warn_of_run(self, means, run.steps, dt)
        if encoder is None:
            warn_of_answers(self, named, run)
        return run

    @suggests_keywords()
    def stream(
        self,
        dt: float = 0.001,
        seed: int = 0,
        *,
        batch_size: int | None = None,
        readout: Readout = "mean",
        engine: str = "auto",
        precision: Precision = "float32",
        threads: int | None = None,
        record: Sequence[str] = (),
    ) -> Stream:
        """A stream: the network runs frame by frame, for input that arrives while it runs.

        `stream.step(frame)` takes a frame `(*shape)`, or `(batch_size, *shape)` of that many
        streams side by side. It lasts one step of `dt` seconds, and returns the outputs of that
        step. The state stays. What comes out, and every spike, is what `run` gives for the same
        frames at once. `stream.predict()` is the `readout` until now, `sw.Window(0.05)` that of the
        last 50 ms. `record` names layers whose values are in `stream.recorded` after each step. The
        rest is as for `run`. Raises as `run` does for settings, and `SimulationError` for a readout
        that cannot be followed step by step.
        """
        return Stream(
            self._runner,
            self.graph.structure,
            dt,
            seed,
            batch_size=batch_size,
            readout=readout,
            engine=engine,
            precision=precision,
            threads=threads,
            record=self._record(record),
            heed=lambda steps: warn_of_length(self, steps, dt, "the stream read out has"),
        )

    evaluate, diagnose = measuring.evaluate, measuring.diagnose
    train, reconstruct = source_model.train, source_model.reconstruct
    to_torch, load_state = source_model.to_torch, source_model.load_state

    def _record(self, record: Any) -> Any:
        """The names of the layers to record."""
        return recorded(self._model.named(record), self.lowered, self.canonical)

    def plan(
        self,
        dt: float = 0.001,
        seed: int = 0,
        *,
        engine: str = "auto",
        precision: Precision = "float32",
    ) -> Plan:
        """The plan of a run: operators, kernels and reasons; print it for a table.

        Raises as `run` does for settings that no run can have.
        """
        check_settings(SimulationError, dt=dt, seed=seed, precision=precision)
        program = self._runner.program(dt, seed, precision)
        return self._runner.engine(engine, program).explain(program)

    def memory(
        self,
        batch: int,
        steps: int | None = None,
        dt: float = 0.001,
        *,
        engine: str = "auto",
        precision: Precision = "float32",
        batch_size: int | None = None,
        threads: int | None = None,
        record: Sequence[str] = (),
    ) -> MemoryNeed:
        """The memory that a run of `batch` samples needs, in bytes; print it for a table.

        Steps are those of the code where it brings some and none are given.
        An upper bound beside the network and the input, which is held constant: weights as the
        engine holds them, state and work of the samples that run side by side, outputs, layers in
        `record` and spike counts of all. Nothing is built for it. `run` compares it with the memory
        at hand and raises `SimulationError`. Raises as `run` does for settings that no run can
        have.
        """
        check_settings(
            SimulationError, dt=dt, precision=precision, batch_size=batch_size, threads=threads
        )
        length: Any = steps if self.lowered.stepping else self.coding.run_steps(steps)
        for name, number in (("batch", batch), ("steps", length)):
            if not (is_whole(number) and number >= 1):
                raise SimulationError(f"{name} must be a whole number from 1, got {number!r}")
        layers = tuple(layers_of(self.lowered, self._record(record)))
        program = self._runner.program(dt, 0, precision, layers)
        chosen = self._runner.engine(engine, program, threads)
        job = RunJob(program, chosen, {}, batch, length)
        return self._runner.memory(job, batch_size or self._runner.batch_size(chosen))

    def fits(self, chip: AnyChip) -> Fit:
        """The verdict on the network and a chip: cores, memory and broken rules, layer by layer.

        `chip` is a name in `sw.chips.names()`, or a profile of your own: a `.toml` file, a mapping
        or an `sw.chips.Chip` (docs/chips.md). Print the result for the verdict, its `table` for all
        of it. Nothing is run, and bits are not asked about. Raises `ChipError` for an unknown chip
        and for a network that was changed into what no chip holds. Raises `MissingExtraError` where
        the matching of layers with cores needs SciPy.
        """
        return fits(self.network, chip, list(self.inputs.values()))

    def as_inputs(self, x: Any) -> dict[str, NDArray]:
        """A user's input as `{input name: float64 array}`; tensors of any framework are taken.

        Raises `SimulationError` where names do not match the inputs, or values are not finite.
        """
        return as_arrays(x, self.graph.structure)

    def verify(self, x: Any = None, rtol: float | None = None, seed: int = 0) -> Verification:
        """Compare the source model with its unscaled rate network: outputs, then layer by layer.

        `x` is input as for `run`, held constant, or None for seeded random input. Outputs are those
        of the framework's own call on all samples at once. An error is `max|a - b| / max|a|`. It
        may be as large as rounding in the source's precision explains, which is measured for every
        layer, or `rtol` where that is given. Print the result for a verdict, its `table` for all of
        it. Raises `VerificationError` naming the first layer of the source that is above, or else
        the output, and `SimulationError` for input that is not finite numbers.
        """
        if rtol is not None and not (is_number(rtol) and rtol >= 0):
            raise SimulationError(f"rtol must be None or a number from 0, got {rtol!r}")
        arrays = None if x is None else as_held(x, self.graph)
        return verify(self, self.source, arrays, rtol, seed)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the conversion to one file, atomically; `spikewright.load` reads it.

        An older conversion is replaced, any other file only with `overwrite`. Raises `NetworkError`
        naming the part that a file cannot hold, `ExistingFileError` for a file that is not
        replaced, and `OSError` where none can be written; then nothing is written.
        """
        save(self._stored, path, overwrite)

    @classmethod
    def load(cls, path: str | Path) -> Conversion:
        """Read a conversion that was saved; the source framework is not needed.

        Raises `MissingFileError` or `DamagedFileError`.
        """
        return from_saved(cls, load_parts(path))

    def __reduce__(self) -> tuple[Callable[[bytes], Conversion], tuple[bytes]]:
        return _from_bytes, (as_bytes(self._stored),)

    @property
    def _stored(self) -> Conversion:
        """The conversion as files hold it: its graph says what the source froze."""
        try:
            frozen = self._model.frozen
        except Exception as error:  # a copy of the user's model is made, which may raise anything
            warn_and_log(
                "the file does not say which layers are frozen, which no copy of the model shows "
                f"({type(error).__name__}: {error}). Name them when you train it: frozen=[...]"
            )
            return self
        if frozen == self.graph.frozen:
            return self
        made = self._with(self.lowered, self.trace)
        made.graph = self.graph.with_frozen(frozen)
        return made

    def __copy__(self) -> Conversion:
        return self._with(self.lowered, self.trace)

    def __deepcopy__(self, memo: dict[int, Any]) -> Conversion:
        return self._with(deepcopy(self.lowered, memo), deepcopy(self.trace, memo))

    def _with(self, lowered: Lowered, trace: Trace) -> Conversion:
        """A conversion of the same source."""
        made = replace(self, lowered=lowered, trace=trace)
        made.resolved = self.resolved
        return made


def _range(values: NDArray) -> str:
    low, high = f"{np.min(values):.4g}", f"{np.max(values):.4g}"
    return low if low == high else f"{low} to {high}"


def _from_bytes(content: bytes) -> Conversion:
    """The conversion in a pickle."""
    return from_saved(Conversion, from_bytes(content))
