"""`Conversion.train`: thresholds and weights fitted to a number of steps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright.choosing.coding import MAXIMA, SignedDigits
from spikewright.choosing.correction import StepCorrection, VoltageCorrection
from spikewright.choosing.rules import MinimumError
from spikewright.engines.settings import check_step
from spikewright.errors import TrainingError
from spikewright.frontends import ModelReader
from spikewright.frontends.provenance import ArrayKey, Provenance
from spikewright.graph import Graph
from spikewright.lower.choices import plain
from spikewright.lower.trace import suppress_warnings, warn_and_log
from spikewright.network.neurons import NeuronType
from spikewright.running.inputs import feeds_of
from spikewright.running.protocols import ConversionLike, Made, all_capped, as_source
from spikewright.running.recording import outputs_of
from spikewright.training.data import SampleStream, TrainingSamples, data_of, held_back
from spikewright.training.history import changes_of
from spikewright.training.job import TrainingJob
from spikewright.training.options import TrainOptions
from spikewright.training.quantized_layers import (
    QuantizedLayer,
    quantized_layers_of,
    trained_graph,
    with_own,
)
from spikewright.training.result import SourceWeights, Training
from spikewright.training.trainable import (
    GROUPS,
    arrays_of,
    frozen_arrays,
    frozen_layers,
    in_other_orders,
    trained_arrays,
    with_shared,
)

_SEEN = 500  # samples that thresholds are chosen on
_SHARES = (1.0, 0.9, 0.8)  # of the steps, that thresholds count on, under a cap
_HELD = 1000  # samples that are held back, at most


@dataclass(frozen=True, eq=False)
class TrainingRequest:
    """Samples and settings of a training as they were given, and what is known of the source.

    `model` is the source model, live or loaded from its file, which says what it froze. With a
    `live` one only what is a parameter of it is trained: what was computed of several could not be
    written back. Arrays in `fixed` stay.
    """

    x: Any
    y: Any
    settings: TrainOptions
    model: ModelReader | None = None
    live: ModelReader | None = None
    fixed: Collection[ArrayKey] = ()

    def source(self, graph: Graph) -> tuple[Mapping[ArrayKey, Provenance], frozenset[ArrayKey]]:
        """The arrays of a graph that are parameters of its live model, and those that it froze."""
        if self.live is not None:
            origins = self.live.origins(graph)
            return origins, graph.frozen | self.live.frozen(graph, origins)
        return {}, graph.frozen if self.model is None else graph.frozen | self.model.frozen(graph)


def train(
    conversion: Made,
    asked: TrainingRequest,
    remade: Callable[[Graph, Mapping[str, Any]], Made],
) -> Training[Made]:
    """Train a conversion; `remade` converts another graph with arguments of `convert`.

    Raises `MissingExtraError` without PyTorch.
    """
    from spikewright.training.gradients import deterministic, fitted  # late: they import torch

    settings = asked.settings
    _check_digits(conversion, settings)
    with deterministic(settings["seed"]):  # a user's batches may be drawn
        chosen, job = _prepared(conversion, asked)
    done = fitted(job)
    trained = done.network.arrays.renewed(chosen.graph)
    origins, frozen = asked.source(chosen.graph)
    weights = None
    if asked.live is not None:
        weights = SourceWeights.of(asked.live, origins, chosen.graph, trained)
        trained = weights.trained
    quantized = {
        name: replace(job.quantized[name], **now) for name, now in done.network.numbers.items()
    }
    arguments = {
        **_arguments(chosen.resolved, quantized, settings),
        "coding": (coding := conversion.arguments.get("coding")),  # as it was asked for
        "calibration": dict(job.first.x) if coding is not None and coding.looks_at_data else None,
    }
    return Training(
        remade(trained.with_frozen(frozen), arguments),
        tuple(done.history),
        done.kept,
        done.learning_rate,
        changes=tuple(changes_of(chosen.graph, trained, job.quantized, quantized)),
        frozen=frozen_layers(job.graph, job.frozen),
        _weights=weights,
    )


def _prepared(conversion: Made, asked: TrainingRequest) -> tuple[Made, TrainingJob]:
    """A conversion with thresholds for the steps, and the job."""
    settings = asked.settings
    named = arrays_of(conversion.graph, settings["frozen"])  # raises
    given = data_of(conversion, asked.x, asked.y)
    data, held = _divided(conversion, given, settings)
    first = data.first(_SEEN, settings["seed"])
    feeds_of(first.x, conversion.inputs, None, settings["steps"], settings["dt"], 0)  # raises
    chosen = _with_thresholds(conversion, first, settings)
    _check_heights(chosen, settings["steps"])
    quantized = quantized_layers_of(chosen, settings["dt"])
    origins, of_source = asked.source(chosen.graph)
    graph = with_shared(trained_graph(chosen), origins)
    fixed = {*asked.fixed}
    if asked.live is not None:  # only parameters, held in one order, can be written back
        fixed |= {*trained_arrays(graph)} - {*origins} | in_other_orders(origins)
    frozen = frozen_arrays(graph, of_source if named is None else named)
    _check_frozen(graph, frozen, settings)
    if "initial_voltage" in settings["trainable"]:
        quantized = with_own("start", quantized, graph)
    if "neuron_scales" in settings["trainable"]:
        quantized = with_own("threshold", quantized, graph)
    return chosen, TrainingJob(
        graph,
        quantized,
        settings,
        outputs=outputs_of(chosen.lowered),
        data=data,
        held_back=held,
        first=first,
        exact=all(follows_its_sum(layer.kind, settings["steps"]) for layer in quantized.values()),
        fixed=fixed,
        frozen=frozen,
    )


def _check_digits(conversion: ConversionLike, settings: TrainOptions) -> None:
    """Raise `TrainingError` for settings that signed digits have no place for, by name."""
    if conversion.lowered.times is None:
        return
    check_step(conversion.network, settings["dt"], TrainingError)
    given = settings["trainable"]
    maxima = any(isinstance(node.layer, MAXIMA) for node in conversion.canonical)
    for name, refused, why in (
        ("method", settings["method"] == "time", "with all input known no digit comes late"),
        ("spikes", settings["spikes"] is not None, "what digits say is no number of spikes"),
        (
            "initial_voltage",
            "initial_voltage" in given,
            "they begin at half a unit: they round",
        ),
        ("neuron_scales", "neuron_scales" in given and maxima, "maxima pass on digits of one unit"),
    ):
        if refused:
            raise TrainingError(f"{name}: signed digits have no place for it, since {why}")


def _check_heights(conversion: ConversionLike, steps: int) -> None:
    """Raise `TrainingError` for fewer steps than spikes have heights in."""
    once = conversion.lowered.at_once
    if steps < once:
        raise TrainingError(
            f"steps={steps}: spikes have heights in the first {once} steps, in which all "
            f"of the input is to arrive. Train for {once} steps or more, or convert with as many "
            "spike_heights as steps"
        )


def _check_frozen(graph: Graph, frozen: Collection[ArrayKey], settings: TrainOptions) -> None:
    """Warn where the source froze all that would be trained; raise where nothing else may move."""
    arrays = [name for name in settings["trainable"] if name in GROUPS]
    if not arrays or not frozen or trained_arrays(graph).keys() - frozen:
        return
    if len(arrays) == len(settings["trainable"]):
        raise TrainingError(
            f"trainable={settings['trainable']}: all layers are frozen, so that nothing is left to "
            "train. Give frozen=() to train them"
        )
    if settings["frozen"] is None:
        warn_and_log(
            "all layers of the source are frozen, so that only thresholds and starts are trained. "
            f"Give frozen=() to train {' and '.join(arrays)} too"
        )


def follows_its_sum(kind: NeuronType, steps: int) -> bool:
    """True where neurons have sent the rounded value of their mean current, whatever the order.

    They send negative spikes and have no cap; in a single step there is no order.
    Spikes of the last step are worth one, or not every whole number could be sent. Digits do, once
    they know all of it.
    """
    if kind.sends_digits:
        return True
    if kind.height_at(steps) > 1:
        return False
    return steps == 1 or (kind.order_independent and kind.most_spikes is None)


def _divided(
    conversion: ConversionLike, data: TrainingSamples | SampleStream, settings: TrainOptions
) -> tuple[TrainingSamples | SampleStream, TrainingSamples | None]:
    """The samples to train on and those held back: given ones, or a share, but not of batches."""
    epochs, validation, held = settings["epochs"], settings["validation"], None
    if isinstance(data, SampleStream):
        if data.once and epochs > 1 and settings["timeout"] is None:
            raise TrainingError(
                f"epochs={epochs}: x is an iterator, at its end after one epoch. Give epochs=1, or "
                "a list of batches, a DataLoader or arrays"
            )
    elif is_number(validation):
        rest, held = data.divided(min(validation, _HELD / len(data)), settings["seed"])
        data = rest if len(held) else data  # laid out in memory as it was given
    if validation is not None and not is_number(validation):
        held = held_back(conversion, validation)
    elif held is None or not len(held):
        held = None
        if settings["spikes"] is not None:
            raise TrainingError(
                "spikes: is measured on samples that are held back, and there are none. Give "
                "validation=(x, y), or of arrays a share of the samples"
            )
    return data, held


def _with_thresholds(conversion: Made, first: TrainingSamples, settings: TrainOptions) -> Made:
    """The conversion with thresholds chosen anew for the number of steps, unless they are kept.

    Biases of each step are kept with thresholds, or measured anew for others. Of signed digits the
    code has a rule of its own; silent steps do not matter to their twin.
    """
    if isinstance(coding := conversion.coding, SignedDigits):
        if settings["thresholds"] == "kept":
            return conversion
        coding = replace(coding, silent_steps=coding.steps)
        return conversion.replace(coding=coding, scale_firing_rates=None, calibration=dict(first.x))
    if settings["thresholds"] == "kept":
        return conversion.replace(bias_correction=_of_steps(conversion))
    chosen = _with_chosen(conversion, first, settings)
    correction = conversion.arguments.get("bias_correction")
    if not isinstance(correction, StepCorrection):
        return chosen
    numbers = {**chosen.resolved, "bias_correction": correction}
    return chosen.replace(**{**numbers, "calibration": dict(first.x)})


def _with_chosen(conversion: Made, first: TrainingSamples, settings: TrainOptions) -> Made:
    """The conversion with thresholds chosen anew, and no correction of biases.

    Where a cap makes the order of spikes matter, some steps may be spared to catch up in, and
    starts are corrected, if they may change: what is nearest to the source is a better beginning.
    """
    steps, dt, x = settings["steps"], settings["dt"], dict(first.x)
    capped = all_capped(conversion)
    changes: dict[str, Any] = {"calibration": x, "bias_correction": None}
    if not capped or steps == 1:
        rule = MinimumError(steps, dt=dt, spikes_per_step=None if capped else 1)
        return conversion.replace(**changes, scale_firing_rates=rule)
    wanted = as_source(conversion).run(x, steps=1, progress=False).raw

    def tried(share: float, **start: Any) -> tuple[float, float, Made]:
        rule = MinimumError(steps, dt=dt, share=share)
        made = conversion.replace(**changes, **start, scale_firing_rates=rule)
        return _distance(made, x, wanted, settings), share, made

    nearest = itemgetter(0)
    best = min(map(tried, _SHARES), key=nearest)
    if "initial_voltage" in settings["trainable"]:  # of one share: it takes the longest
        start = VoltageCorrection(steps, dt=dt)
        best = min(best, tried(best[1], initial_voltage=start), key=nearest)
    return best[2]


def _of_steps(conversion: ConversionLike) -> dict[str, Any] | None:
    """The biases that steps have of their own, by layer; None where there are none."""
    given = conversion.resolved.get("bias_correction") or {}
    layers = conversion.populations()
    steps = {n: b for n, b in given.items() if np.ndim(b) > len(layers[n].shape)}
    return {**dict.fromkeys(layers, 0.0), **steps} if steps else None


def _distance(
    conversion: ConversionLike,
    x: Mapping[str, NDArray],
    wanted: Mapping[str, NDArray],
    settings: TrainOptions,
) -> float:
    """The mean square error of all outputs' means, each over the variance that is wanted."""
    with suppress_warnings():
        raw = conversion.run(x, steps=settings["steps"], dt=settings["dt"], progress=False).raw
    return float(
        sum(
            np.mean((raw[name].mean(axis=1) - value[:, -1]) ** 2) / max(float(value.var()), 1e-30)
            for name, value in wanted.items()
        )
    )


def _arguments(
    resolved: Mapping[str, Any], quantized: Mapping[str, QuantizedLayer], settings: TrainOptions
) -> dict[str, Any]:
    """The arguments of `convert` with trained scales, `s = amplitude / (theta dt)`, and starts."""
    scales = {
        name: plain(layer.kind.amplitude / (layer.threshold * settings["dt"]))
        for name, layer in quantized.items()
    }
    arguments = {**resolved, "scale_firing_rates": scales}
    if "initial_voltage" in settings["trainable"]:
        arguments["initial_voltage"] = {
            name: plain(layer.start) for name, layer in quantized.items()
        }
    return arguments
