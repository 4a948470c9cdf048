"""Advice: for each cause of a refusal the next move, in Python and on the command line.

Tests follow every one literally.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

_COMMAND: ContextVar[bool] = ContextVar("a command is run", default=False)


class Advice(NamedTuple):
    """The next move where `when` holds: a clause for Python, and the `call` that follows it.

    `command` is the clause on the command line where that is another, and `words` are what it adds
    there; both are empty where no command comes there.
    """

    when: str
    python: str
    call: str
    command: str = ""
    words: str = ""


@contextmanager
def on_the_command_line() -> Iterator[None]:
    """A context in which advice is that of commands."""
    token = _COMMAND.set(True)
    try:
        yield
    finally:
        _COMMAND.reset(token)


def is_command() -> bool:
    """True while a command of the command line is at work, and False in Python."""
    return _COMMAND.get()


def advise(cause: str, **facts: Any) -> str:
    """The clause of the advice for a cause, for Python or for the command that runs."""
    advice = ADVICE[cause]
    clause = advice.command if _COMMAND.get() and advice.command else advice.python
    return clause.format(**facts)


def as_options(option: str, values: Sequence[str]) -> str:
    """An option of the command line, once for each value."""
    return " ".join(f"{option} {shlex.quote(value)}" for value in values)


ADVICE: Mapping[str, Advice] = {
    "other outputs": Advice(
        "a layer or an output that cannot be read, beside outputs that can",
        "outputs={kept} cuts it",
        "sw.convert(model, example_input=x, outputs={kept})",
        "{options} cuts it",
        "{options}",
    ),
    "no other output": Advice(
        "an output that cannot be one, and is the only one",
        "Return a value that is computed from the input",
        "sw.convert(returning, example_input=x)",
    ),
    "call of a live model": Advice(
        "a layer of a live model of Keras or PyTorch that cannot be read",
        'fallback="python" runs it as it is',
        'sw.convert(model, example_input=x, fallback="python")',
    ),
    "call of a loaded model": Advice(
        "a layer of a Keras file that cannot be read",
        'Load the model and convert that: sw.convert(keras.saving.load_model("{path}"), '
        'fallback="python") runs the layer as it is',
        'sw.convert(keras.saving.load_model("{path}"), fallback="python")',
        'In Python sw.convert(keras.saving.load_model("{path}"), fallback="python") runs the layer '
        "as it is",
    ),
    "reader of a Keras layer": Advice(
        "a layer of Keras of a class, or with code, that is not known",
        "Replace it by layers, or register a reader of its class with "
        '@spikewright.frontends.keras.reads("{kind}")',
        'spikewright.frontends.keras.reads("{kind}")(reader) and sw.convert(model)',
        "Replace it by layers, or convert the model in Python and register a reader of its class",
    ),
    "reader of a PyTorch operator": Advice(
        "an operator of PyTorch that is not known",
        "Replace the layer, or register a reader of the operator with "
        '@spikewright.frontends.pytorch.reads("{target}")',
        'spikewright.frontends.pytorch.reads("{target}")(reader) and '
        "sw.convert(model, example_input=x)",
        "Replace the layer, or convert the model in Python and register a reader of the operator",
    ),
    "reader of an ONNX operator": Advice(
        "an operator of ONNX that is not known",
        "Register a reader of the operator with "
        '@spikewright.frontends.onnx.reads("{kind}", domain="{domain}")',
        'spikewright.frontends.onnx.reads("{kind}", domain="{domain}")(reader) and '
        "sw.convert(model)",
        "Convert the model in Python, and register a reader of the operator",
    ),
    "Keras code on another backend": Advice(
        "Python code in a Keras model, on a backend that does not let it be read",
        "Set KERAS_BACKEND=torch before Keras is imported, and give the live model",
        "sw.convert(model)",
    ),
    "Keras without a backend": Advice(
        "Keras whose backend is not installed",
        "Set KERAS_BACKEND to an installed one of torch, jax and tensorflow, or install one: "
        "pip install 'spikewright[keras]'",
        "sw.convert(model)",
    ),
    "example of a module": Advice(
        "a module of PyTorch without an example input",
        "Give example_input=x[:1], x being (batch, *shape)",
        "sw.convert(model, example_input=x[:1])",
    ),
    "shape of an input": Advice(
        "an input of a file whose shape is open",
        "Give example_input=x[:1], x being (batch, *shape)",
        "sw.convert(model, example_input=x[:1])",
        "Give the shape of a sample, such as --example-shape 1,28,28",
        "--example-shape 8,8,3",
    ),
    "example that the module takes": Advice(
        "an example input on which the module's own call fails",
        "Give an example that the module takes: model(*example) has to run",
        "sw.convert(model, example_input=right)",
    ),
    "numbers of rows": Advice(
        "an example of a module with a table that is no whole numbers",
        "Give it the numbers of rows as whole numbers: example_input=x.long()",
        "sw.convert(model, example_input=x.long())",
    ),
    "absent arguments": Advice(
        "an example without an argument that the module's code needs",
        "It was called without {names}: example_input may hold arguments by name",
        "sw.convert(model, example_input=named)",
    ),
    "branches": Advice(
        "a module whose code branches on values",
        "Write the choice with torch.where, which computes both sides",
        "sw.convert(chosen, example_input=x)",
    ),
    "part of a module": Advice(
        "a module whose code cannot be traced, beside parts that can",
        "Give a part of it that is a network alone, such as {part}",
        "sw.convert({module}, example_input=x)",
    ),
    "call of a part": Advice(
        "a part of a module whose code cannot be traced",
        'fallback="python" calls that part as it is',
        'sw.convert(model, example_input=x, fallback="python")',
    ),
    "quantized weights": Advice(
        "a Keras layer whose weights are quantized in a form that is not known",
        'Convert the model from before model.quantize("{mode}")',
        "sw.convert(before)",
    ),
    "data for a rule": Advice(
        "a rule for firing rates without data",
        "Give some hundred samples: calibration=x",
        "sw.convert(model, spiking=True, scale_firing_rates=sw.Percentile(), calibration=x)",
        "Give a file with some hundred samples: --calibration data.npz",
        "--calibration data.npz",
    ),
    "rates that nothing chose": Advice(
        "a spiking network without samples or rates",
        "Let samples choose: sw.convert(model, {example}spiking=True, calibration=x, steps=8)",
        "sw.convert(model, {example}spiking=True, calibration=x, steps=8)",
        "Let samples choose: --calibration data.npz --steps 8",
        "--calibration data.npz --steps 8",
    ),
    "few spikes": Advice(
        "a run in which neurons hardly spike",
        "Let a rule choose the firing rates for that many steps: sw.convert(model, spiking=True, "
        "scale_firing_rates=sw.MinimumError(steps={steps}, spikes_per_step=1), calibration=x); or "
        "give a larger scale_firing_rates, or more steps",
        "sw.convert(model, spiking=True, scale_firing_rates=sw.MinimumError(steps={steps}, "
        "spikes_per_step=1), calibration=x)",
        "Let a rule choose the firing rates for that many steps, with --scale "
        "minimum-error:{steps},spikes_per_step=1 --calibration data.npz; or give a larger --scale, "
        "or more --steps",
        "--scale minimum-error:{steps},spikes_per_step=1 --calibration data.npz",
    ),
}
"""The advice for every cause."""
