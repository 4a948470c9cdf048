"""A converted network, everything that can be done with it, and `convert`, which makes one."""

from __future__ import annotations

from typing import Any, Unpack

from spikewright._base.options import declared
from spikewright.advice import is_command
from spikewright.conversion.arguments import FROM_ELSEWHERE, in_names
from spikewright.conversion.conversion import Conversion
from spikewright.conversion.measuring import Sample, watch
from spikewright.conversion.options import ConvertOptions
from spikewright.conversion.stages import convert_model
from spikewright.conversion.trace_warnings import warn_of_unit_scale
from spikewright.frontends import ModelReader
from spikewright.frontends.outputs import wanted_outputs
from spikewright.lower.trace import Entry, Trace

load = Conversion.load

__all__ = ["Conversion", "Entry", "Sample", "Trace", "convert", "load", "watch"]


@declared(None, FROM_ELSEWHERE)
def convert(model: Any, **options: Unpack[ConvertOptions]) -> Conversion:
    """Turn a trained model into a network.

    `model` is a Keras 3 model, a `torch.nn.Module` (with `example_input`, batch axis first), an
    ONNX `ModelProto`, or a path to a `.keras`, `.h5`, `.onnx` or `.pt2` file. A live model is left
    as it was.

    Raises `ReadError` when the model cannot be read or has no such output, `ConversionError`
    listing every layer or argument that cannot be honoured.
    """
    arguments: dict[str, Any] = dict(options)
    example = arguments.pop("example_input")
    reading = ModelReader(model, example)
    named = in_names(arguments, reading.named)
    made = convert_model(
        Conversion, reading, {**named, "outputs": wanted_outputs(named["outputs"])}
    )
    if not is_command():  # which knows whether it can take samples
        warn_of_unit_scale(made, example is not None)
    return made
