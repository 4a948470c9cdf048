"""The model that a conversion was made from: named, read again, and what trains or rebuilds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, TypeVar, Unpack

from spikewright._base.arguments import is_whole
from spikewright._base.options import declared
from spikewright.choosing.coding import SignedDigits
from spikewright.conversion.arguments import Wanted
from spikewright.conversion.stages import convert_model
from spikewright.errors import TrainingError
from spikewright.frontends import ModelReader, Source
from spikewright.frontends.provenance import ArrayKey
from spikewright.graph import Graph
from spikewright.running.own_steps import run_steps
from spikewright.running.protocols import ConversionLike
from spikewright.running.runner import Runner
from spikewright.training import module, reconstruction, training
from spikewright.training.options import (
    TRAINABLE,
    ModuleOptions,
    ReconstructOptions,
    TrainOptions,
    settings_of,
)
from spikewright.training.result import Training
from spikewright.training.training import TrainingRequest


@dataclass(eq=False)
class SourceModel:
    """The model of a `source` and its `graph`; `given` is the reading of it, None of a graph alone.

    `arguments` are those of `convert`.
    """

    given: ModelReader | None
    source: Source
    graph: Graph
    arguments: Mapping[str, Any]
    _found: tuple[set[str], frozenset[ArrayKey]] | None = field(default=None, init=False)

    @property
    def reading(self) -> ModelReader | None:
        """The reading of the model itself, live or as it was loaded from its file."""
        if self.given is None:
            return None
        model = self.given.model if self.source.loaded is None else self.source.loaded
        return replace(self.given, model=model, form=Wanted(self.arguments).form)

    @property
    def live(self) -> ModelReader | None:
        """The reading of a live model, in the form that it was read in."""
        live = self.given is not None and self.given.framework is not None
        return self.reading if live else None

    def named(self, value: Any) -> Any:
        """A setting by layer with names in the place of layers of the model."""
        reading = self.reading
        return value if reading is None else reading.named(value)

    @property
    def frozen(self) -> frozenset[ArrayKey]:
        """The arrays of the graph that the source does not train.

        To find them the source is read anew: they are kept for as long as it freezes the same.
        """
        reading = self.reading
        if reading is None:
            return self.graph.frozen
        names = reading.frozen_names
        if self._found is None or self._found[0] != names:
            self._found = names, reading.frozen(self.graph)
        return self.graph.frozen | self._found[1]


class ModelConversion(ConversionLike, Protocol):
    """A conversion that knows its model, and runs its network."""

    _model: SourceModel
    _runner: Runner


Of = TypeVar("Of", bound=ModelConversion)


@declared(TrainingError)
def train(self: Of, x: Any, y: Any = None, **options: Unpack[TrainOptions]) -> Training[Of]:
    """Fit weights and thresholds to a run of `steps` steps of `dt` seconds; needs PyTorch.

    `x` and `y` are as for `evaluate`, held constant; `x` may be an iterable of batches, of x
    alone or `(x, y)`, such as a `DataLoader`. Without `y` the network imitates its source;
    labels or targets are added to that.

    Of signed digits what is trained is the rounded twin: with as many silent steps as steps it is
    the network. Where "auto" was asked for, silent steps are found anew.

    `method="rounding"` trains the network whose activations are rounded, for the price of the
    source's training: it is the spiking one where neurons send negative spikes and have no cap.
    "time" runs every batch through all steps, and goes back through the rounded network. "auto"
    does that once the two differ by a quarter of the way to the source.

    A budget of `spikes` is met on the samples that are held back. The epoch that is the best on
    them is kept: by `metric`, else by accuracy, else by the loss. With `keep="last"`,
    and where nothing is held back, the last one is kept; of an iterable only given samples are.

    With `learning_rate="chosen"` the rate is the best of three that are tried first, for a
    twenty-fifth of the training each, and "auto" begins with the better of its ways. Where a
    training is too short for that, for an iterator, and with a budget, it is 5e-4.

    A training lasts `epochs` epochs, or `timeout` seconds if that is shorter; the rate falls to
    zero by then. After each epoch its state is written to the file `checkpoint`, from which the
    same call goes on, with the same result. Equal arguments give equal results on one machine.
    Weights that are zero, as those of a pruned model, stay zero.

    Raises `TrainingError` for settings that no training can have, for neurons that it does not
    know, for a loss that is not finite, for a budget that cannot be met, and for the checkpoint
    of another call, naming what differs; `SimulationError` for data that does not fit;
    `DamagedFileError` for another file; `MissingExtraError` without PyTorch. Formulas:
    docs/training.md.
    """
    model = self._model
    asked = TrainingRequest(x, y, _settings(self, options), model.reading, model.live)
    return training.train(self, asked, partial(convert_model, type(self)))


@declared(TrainingError)
def reconstruct(self: Of, x: Any, **options: Unpack[ReconstructOptions]) -> Of:
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
    if self.lowered.times is not None:
        raise TrainingError(
            "signed digits are not reconstructed: what they lose is rounding, which has no mean to "
            'correct. Train them, with trainable=("biases", "scales") no weight changes'
        )
    settings = _settings(self, {**reconstruction.RECONSTRUCTED, **options})
    asked = TrainingRequest(x, None, settings, self._model.reading)
    return reconstruction.reconstruct(self, asked)


@declared(TrainingError)
def to_torch(
    self: ModelConversion, steps: int | None = None, **options: Unpack[ModuleOptions]
) -> Any:
    """The network through `steps` steps of `dt` seconds, an ordinary `torch.nn.Module`.

    It computes what the torch engine does, with gradients: a training loop of your own may
    train it. Its parameters have the names of the source's, in its state dict too; those of a
    file or a graph are named by layer and array. What the source froze, and what no training
    changes, are buffers. The module begins anew with every call. `seed` fixes starts that are
    drawn. `steps` are those of the code where it has some. Signed digits are whole samples: what
    the network says with as many silent steps as steps, whose gradient passes rounding.

    Raises `TrainingError` for neurons without a surrogate, for a live model with other layers
    than were converted, and for settings that no module can have; `MissingExtraError` without
    PyTorch. Formulas: docs/training.md.
    """
    steps = _steps(self, steps)
    return module.to_torch(self, steps, options, self._model.live, self._model.frozen)


def load_state(self: Of, state: Mapping[str, Any]) -> Of:
    """The conversion with the parameters in a module's state dict, by the source's names.

    The source is copied and left as it is; choices are those in `resolved`. Raises
    `TrainingError` for names, shapes and values that do not fit.
    """
    return module.loaded(self, state, partial(convert_model, type(self)), self._model.live)


def _steps(conversion: ConversionLike, steps: Any) -> int:
    """As `run_steps`; raises `TrainingError` where there are none, and for digits of no code."""
    if conversion.lowered.times is not None and not isinstance(conversion.coding, SignedDigits):
        raise TrainingError(
            "layers send digits that were chosen by spiking=, whose start and heights may be any. "
            "Convert with coding=sw.SignedDigits(steps)"
        )
    found = run_steps(conversion, steps)
    if not (is_whole(found) and found >= 1):
        raise TrainingError(f"steps must be a whole number from 1, got {found!r}")
    return int(found)


def _settings(conversion: ModelConversion, given: Mapping[str, Any]) -> TrainOptions:
    """The settings of a training, whose layers are named as in the graph."""
    trainable = given["trainable"]
    if trainable is TRAINABLE and conversion.lowered.times is not None:  # unless it was given
        trainable = [name for name in TRAINABLE if name != "initial_voltage"]
    frozen = conversion._model.named(given.get("frozen"))
    steps = _steps(conversion, given["steps"])
    return settings_of({**given, "steps": steps, "trainable": trainable, "frozen": frozen})
