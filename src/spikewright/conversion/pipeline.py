"""The whole line, from a trained model to a network: the one place that knows it all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from spikewright._base.keywords import spelled
from spikewright.conversion import Conversion
from spikewright.conversion.arguments import FROM_ELSEWHERE, Wanted
from spikewright.conversion.by_layer import in_names
from spikewright.conversion.making import Model
from spikewright.frontends import Reading
from spikewright.frontends.outputs import wanted_outputs
from spikewright.lower import Spiking
from spikewright.passes import MaxPoolForm
from spikewright.quantising import Quantised


@spelled(FROM_ELSEWHERE)
def convert(
    model: Any,
    *,
    spiking: Spiking = False,
    scale_firing_rates: Any = None,
    synapse: Any = None,
    initial_voltage: Any = None,
    calibration: Any = None,
    example_input: Any = None,
    max_pool: MaxPoolForm = "gate",
    max_spikes_per_step: int | None = None,
    weights: Quantised | None = None,
    bias_correction: Any = None,
    fission: Any = None,
    sequence_step: int | None = None,
    outputs: Sequence[str] | None = None,
    fallback: Literal["python"] | None = None,
) -> Conversion:
    """Turn a trained model into a network.

    `model` is a Keras 3 model, a `torch.nn.Module` (with `example_input`, batch axis first), an
    ONNX `ModelProto`, or a path to a `.keras`, `.h5`, `.onnx` or `.pt2` file. A live model is left
    as it was.

    * `spiking`: False for the rate network, which computes exactly the same as the model; True for
      its spiking form; `{layer: neuron type}` chooses the form. A key of this and of every dict by
      layer is a layer's name, the layer itself (`model.layers[0]`, `model.conv1`), a module or
      model around layers, an activation or a neuron type; the most specific one wins, a layer's
      name first. `"default"` means all other layers; those that no key means have the default.
    * `scale_firing_rates`: a number, a rule such as `sw.MinimumError(steps=8)`, or
      `{layer: number, array or rule}`. None is 1, or what a layer that rounds brings along:
      1 / (threshold dt) at dt = 1 ms.
    * `synapse`: None, seconds (`Lowpass`), a `Synapse`, or `{layer: ...}`, on the values that leave
      neurons.
    * `initial_voltage`: "zero", "half", "uniform", an array in spikes, or `{layer: ...}`; or
      `sw.VoltageCorrection(steps)`, measured on the calibration data. None is "half", or the start
      of a layer that rounds.
    * `calibration`: data for rules and corrections, an array `(batch, *shape)`, `{name: array}` or
      an iterable of batches or of (x, y) pairs; for rules also the result of
      `Conversion.calibrate`, or a file of it.
    * `bias_correction`: None, `sw.BiasCorrection(steps)`, `sw.StepCorrection(steps)`, or the values
      to add, `{layer: array}`. An array with one axis more than the layer's holds a value for each
      of the first steps, `(steps, ...)`; later steps have none.
    * `fission`: None, `sw.Fission(steps, extra=0.5)`, measured on the calibration data, or numbers
      of neurons for one, `{layer: (channels,)}`: channels that round badly become several, which
      share their work. Everything else that is given by layer is for the channels of the model;
      copies have what their channel has, but starts apart.
    * `max_pool`: "gate" (its mean is the maximum of the means) or "average" (changes the outputs).
    * `max_spikes_per_step`: the most spikes, of either sign, that a neuron may send in one step (1:
      one-spike hardware), whatever its type; the rest waits for the next. Or None.
    * `weights`: None for those of the model, or `sw.Quantised(bits=8)`: weights of few bits, and
      integrate-and-fire neurons that compute in whole numbers within the bounds of a chip.
    * `sequence_step`: None, where every step of a recurrent layer's sequence has neurons of its
      own, or a number of simulation steps. Then all steps of the sequence use the same neurons, one
      after the other, for this number of simulation steps each: the layer becomes recurrent
      connections, and time is that of the sequence.
    * `outputs`: None for the model's own, or the names of outputs, layers (as `spikewright inspect`
      lists them) or ONNX values to keep as outputs; layers that lead only elsewhere are cut,
      unseen.
    * `fallback`: None, where a layer that cannot be read is refused, or "python": it is a node that
      calls the layer itself, in its framework, at every step. Only the values of such a node are
      known, and no file holds it; the trace names it.

    Raises `ReadError` when the model cannot be read or has no such output, `ConversionError`
    listing every layer or argument that cannot be honoured.
    """
    arguments = {
        "spiking": spiking,
        "scale_firing_rates": scale_firing_rates,
        "synapse": synapse,
        "initial_voltage": initial_voltage,
        "calibration": calibration,
        "max_pool": max_pool,
        "max_spikes_per_step": max_spikes_per_step,
        "weights": weights,
        "bias_correction": bias_correction,
        "fission": fission,
        "sequence_step": sequence_step,
        "outputs": outputs,
        "fallback": fallback,
    }
    reading = Reading(model, example_input)
    named = in_names(arguments, reading.named)
    wanted = Wanted({**named, "outputs": wanted_outputs(named["outputs"])})
    return Model(Conversion, reading(**wanted.form), reading).converted(wanted)
