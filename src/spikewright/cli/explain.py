"""`spikewright explain`: see `spikewright.showing.explain`."""

from __future__ import annotations

import click

from spikewright.cli import options
from spikewright.cli.output import emit, pipes, tell
from spikewright.engines import Precision
from spikewright.showing.explain import DT, STEPS, WorkedExample, worked_example

_MEAN = 10  # steps over which the mean is shown: one second


@click.command()
@click.option(
    "--scale",
    "scales",
    type=float,
    multiple=True,
    default=(1.0,),
    show_default="1",
    help="Firing-rate scale; repeat it for several.",
)
@options.engine
@options.precision
@options.as_json
def explain(scales: tuple[float, ...], engine: str, precision: Precision, as_json: bool) -> None:
    """Show on two neurons the effect of a firing-rate scale, and the values that stay the same.

    A constant input of 1 reaches A with weight 1, and A reaches B with weight 2.
    """
    rate, *spiking = (
        worked_example(scale, engine=engine, precision=precision) for scale in (None, *scales)
    )
    if as_json:
        emit({"dt": DT, "steps": STEPS, "examples": [_plain(e) for e in (rate, *spiking)]})
        return
    tell("input --(x1)--> A --(x2)--> B --> output")
    tell(f"constant input 1, dt = {DT} s, no synapse, v(0) = 0\n")
    steps = ("step", [str(step) for step in range(1, STEPS + 1)])
    rows = [steps, *(row for example in (rate, *spiking) for row in example.rows)]
    tell(pipes([name, *cells] for name, cells in rows))
    tell("\nWhat changed (A and B alike):")
    tell(pipes(_changed([rate, *spiking])))
    first, second = rate.weights
    same = all(example.weights == rate.weights for example in spiking)
    tell(
        f"\nWhat did not: the weights are {first:g} and {second:g}"
        f"{' at every scale' if same else ' in the rate network alone'}; means over one second:"
    )
    tell(pipes(_means([rate, *spiking])))


def _name(example: WorkedExample) -> str:
    return "rate" if example.scale is None else f"s = {example.scale:g}"


def _changed(examples: list[WorkedExample]) -> list[list[str]]:
    return [
        ["", *map(_name, examples)],
        ["gain", *(f"{e.gain:g}" for e in examples)],
        ["amplitude", *(f"{e.amplitude:g}" for e in examples)],
        ["max rate (Hz)", *(f"{e.max_rate:g}" for e in examples)],
    ]


def _means(examples: list[WorkedExample]) -> list[list[str]]:
    return [
        ["", *map(_name, examples)],
        ["mean of A", *(f"{e.a[:_MEAN].mean():.4g}" for e in examples)],
        ["mean of B", *(f"{e.b[:_MEAN].mean():.4g}" for e in examples)],
    ]


def _plain(example: WorkedExample) -> dict[str, object]:
    return {
        "scale": example.scale,
        "a": example.a.tolist(),
        "b": example.b.tolist(),
        "gain": example.gain,
        "amplitude": example.amplitude,
        "max_rate_hz": example.max_rate,
        "weights": list(example.weights),
    }
