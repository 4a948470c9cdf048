"""Options of trainings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from spikewright._base.arguments import is_number
from spikewright._base.options import Check, Option, number, whole
from spikewright.engines.settings import StepOptions
from spikewright.records import DEFAULT_TABLE
from spikewright.training.settings import (
    TRAINABLE,
    Keep,
    LearningRate,
    LossName,
    Method,
    OptimiserName,
    Precision,
    Thresholds,
)


def _or_function(*names: str) -> Check:
    """One of some names, or a function."""
    known = f"one of {list(names)}, or a function"
    return Check(known, lambda value: value in names if isinstance(value, str) else callable(value))


_RATE = Check(
    'a number above 0, or "chosen"',
    lambda value: value == "chosen" if isinstance(value, str) else is_number(value) and value > 0,
)


class FitOptions(StepOptions, total=False):
    """How arrays are fitted to a run."""

    thresholds: Annotated[
        Thresholds,
        Option(
            "chosen",
            "Begin with thresholds chosen for the steps, or with those of the network as it is.",
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
    device: Annotated[Any, Option("cpu", "Of PyTorch.")]
    seed: Annotated[int, Option(0, "Seed of batches and of whatever is random.", whole(0))]
    progress: Annotated[bool, Option(True, "Show a progress bar.")]


class TrainOptions(FitOptions, total=False):
    """Options of a training."""

    spikes: Annotated[float | None, Option(None, "Budget: spikes a sample.", number(above=0.0))]
    joules: Annotated[
        float | None,
        Option(None, "Budget: joules a sample, under the cost table.", number(above=0.0)),
    ]
    rates: Annotated[
        Mapping[str, tuple[float, float]] | None,
        Option(None, "Budget: mean rates of layers, `{layer: (low, high)}` in Hz."),
    ]
    energy_table: Annotated[str, Option(DEFAULT_TABLE, "The cost table of energies.")]
    method: Annotated[
        Method,
        Option(
            "auto",
            "Through the rounded network, with spikes through time, or as is measured to matter.",
        ),
    ]
    trainable: Annotated[
        Sequence[str],
        Option(
            TRAINABLE,
            'Names of what may change: `"scales"` are thresholds of channels or layers, '
            '`"neuron_scales"` one for every neuron.',
        ),
    ]
    loss: Annotated[
        LossName | Callable[[Any, Any], Any],
        Option(
            "both",
            "Imitation of the source, truth or both, or a function `f(outputs, y)` of tensors.",
            _or_function("both", "imitation", "truth"),
        ),
    ]
    layers: Annotated[
        float,
        Option(
            0.0,
            "Weight of every layer's distance from the source's, the relative mean square error, "
            "beside the loss.",
            number(least=0.0),
        ),
    ]
    metric: Annotated[
        Callable[[Any, Any], Any] | None,
        Option(None, "A function that judges in place of accuracy, as for `evaluate`."),
    ]
    optimiser: Annotated[
        OptimiserName | Callable[[Any], Any],
        Option(
            "adam",
            '"adam", "adamw" or "sgd", or a function that makes a `torch.optim.Optimizer` of '
            "groups of parameters.",
            _or_function("adam", "adamw", "sgd"),
        ),
    ]
    learning_rate: Annotated[
        LearningRate,
        Option(
            "chosen",
            'Of weights, or "chosen" by trial; thresholds learn twice as fast.',
            _RATE,
        ),
    ]
    epochs: Annotated[int, Option(10, "Times that all samples are seen, at most.", whole(1))]
    timeout: Annotated[
        float | None,
        Option(None, "Seconds after which it ends (default: never).", number(above=0.0)),
    ]
    patience: Annotated[
        int | None,
        Option(None, "End after so many epochs without a better one (default: never).", whole(1)),
    ]
    keep: Annotated[Keep, Option("best", "Keep the best epoch on samples held back, or the last.")]
    validation: Annotated[
        Any,
        Option(
            0.1,
            "Samples held back: a share of the samples, or samples as `(x, y)`, as x alone or as "
            "batches.",
        ),
    ]
    precision: Annotated[
        Precision,
        Option(
            "float32",
            "Of products with weights, in trained batches alone; what is measured is in float32.",
        ),
    ]
    checkpoint: Annotated[
        str | Path | None,
        Option(None, "Keep its state in this file, and go on from there the next time."),
    ]


class ReconstructOptions(FitOptions, total=False):
    """Options of a reconstruction, which changes no weight and takes no label."""

    timeout: Annotated[
        float | None,
        Option(300.0, "Seconds after which it ends; None: never.", number(above=0.0)),
    ]
    epochs: Annotated[int, Option(1000, "Times that all samples are seen, at most.", whole(1))]
    learning_rate: Annotated[
        float, Option(1e-3, "Of biases; thresholds and starts learn faster.", number(above=0.0))
    ]
    validation: Annotated[
        float, Option(0.1, "Share of the samples that is held back.", number(least=0.0))
    ]
