"""Reasons why layers have no reader, and their alternatives."""

from __future__ import annotations

from spikewright.advice import ADVICE, advise
from spikewright.frontends.reading.reasons import (
    COMPARES,
    JUMPS,
    LOOKS_UP,
    ORDERS,
    Reason,
    by_kind,
)

_RECURRENT = Reason(
    "it carries a state from step to step, and only SimpleRNN, LSTM, GRU and an RNN of their cells "
    "are written out step by step",
    "Use one of those, or read the feed-forward part of the model",
)
_TRACE = (
    f"{ADVICE['Keras code on another backend'].python}; replace it by layers; or register a reader "
    "of its class with spikewright.frontends.keras.reads"
)
_CODE = Reason(
    "it runs Python code, which is read of live models on Keras's torch backend alone",
    _TRACE,
)
_CONVOLVES = Reason(
    "it carries a state through convolutions, which is read of live models on Keras's torch "
    "backend alone",
    _TRACE,
)
_FOREIGN = Reason(
    "it runs code of another framework, or a function for every sample, which cannot be read",
    "Replace it by layers",
)
_TENSORFLOW = Reason(
    "it applies a TensorFlow function to a tensor, as Keras 2 could",
    "Rebuild the model with a Keras layer in its place",
)
_PRODUCT = Reason(
    "it multiplies all values along an axis, and the graph multiplies two at a time",
    "Write the product out, x[..., 0] * x[..., 1]",
)
_RANDOM_CROP = Reason(
    "it crops or resizes by the image's size in code of its own",
    "Apply it to the data, before the network",
)
_SPECTRUM = Reason(
    "it computes a spectrum, with complex numbers",
    "Apply it to the data, before the network",
)

_CONVOLUTIONAL = ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
CODE = frozenset({"Lambda", "TorchModuleWrapper", *_CONVOLUTIONAL})
"""Layers of Keras that are Python code, or modules of PyTorch, or read as such."""

_REASONS = by_kind(
    (_CODE, "Lambda TorchModuleWrapper"),
    (_FOREIGN, "JaxLayer FlaxLayer TFSMLayer ops.Map"),
    (_CONVOLVES, " ".join(_CONVOLUTIONAL)),
    (_RECURRENT, "ops.Scan ops.WhileLoop ops.ForiLoop"),
    (_TENSORFLOW, "TFOpLambda SlicingOpLambda TensorFlowOpLayer"),
    (
        LOOKS_UP,
        "Hashing HashedCrossing IntegerLookup StringLookup TextVectorization ops.MultiHot",
    ),
    (JUMPS, "ops.Sign"),
    (
        COMPARES,
        "ops.Equal ops.NotEqual ops.LogicalAnd ops.LogicalOr ops.LogicalNot",
    ),
    (
        ORDERS,
        "ops.Median ops.Quantile",
    ),
    (_PRODUCT, "ops.Cumprod"),
    (_RANDOM_CROP, "RandomCrop"),
    (_SPECTRUM, "MelSpectrogram STFTSpectrogram ops.STFT ops.RFFT ops.FFT"),
)

TAILS = frozenset(("ops.Median", "ops.Quantile"))
"""Operators that end models which answer with an order of values: `outputs` cuts them."""


def is_code(kind: str) -> bool:
    """Whether layers of this kind are code to trace: Python's, and what no reason is known for."""
    return kind in CODE or kind not in _REASONS


def why_not_code(name: str) -> Reason:
    """Reason and options for code of a user's own, on a backend that lets nobody trace it."""
    return Reason(
        f"it runs {name}, Python code, which is read on Keras's torch backend alone", _TRACE
    )


def why_not(kind: str) -> Reason:
    """Reason and options for a kind of layer that has no reader."""
    unknown = Reason(
        f"{kind} has no reader",
        advise("reader of a Keras layer", kind=kind),
    )
    return _REASONS.get(kind, unknown)
