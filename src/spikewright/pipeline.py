"""The whole line, from a trained model to a network: the one place that knows it all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from spikewright.conversion import Conversion, Trace, refuse
from spikewright.errors import ConversionError
from spikewright.frontends import Source, read
from spikewright.graph import Graph
from spikewright.lower import NeuronChoice, Options, Spiking, lower, without_form
from spikewright.network.shapes import is_whole
from spikewright.passes.average_max_pools import AverageMaxPools
from spikewright.passes.standard import STANDARD
from spikewright.passes.standard import run as run_passes

MaxPoolPolicy = Literal["gate", "average"]


def convert(
    model: Any,
    *,
    spiking: Spiking = False,
    scale_firing_rates: Any = 1.0,
    synapse: Any = None,
    initial_voltage: Any = "half",
    calibration: Any = None,
    example_input: Any = None,
    max_pool: MaxPoolPolicy = "gate",
    max_spikes_per_step: int | None = None,
    bias_correction: Any = None,
) -> Conversion:
    """Turn a trained model into a network.

    `model` is a Keras 3 model, a `torch.nn.Module` (with `example_input`, batch axis first), an
    ONNX `ModelProto`, or a path to a `.keras`, `.h5`, `.onnx` or `.pt2` file.

    * `spiking`: False for the rate network, which computes exactly what the model does; True for
      its spiking form; `{activation or neuron type: neuron type}` chooses the form.
    * `scale_firing_rates`: a number, or `{layer: number}` for every layer with neurons.
    * `synapse`: None, seconds (`Lowpass`), a `Synapse`, or `{layer: ...}`, on what leaves neurons.
    * `initial_voltage`: "zero", "half", "uniform", an array in spikes, or `{layer: ...}`.
    * `max_pool`: "gate" (its mean is the maximum of the means) or "average" (changes the outputs).
    * `max_spikes_per_step`: a cap for one-spike hardware, or None.

    Raises `ReadError` when the model cannot be read, `ConversionError` listing every layer or
    argument that cannot be honoured.
    """
    arguments = {
        "spiking": spiking,
        "scale_firing_rates": scale_firing_rates,
        "synapse": synapse,
        "initial_voltage": initial_voltage,
        "calibration": calibration,
        "max_pool": max_pool,
        "max_spikes_per_step": max_spikes_per_step,
        "bias_correction": bias_correction,
    }
    _check(**arguments)
    return convert_source(read(model, example_input), arguments)


def convert_source(source: Source, arguments: Mapping[str, Any]) -> Conversion:
    """Convert a model that has been read; `arguments` are all of `convert` but its input."""
    _check(**arguments)
    trace = Trace()
    canonical = canonicalise(source, trace, arguments["max_pool"])
    lowered = lower(canonical, _options(**arguments))
    for note in lowered.notes:
        trace.add("lower", note.layer, note.text, note.status)
    again = partial(convert_source, source)
    return Conversion(lowered, source.graph, canonical, trace, source.activations, arguments, again)


def _check(
    spiking: Spiking,
    calibration: Any,
    bias_correction: Any,
    max_spikes_per_step: int | None,
    **others: Any,
) -> None:
    """Raise for arguments that no model could be converted with."""
    _refuse_what_needs_calibration(calibration, bias_correction)
    NeuronChoice(spiking, _cap(spiking, max_spikes_per_step))


def _options(
    spiking: Spiking,
    max_spikes_per_step: int | None,
    scale_firing_rates: Any,
    synapse: Any,
    initial_voltage: Any,
    **others: Any,
) -> Options:
    choice = NeuronChoice(spiking, max_spikes_per_step)
    return Options(choice, scale_firing_rates, synapse, initial_voltage)


def canonicalise(source: Source, trace: Trace, max_pool: MaxPoolPolicy = "gate") -> Graph:
    """Run the standard passes and the pooling policy.

    Raises `ConversionError` for every layer that no network is known to compute.
    """
    if max_pool not in ("gate", "average"):
        raise refuse("max_pool", f'it is "gate" or "average", got {max_pool!r}')
    refusals = without_form(source.graph)
    if refusals:
        raise ConversionError(refusals)
    passes = STANDARD if max_pool == "gate" else (*STANDARD, AverageMaxPools())
    graph, lines = run_passes(source.graph, passes)
    for line in lines:
        trace.add(line.pass_name, line.layer, line.text, "exact" if line.exact else "approximated")
    return graph


def _cap(spiking: Spiking, cap: int | None) -> int | None:
    if cap is not None and spiking is not True:
        raise refuse(
            "max_spikes_per_step",
            "it caps the default spiking neurons, and spiking is not True",
            "Use spiking=True, or spiking={'relu': sw.IntegrateAndFire(max_spikes_per_step=...)}",
        )
    if cap is not None and not (is_whole(cap) and cap >= 1):
        raise refuse("max_spikes_per_step", f"it is None or a whole number from 1, got {cap!r}")
    return cap


def _refuse_what_needs_calibration(calibration: Any, bias_correction: Any) -> None:
    """Nothing is ignored silently: these arguments wait for the calibration rules."""
    if calibration is not None:
        raise refuse("calibration", "no rule that is available needs data", "Leave it out")
    if bias_correction is not None:
        raise refuse("bias_correction", "no correction is available yet", "Leave it out")
