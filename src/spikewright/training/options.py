"""Options of trainings and of modules; with all of them set they are a training's settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from spikewright._base.arguments import is_number, is_whole
from spikewright._base.options import Check, Option, checked, number, whole
from spikewright.engines.settings import PrecisionOptions, SeedOptions, StepOptions
from spikewright.errors import TrainingError
from spikewright.measure.readout import Readout
from spikewright.training.surrogates import Surrogate

Method = Literal["rounding", "time", "auto"]
Trainable = Literal["weights", "biases", "scales", "initial_voltage", "neuron_scales"]
Thresholds = Literal["chosen", "kept"]
Keep = Literal["best", "last"]
LearningRate = float | Literal["chosen"]
Loss = Literal["both", "imitation"]
TRAINABLE: tuple[Trainable, ...] = ("weights", "biases", "scales", "initial_voltage")
"""Names of the arrays that a training changes by default."""


_RATE = Check(
    'a number above 0, or "chosen"',
    lambda value: value == "chosen" if isinstance(value, str) else is_number(value) and value > 0,
)


_STEPS = Check(
    "None or a whole number from 1",
    lambda value: value is None or (is_whole(value) and value >= 1),
)


class FitOptions(StepOptions, total=False):
    """How arrays are fitted to a run."""

    steps: Annotated[
        int, Option(None, "Steps of the runs to train for (default: those of the coding).", _STEPS)
    ]
    thresholds: Annotated[
        Thresholds,
        Option(
            "chosen",
            "Start from thresholds chosen for the steps, or keep those of the network.",
        ),
    ]
    frozen: Annotated[
        Sequence[str] | None,
        Option(
            None,
            "Layers whose weights and biases stay, to the last bit; thresholds and starts may "
            "move. A name of a model or module inside is all of its layers, and `()` trains all "
            "(default: those that the source does not train, `trainable=False` in Keras and "
            "`requires_grad=False` in PyTorch).",
        ),
    ]
    batch_size: Annotated[int, Option(64, "Samples of a batch.", whole(1))]
    device: Annotated[Any, Option("cpu", "The PyTorch device, such as cpu or cuda:0.")]
    seed: Annotated[int, Option(0, "Seed of batches and of whatever is random.", whole(0))]
    progress: Annotated[bool, Option(True, "Show a progress bar.")]


class TrainOptions(FitOptions, total=False):
    """Options of a training."""

    spikes: Annotated[
        float | None, Option(None, "Budget of spikes for each sample.", number(above=0.0))
    ]
    method: Annotated[
        Method,
        Option(
            "auto",
            "Train the rounded network, train spikes through time, or choose by measuring.",
        ),
    ]
    trainable: Annotated[
        Sequence[str],
        Option(
            TRAINABLE,
            'Names of what may change: `"scales"` are thresholds of channels or layers, '
            '`"neuron_scales"` one for every neuron. Starts of signed digits stay.',
        ),
    ]
    loss: Annotated[
        Loss, Option("both", "Imitate the source only, or learn `y` too if it is given.")
    ]
    metric: Annotated[
        Callable[[Any, Any], Any] | None,
        Option(None, "A function to measure in place of accuracy, as for `evaluate`."),
    ]
    learning_rate: Annotated[
        LearningRate,
        Option(
            "chosen",
            'Learning rate of weights, or "chosen" by trial; thresholds learn twice as fast.',
            _RATE,
        ),
    ]
    epochs: Annotated[int, Option(10, "Passes over all samples, at most.", whole(1))]
    timeout: Annotated[
        float | None,
        Option(None, "Stop after this many seconds (default: never).", number(above=0.0)),
    ]
    keep: Annotated[
        Keep, Option("best", "Keep the best epoch on held-back samples, or the last one.")
    ]
    validation: Annotated[
        Any,
        Option(
            0.1,
            "Samples held back: a share of the samples, or samples as `(x, y)`, as x alone or as "
            "batches.",
        ),
    ]
    checkpoint: Annotated[
        str | Path | None,
        Option(None, "Save the state in this file and continue from it the next time."),
    ]


class ReconstructOptions(FitOptions, total=False):
    """Options of a reconstruction, which changes no weight and takes no label."""

    timeout: Annotated[
        float | None,
        Option(300.0, "Stop after this many seconds; None: never.", number(above=0.0)),
    ]
    epochs: Annotated[int, Option(1000, "Passes over all samples, at most.", whole(1))]
    learning_rate: Annotated[
        float, Option(1e-3, "Of biases; thresholds and starts learn faster.", number(above=0.0))
    ]
    validation: Annotated[
        float, Option(0.1, "Share of the samples to hold back.", number(least=0.0))
    ]


class ModuleOptions(StepOptions, PrecisionOptions, SeedOptions, total=False):
    """Options of a module through time."""

    surrogate: Annotated[
        str | Surrogate,
        Option(
            "arctan",
            "One of `spikewright.surrogates`, or its name: the derivative of a number of spikes.",
        ),
    ]
    reset: Annotated[
        Literal["detached", "attached"],
        Option(
            "detached",
            'A "detached" one has no gradient through the charge that spikes take away.',
        ),
    ]
    readout: Annotated[Readout, Option("mean", "That of `Run.predict`.")]
    checkpoint: Annotated[
        bool | int,
        Option(
            False,
            "Memory does not grow with the values of steps: True keeps those of a single step, a "
            "number those of so many, and steps are run again.",
            Check(
                "True, False or steps from 1",
                lambda value: isinstance(value, bool) or (is_whole(value) and value >= 1),
            ),
        ),
    ]


def settings_of(given: Mapping[str, Any]) -> TrainOptions:
    """All options of a training, of those given; raises `TrainingError` for what none can have."""
    options = checked(TrainOptions, given, None)
    share = options["validation"]
    if is_number(share) and not 0 <= share < 1:
        raise TrainingError(
            f"validation must be samples, or a share of them from 0, below 1, got {share!r}"
        )
    settings: Any = {
        **options,
        "trainable": named(options["trainable"]),
        "frozen": _frozen_names(options["frozen"]),
    }
    found: TrainOptions = settings
    return found


def trains_scales(settings: TrainOptions) -> bool:
    """True where thresholds may change: those of channels, or one for every neuron."""
    return not {"scales", "neuron_scales"}.isdisjoint(settings["trainable"])


def _frozen_names(frozen: Any) -> tuple[str, ...] | None:
    """A layer's name or several; None for what the source froze."""
    if frozen is None:
        return None
    given = (frozen,) if isinstance(frozen, str) else frozen
    found = tuple(given) if isinstance(given, Iterable) else (given,)
    if not all(isinstance(name, str) for name in found):
        raise TrainingError(f"frozen must be names of layers, () for none, or None, got {frozen!r}")
    return found


def named(trainable: Sequence[str]) -> tuple[str, ...]:
    """A name or several of `Trainable`, as a tuple; raises `TrainingError` for other names."""
    found = (trainable,) if isinstance(trainable, str) else tuple(trainable)
    known = get_args(Trainable)
    if not found or any(name not in known for name in found):
        raise TrainingError(f"trainable must name some of {list(known)}, got {trainable!r}")
    return found
