"""Errors of recurrent layers by the number of steps: unrolled, and step by step.

    python -m benchmarks.sequence_law [--document]

A layer of 12 units of each kind, with random weights, over sequences of 16 steps, scale 200. The
error is that of all outputs, at every step of the source, relative to the source's (2-norm).
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

import spikewright as sw
from benchmarks.marked import add_document, write_section
from benchmarks.results import markdown_table
from benchmarks.timing import with_threads

LENGTH, FEATURES, UNITS, SAMPLES, SCALE = 16, 3, 12, 4, 200
STEPS = (16, 64, 256, 1024)
KINDS = {
    "tanh": lambda: torch.nn.RNN(FEATURES, UNITS, batch_first=True),
    "ReLU": lambda: torch.nn.RNN(FEATURES, UNITS, nonlinearity="relu", batch_first=True),
    "GRU": lambda: torch.nn.GRU(FEATURES, UNITS, batch_first=True),
    "LSTM": lambda: torch.nn.LSTM(FEATURES, UNITS, batch_first=True),
}


class Outputs(torch.nn.Module):
    """The outputs of a recurrent layer, without its last state."""

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of `(batch, time, features)`."""
        outputs: torch.Tensor = self.layer(x)[0]
        return outputs


def error(kind: str, steps: int, in_turn: bool) -> float:
    """The relative error of a kind after some steps, or after as many for each of its own."""
    torch.manual_seed(0)
    model = Outputs(KINDS[kind]()).eval()
    x = torch.randn(SAMPLES, LENGTH, FEATURES)
    conversion = sw.convert(
        model,
        example_input=x,
        spiking=True,
        scale_firing_rates=SCALE,
        sequence_step=steps if in_turn else None,
    )
    run = conversion.run(x.numpy(), None if in_turn else steps, progress=False)
    wanted = model(x).detach().numpy()
    return float(np.linalg.norm(run.predict() - wanted) / np.linalg.norm(wanted))


def row(kind: str, in_turn: bool) -> list[str]:
    """The errors of a kind, and their slope in the logarithms."""
    errors = [error(kind, steps, in_turn) for steps in STEPS]
    slope = np.polyfit(np.log(STEPS), np.log(errors), 1)[0]
    form = "step by step" if in_turn else "unrolled"
    return [f"{kind}, {form}", *(f"{value:.2g}" for value in errors), f"{slope:.2f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_document(parser, "sequences.md")
    given = parser.parse_args()
    with_threads(1)
    rows = [row(kind, in_turn) for in_turn in (False, True) for kind in KINDS]
    head = ["steps", *map(str, STEPS), "slope"]
    write_section("sequences", markdown_table(head, rows), given.document)


if __name__ == "__main__":
    main()
