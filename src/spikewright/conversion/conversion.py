"""A converted network: run it, measure it, verify it, change it, save it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from spikewright import executors
from spikewright._base.arguments import is_number, is_whole, refuse
from spikewright._base.markup import Rows, Shown
from spikewright._base.options import declared, meant, spelled
from spikewright.chips import Chip, Fit, fits, profile
from spikewright.choosing import Statistics
from spikewright.choosing.calibration import collect_sharded
from spikewright.choosing.fission import Copies
from spikewright.conversion.arguments import FROM_ELSEWHERE, Wanted
from spikewright.conversion.by_layer import Layers, in_names, recorded, twin_thresholds
from spikewright.conversion.making import made_of, saved
from spikewright.conversion.run_warnings import warn_of_few_spikes, warn_of_length
from spikewright.conversion.verification import verify
from spikewright.conversion.verified import Verification
from spikewright.diagnosis import Diagnosis, diagnose
from spikewright.diagnosis.diagnosis import DiagnoseOptions
from spikewright.engines import MemoryNeed, Plan, Precision
from spikewright.engines.settings import check_settings
from spikewright.errors import SimulationError, TrainingError, printable
from spikewright.evaluation import checked, evaluate
from spikewright.evaluation.settings import EvaluateOptions
from spikewright.frontends import Reading, Source
from spikewright.frontends.origins import Place
from spikewright.graph import Graph
from spikewright.lower import LayerKeys, Lowered
from spikewright.lower.populations import Roles
from spikewright.lower.rounding import rounded
from spikewright.lower.trace import Trace, say
from spikewright.measure import Evaluation, Run
from spikewright.measure.readout import Readout
from spikewright.network import Ensemble, Network, Node
from spikewright.quantising import bits_of
from spikewright.records import select
from spikewright.running.encoding import (
    EncodedOptions,
    encoders_for,
    lists_of,
    refuse_sequences,
    without_held,
)
from spikewright.running.inputs import as_arrays, as_held, as_named, check_numbers
from spikewright.running.recording import layers_of
from spikewright.running.run import run_of
from spikewright.running.runner import RunJob, Runner
from spikewright.running.storage import as_bytes, from_bytes, load_parts, save
from spikewright.running.stream import Stream
from spikewright.training import (
    RECONSTRUCTED,
    Training,
    TrainingRequest,
    in_part_of,
    loaded,
    reconstruct,
    torch_module,
    train,
)
from spikewright.training.options import (
    ModuleOptions,
    ReconstructOptions,
    TrainOptions,
    settings_of,
)


@dataclass(eq=False, repr=False)
class Conversion(Shown):
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
    _reading: Reading | None = field(default=None, repr=False)
    _found: tuple[set[str], frozenset[Place]] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._runner = Runner(self.lowered)

    @property
    def network(self) -> Network:
        """The network."""
        return self.lowered.network

    @property
    def layers(self) -> Mapping[str, Ensemble | Node]:
        """The ensemble or node that each source layer became, or became a part of.

        In a network made by hand, connections from one carry its values, and connections to an
        ensemble add to its neurons' current.
        """
        return Layers(self.lowered, self.canonical, self._named)

    @property
    def inputs(self) -> Mapping[str, Node]:
        """Input nodes by name: fed, or driven by connections that lead to them."""
        return self.lowered.inputs

    @property
    def outputs(self) -> Mapping[str, Ensemble | Node]:
        """The ensemble or node that each output is read from, by name."""
        return self.lowered.outputs

    def again(self, **changes: Any) -> Conversion:
        """The same model converted once more, without reading it, with these arguments changed.

        Takes the arguments of `convert` but `example_input`. Raises as `convert` does, and
        `ConversionError` for unknown arguments. A conversion that was loaded from a file is made
        from the graph in it: arguments that need the model (another form of its recurrent layers,
        or outputs that were cut) are refused.
        """
        if self._convert is None:
            reason = "its file is from before files held arguments"
            raise refuse("again", reason, "Convert the model, and save that")
        unknown = sorted(set(changes) - set(self.arguments))
        if unknown:
            hint = meant(unknown[0], self.arguments, FROM_ELSEWHERE)
            known = f"{hint} Arguments are {', '.join(self.arguments)}".lstrip()
            raise refuse(unknown[0], "convert has no such argument", known)
        return self._convert({**self.arguments, **in_names(changes, self._named)})

    def on(self, chip: str | Path | Mapping[str, Any] | Chip, *, dt: float = 0.001) -> Conversion:
        """The same model under the bits of a chip: a conversion like any other.

        `chip` is a name in `spikewright.chips.names()`, a profile of your own, or its file.
        Weights, biases, thresholds and states have the chip's bits, and neurons its reset, floor
        and cap (see `sw.Quantised`). Scales are chosen anew where rules choose them. It is not
        asked whether the network fits. Values from outside arrive as charge; an `encoder` makes
        spikes of them. Its numbers are whole for steps of `dt` seconds, and runs of others are
        refused. Raises `ChipError` for chips that no spiking network runs on, and
        `ConversionError` for networks without spikes and for neurons that the chip lacks.
        """
        if self.arguments.get("spiking") is False:
            reason = "a chip runs spiking networks, and this one has rates"
            raise refuse("spiking", reason, "Convert with spiking=True")
        return self.again(weights=replace(bits_of(profile(chip)), dt=dt))

    def calibrate(
        self, x: Any, *, executor: Any = "local", address: str | None = None, progress: bool = True
    ) -> Statistics:
        """Statistics of the layers on calibration data: collected once, used for many rules.

        `x` is input as for `run`, `(batch, *shape)` held constant, or an iterable of batches or of
        (x, y) pairs. The result goes into `calibration=` of `convert` and `again`; it can be saved,
        and does not depend on the order of samples, on batches or on the place of the work.
        `executor` and `address` are those of `evaluate`. With `sequence_step` samples are sequences
        `(batch, time, *shape)` of any length, and layers are recorded at every step. Raises
        `ConversionError` for data that does not fit.
        """
        names, chosen = list(self.populations()), executors.get(executor, address)
        stepping = self.lowered.stepping
        return collect_sharded(self.canonical, names, x, chosen, progress, stepping)

    def populations(self) -> dict[str, Ensemble]:
        """The layers that have neurons, by name, in order."""
        return self._runner.populations()

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {e.n_neurons}" for name, e in self.populations().items())
        return printable(f"<Conversion with neurons {sizes or 'nowhere'}>")

    def _told(self) -> tuple[str, Rows]:
        rows = [
            (
                name,
                f"{e.n_neurons:,}",
                repr(e.neuron_type),
                _range(e.rate_scale),
                self.trace.status(name),
            )
            for name, e in self.populations().items()
        ]
        sentence = f"A network with {self.network.n_neurons:,} neurons: {self.trace.guarantee}."
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
        Neither `batch_size` nor `threads` changes a result of an exact engine. `record` names
        layers whose values at every step are kept too, in `Run.recorded`.

        Raises `SimulationError` for input of the wrong shape or not finite, for settings that no
        run can have, and for unknown layers. It is raised before anything is computed where memory
        does not suffice (see `memory`). Raises `BuildError` for scales that no engine computes with
        at this `dt`, and `MissingExtraError` for an engine that is not installed.
        """
        given: dict[str, Any] = dict(options)
        encoder = without_held(given.pop("encoder"), self.lowered)
        lists = lists_of(encoders_for(encoder, self.inputs))
        structure = replace(self.graph.structure, lists=lists)
        named = as_named(x, structure)
        check_numbers(named, structure)
        recorded = self._recorded(record)
        run = run_of(self._runner, named, steps, dt, encoder=encoder, record=recorded, **given)
        means = {name: p.mean() for name, p in run.populations.items() if p.spiking}
        self._warn_of_run(means, run.steps, dt)
        return run

    @spelled()
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
        """The network as it waits for its first frame, for input that comes as it runs.

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
            record=self._recorded(record),
            heed=lambda steps: warn_of_length(self, steps, dt, "the stream read out has"),
        )

    @declared(SimulationError)
    def evaluate(
        self,
        x: Any,
        y: Any = None,
        steps: int | None = None,
        dt: float = 0.001,
        **options: Unpack[EvaluateOptions],
    ) -> Evaluation:
        """Measure on a data set of any size, at every one of `steps` steps of `dt` seconds.

        `x` is input as for `run` and `y` the truth about the outputs: class labels, whole numbers
        `(samples,)` or rows with a single one, or targets, floats `(samples, *out)`; of several
        outputs `{name: array}`, or a list of them in their order. Or `x` is an iterable of batches
        `(x, y)`, such as a PyTorch `DataLoader`. Records have 95 % intervals. Labels give accuracy
        and the drop against the source on the same samples. Targets give relative, mean absolute
        and root mean square errors. Both give agreement with the source model (`source=False`
        leaves it out). All are under each of `readouts` at every step. The score of the rounded
        twin, the same network if no spike came early or late, tells what is lost to rounding from
        what is lost to timing. It costs a step for each of those in `at` and for the last, and is
        left out where there is no such network.
        Further records are firing rates, spikes (also per active neuron of the source), silent and
        saturated neurons, operations and energy (`operations=False` leaves these two out) at the
        steps in `at` and the last; and for each confidence in `thresholds` the loss and gain of
        leaving early.

        Shards of the data are done by `executor` (see `spikewright.executors`), at `address`;
        finished ones are kept in the folder `checkpoint`, from which a second call with the same
        arguments goes on. Records are the same to the last digit however the work is cut, spread or
        interrupted, on an engine that is exact. Raises as `run` does, and `SimulationError` for y
        that does not fit, for settings that no evaluation can have and for a folder that holds
        anything else.
        """
        refuse_sequences(self.lowered.stepping, "evaluate")
        given: dict[str, Any] = dict(options)
        twin = twin_thresholds(self._named(given.pop("twin")), self._keys)
        noise = given.pop("noise")
        how = {name: given.pop(name) for name in ("checkpoint", "progress")}
        place = executors.get(given.pop("executor"), given.pop("address"))
        settings = checked(steps, dt=dt, twin=twin, **given)
        found = evaluate(self, self._runner, x, y, settings, noise=noise, executor=place, **how)
        of = (
            ()
            if noise is not None
            else select(found.records, "spikes per neuron", steps=settings.steps)
        )
        means = {r.how["layer"]: r.value for r in of if "layer" in r.how}
        self._warn_of_run(means, settings.steps, dt)
        return found

    @declared(SimulationError)
    def diagnose(
        self,
        x: Any,
        y: Any = None,
        steps: int | None = None,
        dt: float = 0.001,
        **options: Unpack[DiagnoseOptions],
    ) -> Diagnosis:
        """Losses of accuracy in a run of `steps` steps of `dt` seconds, and changes against them.

        `x` is input as for `run`, held constant, some hundred samples; `y` are labels or targets as
        for `evaluate`, of one output, or the truth that a `metric` takes. None judges by the
        distance of all outputs from the source's. The gap between every layer's values in the
        source and their time means is split into parts. Layers are ranked by the effect of each
        alone on the output. Causes that are known by name are told in words. Changes to the
        arguments of `convert` are proposed, with their predicted gain and cost. With `verify` each
        of them is run on the same samples. Formulas: docs/diagnosis.md. Raises as `run` does, and
        `SimulationError` where y does not fit and where the network has nothing to diagnose.
        """
        refuse_sequences(self.lowered.stepping, "diagnose")
        check_settings(SimulationError, dt=dt)
        found = diagnose(self._spelled_out, x, y, steps, dt, **options)
        warn_of_length(self, found.steps, dt)
        return found

    @declared(TrainingError)
    def train(self, x: Any, y: Any = None, **options: Unpack[TrainOptions]) -> Training[Conversion]:
        """Fit weights and thresholds to a run of `steps` steps of `dt` seconds; needs PyTorch.

        `x` and `y` are as for `evaluate`, held constant; `x` may be an iterable of batches, of x
        alone or `(x, y)`, such as a `DataLoader`. Without `y` the network imitates its source;
        labels or targets are added to that.

        `method="rounding"` trains the network whose activations are rounded, for the price of the
        source's training: it is the spiking one where neurons take spikes back and have no cap.
        "time" runs every batch through all steps, and goes back through the rounded network. "auto"
        does that once the two differ by a quarter of the way to the source.

        Budgets (`spikes`, `joules` and `rates`) are met on the samples that are held back. The
        epoch that is the best on them is kept: by `metric`, else by accuracy, else by the loss.
        With `keep="last"`, and where nothing is held back, the last one is kept; of an iterable
        only given samples are. With `precision="bfloat16"` products with weights are in that type,
        in trained batches alone: faster where the processor multiplies it.

        With `learning_rate="chosen"` the rate is the best of three that are tried first, for a
        twenty-fifth of the training each, and "auto" begins with the better of its ways. Where a
        training is too short for that, for an iterator, and with budgets, it is 5e-4, or 5e-3 with
        "sgd".

        With `refit=True` weights are first fitted layer by layer, by least squares: each current to
        the source's, of what the spiking network sends so far. It takes no gradient, some passes a
        layer over at most 500 samples, and is left out where the loss on what is held back does not
        fall. `epochs=0` leaves it at that.

        A training lasts `epochs` epochs, or `timeout` seconds if that is shorter; the rate falls to
        zero by then. It ends early where no epoch was better for `patience` epochs. After each
        epoch its state is written to the file `checkpoint`, from which the same call goes on, with
        the same result. Equal arguments give equal results on one machine. Weights that are zero,
        as those of a pruned model, stay zero.

        Raises `TrainingError` for settings that no training can have, for neurons that it does not
        know, for a loss that is not finite, for a budget that cannot be met, and for the checkpoint
        of another call, naming what differs; `SimulationError` for data that does not fit;
        `DamagedFileError` for another file; `MissingExtraError` without PyTorch. Formulas:
        docs/training.md.
        """
        asked = TrainingRequest(x, y, self._settings(options), self._model, self._live)
        return train(self, asked, _remade)

    @declared(TrainingError)
    def reconstruct(self, x: Any, **options: Unpack[ReconstructOptions]) -> Conversion:
        """The same model, its biases, thresholds and starts fitted to a run of `steps` steps.

        No weight changes, and no label is needed: on the samples `x`, as for `train`, outputs of
        the spiking network are brought close to the source's. It lasts `timeout` seconds, or
        `epochs` epochs if that is shorter. The epoch is kept that is the closest on the share
        `validation` of the samples, which is held back. What changes are `scale_firing_rates`,
        `initial_voltage` and `bias_correction` in `resolved`. A bias that is in no neuron's
        current, such as that of an output, stays, and so do those of `frozen` layers. That,
        `thresholds`, `batch_size`, `device` and `seed` are those of `train`; raises as `train`
        does, and needs PyTorch.

        Source: reconstruction of Li et al. 2021 (arXiv 2102.05426), here of the whole network at
        once, and without its weights.
        """
        settings = self._settings({**RECONSTRUCTED, **options})
        return reconstruct(self, TrainingRequest(x, None, settings, self._model))

    @declared(TrainingError)
    def torch_module(self, steps: int, **options: Unpack[ModuleOptions]) -> Any:
        """The network through `steps` steps of `dt` seconds, an ordinary `torch.nn.Module`.

        It computes what the torch engine does, with gradients: a training loop of your own may
        train it. Its parameters have the names of the source's, in its state dict too; those of a
        file or a graph are named by layer and array. What the source froze, and what no training
        changes, are buffers. The module begins anew with every call. `seed` fixes starts that are
        drawn.

        Raises `TrainingError` for neurons without a surrogate, for a live model with other layers
        than were converted, and for settings that no module can have; `MissingExtraError` without
        PyTorch. Formulas: docs/training.md.
        """
        made, frozen = self._spelled_out, self._frozen
        if made is not self:
            frozen = in_part_of(self.canonical, frozen)
        return torch_module(made, steps, options, self._spelled_live, frozen)

    def load_state(self, state: Mapping[str, Any]) -> Conversion:
        """The conversion with the parameters in a module's state dict, by the source's names.

        The source is copied and left as it is; choices are those in `resolved`. Raises
        `TrainingError` for names, shapes and values that do not fit.
        """
        return loaded(self._spelled_out, state, _remade, self._spelled_live)

    @property
    def _live(self) -> Reading | None:
        """The reading of a live model, in the form that it was read in."""
        live = self._reading is not None and self._reading.framework is not None
        return self._model if live else None

    @property
    def _model(self) -> Reading | None:
        """The reading of the model itself, live or as it was loaded from its file."""
        if self._reading is None:
            return None
        model = self._reading.model if self.source.loaded is None else self.source.loaded
        return replace(self._reading, model=model, form=Wanted(self.arguments).form)

    def _settings(self, given: Mapping[str, Any]) -> TrainOptions:
        """The settings of a training, whose layers are named as in the graph."""
        by_layer = {name: self._named(given.get(name)) for name in ("frozen", "rates")}
        return settings_of({**given, **by_layer})

    def _named(self, value: Any) -> Any:
        """A setting by layer with names in the place of layers of the model."""
        return value if self._model is None else self._model.named(value)

    @property
    def _keys(self) -> LayerKeys:
        """The keys by which a user may name the layers with neurons."""
        return Roles(self.canonical, self.lowered.stepping).keys

    def _recorded(self, record: Any) -> Any:
        return recorded(self._named(record), self.lowered, self.canonical)

    @property
    def _frozen(self) -> frozenset[Place]:
        """The arrays of the graph that the source does not train.

        To find them the source is read anew: they are kept for as long as it freezes the same.
        """
        model = self._model
        if model is None:
            return self.graph.frozen
        names = model.frozen_names
        if self._found is None or self._found[0] != names:
            self._found = names, model.frozen(self.graph)
        return self.graph.frozen | self._found[1]

    @property
    def _spelled_live(self) -> Reading | None:
        """The live model of `_spelled_out`: none where that has more channels."""
        return None if self._copies.splits else self._live

    @property
    def _copies(self) -> Copies:
        """The channels of the model that are several here."""
        return Copies.in_network(self)

    @property
    def _spelled_out(self) -> Conversion:
        """The same network, made from a graph in which the copies of channels are channels.

        Gradients and diagnoses look at the channels that there are.
        """
        copies = self._copies
        if not copies.splits:
            return self
        layers = self.populations()
        biases = self.resolved["bias_correction"]
        arguments = {
            **self.resolved,
            "scale_firing_rates": {name: e.rate_scale for name, e in layers.items()},
            "initial_voltage": {name: e.initial_voltage for name, e in layers.items()},
            "bias_correction": biases and copies.biases(biases, layers),
            "fission": None,
            "outputs": None,
        }
        return _remade(self.canonical, arguments)

    def plan(
        self,
        dt: float = 0.001,
        seed: int = 0,
        *,
        engine: str = "auto",
        precision: Precision = "float32",
    ) -> Plan:
        """The plan of such a run: operators, kernels and reasons; print it for a table.

        Raises as `run` does for settings that no run can have.
        """
        check_settings(SimulationError, dt=dt, seed=seed, precision=precision)
        program = self._runner.program(dt, seed, precision)
        return self._runner.engine(engine, program).explain(program)

    def memory(
        self,
        batch: int,
        steps: int,
        dt: float = 0.001,
        *,
        engine: str = "auto",
        precision: Precision = "float32",
        batch_size: int | None = None,
        threads: int | None = None,
        record: Sequence[str] = (),
    ) -> MemoryNeed:
        """Memory that such a run of `batch` samples needs, in bytes; print it for a table.

        An upper bound beside the network and the input, which is held constant: weights as the
        engine holds them, state and work of the samples that run side by side, outputs, layers in
        `record` and spike counts of all. Nothing is built for it. `run` compares it with the memory
        at hand and raises `SimulationError`. Raises as `run` does for settings that no run can
        have.
        """
        check_settings(
            SimulationError, dt=dt, precision=precision, batch_size=batch_size, threads=threads
        )
        for name, number in (("batch", batch), ("steps", steps)):
            if not (is_whole(number) and number >= 1):
                raise SimulationError(f"{name} must be a whole number from 1, got {number!r}")
        layers = tuple(layers_of(self.lowered, self._recorded(record)))
        program = self._runner.program(dt, 0, precision, layers)
        chosen = self._runner.engine(engine, program, threads)
        job = RunJob(program, chosen, {}, batch, steps)
        return self._runner.memory(job, batch_size or self._runner.batch_size(chosen))

    def fits(self, chip: str | Path | Mapping[str, Any] | Chip) -> Fit:
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

    def _warn_of_run(self, means: Mapping[str, float], steps: int, dt: float) -> None:
        """Warn where a run of this length, or with so few spikes, says little of the source."""
        warn_of_length(self, steps, dt)
        layers = self.populations()
        scales = self.arguments.get("scale_firing_rates")
        known = {
            name: mean
            for name, mean in means.items()
            if name in layers and rounded(self.canonical[name].layer) is None
        }
        warn_of_few_spikes(self.trace, scales, known, steps, dt)

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
        return saved(cls, load_parts(path))

    def __reduce__(self) -> tuple[Callable[[bytes], Conversion], tuple[bytes]]:
        return _from_bytes, (as_bytes(self._stored),)

    @property
    def _stored(self) -> Conversion:
        """The conversion as files hold it: its graph says what the source froze."""
        try:
            frozen = self._frozen
        except Exception as error:  # a copy of the user's model is made, which may raise anything
            say(
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
    return saved(Conversion, from_bytes(content))


_remade = partial(made_of, Conversion)
"""Converts a graph, or what was read, under arguments."""
