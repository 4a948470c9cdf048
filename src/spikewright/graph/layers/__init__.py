"""The layer vocabulary: one class a kind, each with its shape rule and its equation."""

from spikewright.graph.layers.activation import ACTIVATIONS, Activation, ParametricReLU
from spikewright.graph.layers.affine import Affine, BatchNormalization, Convolution, ScaleShift
from spikewright.graph.layers.arithmetic import (
    Add,
    Concatenate,
    Divide,
    MatMul,
    Maximum,
    Minimum,
    Multiply,
)
from spikewright.graph.layers.base import LAYERS, Layer, Shape, register
from spikewright.graph.layers.normalization import (
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    UnitNormalization,
)
from spikewright.graph.layers.pooling import (
    AdaptiveAveragePool,
    AveragePool,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool,
)
from spikewright.graph.layers.recurrence import Recurrence
from spikewright.graph.layers.resampling import ConvolutionTranspose, Interpolate, Sum
from spikewright.graph.layers.selection import (
    Broadcast,
    Constant,
    Lookup,
    Pad,
    PythonCall,
    Slice,
    Take,
    Tile,
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
    "Broadcast",
    "Concatenate",
    "Constant",
    "Convolution",
    "ConvolutionTranspose",
    "Crop",
    "Divide",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GroupNormalization",
    "Identity",
    "Input",
    "Interpolate",
    "Layer",
    "LayerNormalization",
    "Lookup",
    "MatMul",
    "MaxPool",
    "Maximum",
    "Minimum",
    "Multiply",
    "Pad",
    "ParametricReLU",
    "Permute",
    "PythonCall",
    "RMSNormalization",
    "Recurrence",
    "Reshape",
    "ScaleShift",
    "Shape",
    "Slice",
    "Sum",
    "Take",
    "Tile",
    "UnitNormalization",
    "UpsampleNearest",
    "ZeroPad",
    "register",
]
