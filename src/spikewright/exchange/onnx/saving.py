"""`sw.onnx.save_step`: a spiking network's time step as an ONNX model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, checker, helper

from spikewright._base.files import begins_with, check_target, file_kind, write_file
from spikewright._base.options import suggests_keywords
from spikewright.engines import Precision, compile_network, step_for
from spikewright.engines.program import Recording
from spikewright.errors import ExchangeError
from spikewright.exchange.onnx.functions import OnnxArray
from spikewright.exchange.onnx.step import NEXT, OnnxStep, refusals, written
from spikewright.exchange.ports import Ports, ports_of
from spikewright.graph.layers import Activation
from spikewright.lower import Lowered
from spikewright.network import Ensemble, Probe
from spikewright.running.recording import probes_of

OPSET, IR = 18, 8
"""Versions of the operators and of the format: those of ONNX 1.13, which onnxruntime 1.14 reads."""

MEAN, SPIKES = "mean ", "spikes "

STEP = file_kind("a time step that Spikewright wrote", begins_with(rb"\x08.\x12\x0bspikewright"))
"""The kind of file that is written: models whose producer is this package."""


@suggests_keywords()
def save_step(
    model: Any,
    path: str | Path,
    *,
    dt: float | None = None,
    precision: Precision = "float32",
    spikes: bool = False,
    overwrite: bool = False,
) -> None:
    """Write one time step of a conversion, or of a network made by hand, as an ONNX model.

    Its inputs are those of the network, `(batch, *shape)` in float32, the whole number `step`,
    which counts from 0 (`step number` beside an input `step`), and states in float64, whose values
    at step 0 are ignored. Of signed digits a sample, or row of a sequence, takes the steps in the
    metadata `steps`, each layer in its own of them; then outputs are complete. Its outputs are the
    network's at this step;
    `mean NAME`, an output's mean until now with its last activation; with `spikes=True`, `spikes
    LAYER`; and `next STATE`, for every state its value at the next step. The model's metadata list
    the states. `dt` is in seconds (default: the network's `dt`, else 1 ms).

    Numbers of spikes are those of the engines in the same `precision`: sums are exact. Only
    functions such as `exp` may differ in their last place. In a network made by hand constant nodes
    are the inputs, and probes the outputs. An older step is replaced, any other file only with
    `overwrite`.

    Raises `ExchangeError`, which lists what ONNX cannot say, `NetworkError` for another model,
    `BuildError` for a step that the network is not for, `ExistingFileError` for a file that is not
    replaced, and `OSError` where none can be written.
    """
    target = check_target(path, STEP, overwrite=overwrite)
    ends = ports_of(model)
    counted = {} if ends.lowered is None or not spikes else _counted(ends.lowered)
    probes = [*ends.outputs.values(), *counted.values()]
    step = step_for(ends.network, dt)
    program = compile_network(ends.network, step, 0, precision, probes)
    names = {node: name for name, node in ends.inputs.items()}
    if found := refusals(program, names):
        raise ExchangeError(found)
    made = _model(written(program, names), ends, counted)
    write_file(target, made.SerializeToString(), STEP, overwrite=overwrite)


def _counted(lowered: Lowered) -> dict[str, Probe]:
    """Probes of the layers that send spikes, by name."""
    found = {
        name: item
        for name, item in lowered.layers.items()
        if isinstance(item, Ensemble) and item.neuron_type.spiking and name in lowered.exact_values
    }
    return dict(zip(found, probes_of(found), strict=True))


def _model(step: OnnxStep, ends: Ports, counted: Mapping[str, Probe]) -> ModelProto:
    named = {**ends.outputs, **{f"{SPIKES}{name}": probe for name, probe in counted.items()}}
    by_probe = {recording.probe: recording for recording in step.program.recordings}
    for name, probe in named.items():
        value = _recorded(step, by_probe[probe], counts=name not in ends.outputs)
        step.output(name, value)
        if ends.lowered is not None and name in ends.outputs:
            _mean(step, name, value, ends.readouts.get(name), ends.lowered)
    graph = helper.make_graph(
        step.writer.nodes, "step", step.inputs, step.outputs, step.writer.constants
    )
    made = helper.make_model(
        graph, producer_name="spikewright", ir_version=IR,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )  # fmt: skip
    metadata: dict[str, Any] = {
        "dt": step.program.dt,
        "step": step.counter,
        "states": {name: f"{NEXT}{name}" for name in step.states},
    }
    if ends.lowered is not None and ends.lowered.times is not None:
        metadata["steps"] = ends.lowered.times.network_steps
    helper.set_model_props(made, {name: json.dumps(value) for name, value in metadata.items()})
    checker.check_model(made)
    return made


def _recorded(step: OnnxStep, recording: Recording, counts: bool) -> OnnxArray:
    """The values of a probe; numbers of spikes without the height that they have."""
    value = step.signals[recording.signal].values
    factor = np.asarray(recording.factor)
    whole: Any = value if counts or np.all(factor == 1.0) else value * factor
    shape = step.program.shapes[recording.signal]
    return whole + step.constant(np.zeros(shape))  # an array of its own, of the whole shape


def _mean(
    step: OnnxStep, name: str, value: OnnxArray, activation: Activation | None, lowered: Lowered
) -> None:
    """The mean of an output over its steps until now, with the activation on it.

    Of digits it is what is known of the complete value: the sum so far over all own steps, of
    sequences in the present row.
    """
    times = lowered.times
    before = step.state(f"{name}.sum", value.shape[1:], 0.0, None if times is None else times.row)
    total = before + value
    step.goes_on(before, total)
    count: Any = step.since(None) + 1.0 if times is None else float(times.steps)
    mean = total / count
    step.output(f"{MEAN}{name}", mean if activation is None else activation.of(step.xp, mean))
