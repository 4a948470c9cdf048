"""All that a training is of, before anything is computed with gradients: samples and layers."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from spikewright.choosing.statistics.fingerprint import fingerprint
from spikewright.evaluation.data import add_array
from spikewright.frontends.provenance import ArrayKey
from spikewright.graph import Graph
from spikewright.measure.targets import Metric, Output
from spikewright.training.data import SampleStream, TrainingSamples
from spikewright.training.options import TrainOptions
from spikewright.training.quantized_layers import QuantizedLayer

_NO_RESULT = ("progress", "checkpoint", "thresholds", "frozen", "validation")
"""Settings that have no part in a result, and three of which what they come to is told."""


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """A graph with its quantized layers, samples and settings.

    `first` are some samples to train on, by which the network is judged where none are held back.
    `exact` says that the rounded network is the spiking one. Arrays in `fixed` are not trained, nor
    are those of `frozen` layers.
    """

    graph: Graph
    quantized: Mapping[str, QuantizedLayer]
    settings: TrainOptions
    outputs: Mapping[str, Output]
    data: TrainingSamples | SampleStream
    held_back: TrainingSamples | None
    first: TrainingSamples
    exact: bool
    fixed: Collection[ArrayKey]
    frozen: Collection[ArrayKey]

    def about(self) -> dict[str, Any]:
        """Plain data: what results depend on, by name. Of a user's own batches only that it is."""
        settings = {n: _plain(value) for n, value in self.settings.items() if n not in _NO_RESULT}
        return {
            "model": fingerprint(self.graph),
            "thresholds": _digest({n: s.threshold for n, s in self.quantized.items()}),
            "starts": _digest({n: s.start for n, s in self.quantized.items()}),
            "biases": _digest(
                {n: s.biases for n, s in self.quantized.items() if s.biases is not None}
            ),
            "frozen": [f"{name}.{field}" for name, field in sorted(self.frozen)],
            "neurons": {name: str(layer.kind) for name, layer in self.quantized.items()},
            "x and y": getattr(self.data, "digest", "batches"),
            "samples held back": getattr(self.held_back, "digest", None),
            **settings,
        }


def _plain(value: Any) -> Any:
    """A setting as JSON has it; functions by what they are made of."""
    if callable(value):
        return Metric(value).key
    if isinstance(value, tuple):
        return list(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _digest(arrays: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for name, array in arrays.items():
        add_array(digest, name, array)
    return digest.hexdigest()
