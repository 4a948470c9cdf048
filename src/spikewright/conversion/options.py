"""Options of conversions: how spikes are made, and what is read of a model.

`conversion/arguments.py` checks them, since saved conversions and `replace` bring them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypedDict

from spikewright._base.options import Option
from spikewright.choosing.coding import Coding
from spikewright.lower import Spiking
from spikewright.passes import MaxPoolForm
from spikewright.quantising import Quantised


class CommonOptions(TypedDict, total=False):
    """Options of a conversion that all settings of a study share."""

    initial_voltage: Annotated[
        Any,
        Option(
            None,
            '"zero", "half", "uniform", an array in spikes, or `{layer: ...}`; or '
            '`sw.VoltageCorrection(steps)`, measured on the calibration data. None is "half", or '
            "the start of a layer that rounds.",
        ),
    ]
    calibration: Annotated[
        Any,
        Option(
            None,
            "Data for rules and corrections, an array `(batch, *shape)`, `{name: array}` or an "
            "iterable of batches or of (x, y) pairs; for rules also the result of "
            "`Conversion.calibrate`, or a file of it.",
        ),
    ]
    max_spikes_per_step: Annotated[
        int | None,
        Option(
            None,
            "The most spikes, of either sign, that a neuron may send in one step; the rest waits "
            "for the next step. 1 for hardware with one-bit spikes (default: no limit).",
        ),
    ]
    weights: Annotated[
        Quantised | None,
        Option(
            None,
            "None for those of the model, or `sw.Quantised(bits=8)`: weights of few bits, and "
            "integrate-and-fire neurons that compute in whole numbers within the bounds of a chip.",
        ),
    ]
    bias_correction: Annotated[
        Any,
        Option(
            None,
            "None, `sw.BiasCorrection(steps)`, `sw.StepCorrection(steps)`, or the values to add, "
            "`{layer: array}`. An array with one axis more than the layer's holds a value for each "
            "of the first steps, `(steps, ...)`; later steps have none.",
        ),
    ]


class NeuronOptions(TypedDict, total=False):
    """Neurons, the code of their values, their scales and the filters behind them."""

    spiking: Annotated[
        Spiking,
        Option(
            False,
            "False for the rate network, which computes exactly the same as the model; True for "
            "its spiking form; `{layer: neuron type}` chooses the form. A key of this and of every "
            "dict by layer is a layer's name, the layer itself (`model.layers[0]`, `model.conv1`), "
            "a module or model around layers, an activation or a neuron type; the most specific "
            'one wins, a layer\'s name first. `"default"` means all other layers; those that no '
            "key means have the default.",
        ),
    ]
    coding: Annotated[
        Coding | None,
        Option(
            None,
            "The code of values in spikes: None or `sw.RateCode(steps)` for firing rates, or "
            "`sw.SignedDigits(steps)`: digits of a binary number, one spike of either sign a "
            "neuron and step, each layer some steps behind its inputs. It chooses neurons, scales "
            "and the steps of runs.",
        ),
    ]
    scale_firing_rates: Annotated[
        Any,
        Option(
            None,
            "A number, a rule such as `sw.MinimumError(steps=8)`, or `{layer: number, array or "
            "rule}`. None is 1, or what a layer that rounds brings along: 1 / (threshold dt) at "
            "dt = 1 ms.",
        ),
    ]
    synapse: Annotated[
        Any,
        Option(
            None,
            "None, seconds (`Lowpass`), a `Synapse`, or `{layer: ...}`, on the values that leave "
            "neurons.",
        ),
    ]


class StepsOption(TypedDict, total=False):
    """The number of steps, from which all other settings can be chosen."""

    steps: Annotated[
        int | None,
        Option(
            None,
            "Steps of a layer, for which all else is chosen on the calibration data: signed "
            "digits or, where a layer or an argument rules these out, one spike a step with the "
            "scale of smallest error and corrected means. Runs then take this many steps.",
        ),
    ]


class SpikeOptions(NeuronOptions, CommonOptions, total=False):
    """Options of the spiking form: neurons, scales, starts and corrections."""


class ModelOptions(TypedDict, total=False):
    """The model, or a part of it."""

    example_input: Annotated[
        Any, Option(None, "A batch for a model that does not state the shapes of its inputs.")
    ]
    outputs: Annotated[
        Sequence[str] | None,
        Option(
            None,
            "Outputs, layers (as `spikewright inspect` lists them) or ONNX values to keep as "
            "outputs; layers that lead only elsewhere are cut without being read (default: the "
            "model's own outputs).",
        ),
    ]


class ReadOptions(ModelOptions, total=False):
    """The form in which a model is read."""

    max_pool: Annotated[
        MaxPoolForm,
        Option("gate", "Max pooling: gate has the right mean (default), average is inexact."),
    ]
    sequence_step: Annotated[
        int | None,
        Option(
            None,
            "Simulation steps for each step of a recurrent layer's sequence. The same neurons then "
            "take all steps of the sequence, one after the other: the layer becomes recurrent "
            "connections, and the sequence determines how long a run takes (default: "
            "neurons of its own for every step of the sequence).",
        ),
    ]
    fallback: Annotated[
        Literal["python"] | None,
        Option(
            None,
            'None, where a layer that cannot be read is refused, or "python": it is a node that '
            "calls the layer itself, in its framework, at every step. Only the values of such a "
            "node are known, and no file holds it; the trace names it.",
        ),
    ]


class GivenOptions(SpikeOptions, ReadOptions, total=False):
    """The options of a conversion that commands have too, whose steps are those of runs."""


class ConvertOptions(GivenOptions, StepsOption, total=False):
    """All options of a conversion."""
