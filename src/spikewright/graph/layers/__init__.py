"""The layer vocabulary: one class a kind, each with its shape rule and its equation."""

from spikewright.graph.layers.activation import ACTIVATIONS, Activation
from spikewright.graph.layers.affine import Affine, BatchNormalization, Convolution, ScaleShift
from spikewright.graph.layers.base import LAYERS, Layer, Shape, register
from spikewright.graph.layers.merge import Add, Concatenate
from spikewright.graph.layers.pooling import (
    AdaptiveAveragePool,
    AveragePool,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool,
)
from spikewright.graph.layers.shape import (
    Crop,
    Identity,
    Input,
    Permute,
    Reshape,
    UpsampleNearest,
    ZeroPad,
)

__all__ = [
    "ACTIVATIONS",
    "LAYERS",
    "Activation",
    "AdaptiveAveragePool",
    "Add",
    "Affine",
    "AveragePool",
    "BatchNormalization",
    "Concatenate",
    "Convolution",
    "Crop",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Identity",
    "Input",
    "Layer",
    "MaxPool",
    "Permute",
    "Reshape",
    "ScaleShift",
    "Shape",
    "UpsampleNearest",
    "ZeroPad",
    "register",
]
