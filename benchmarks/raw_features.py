"""Features of any size: networks that hold their features' scaler, and sums that span 24 decades.

    python -m benchmarks.raw_features [--samples 10000] [--document]

Small classifiers are trained on standardised features; then the scaler is folded into the first
layer, in float32, so that the network reads features as they were measured: wine and breast cancer
(scikit-learn), and two synthetic sets whose three features have very different spreads. A last row
has random weights and inputs from 1e-12 to 1e12. Each row is evaluated in float64, in PyTorch
(float32), and as a rate network on the native engine. Printed are the largest error of an output,
the same as a part of what rounding may make of it (the bound of each sum, carried through the
layers), and how many of the native engine's decisions differ from float64's.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_wine

import spikewright as sw
from benchmarks.marked import add_document, write_section
from benchmarks.results import markdown_table

SPREADS = {"spreads 1, 3e4, .01": (1.0, 3e4, 0.01), "spreads .05, 1e6, 1": (0.05, 1e6, 1.0)}
UNIT = 2.0**-24
HIDDEN, EPOCHS = 32, 300
HEAD = ("features", "largest error: PyTorch", "native", "of its bound: PyTorch", "native",
        "other decisions")  # fmt: skip


class Row(NamedTuple):
    """A network, its inputs, and the number of classes it decides between (0: none)."""

    name: str
    model: torch.nn.Sequential
    x: NDArray[np.float32]
    decides: bool


def rows(samples: int) -> Iterator[Row]:
    """All rows, the synthetic ones of this many samples."""
    wine, cancer = load_wine(), load_breast_cancer()
    yield _classifier("wine", wine.data, wine.target)
    yield _classifier("breast cancer", cancer.data, cancer.target)
    rng = np.random.default_rng(0)
    for name, spread in SPREADS.items():
        features = rng.standard_normal((samples, 3))
        labels = np.argmax(np.sin(2.0 * features @ rng.standard_normal((3, 3))), axis=1)
        offsets = rng.standard_normal(3)
        yield _classifier(name, (features + offsets) * spread, labels)
    size = 64
    model = torch.nn.Sequential(torch.nn.Linear(size, size))
    with torch.no_grad():
        model[0].weight[:] = torch.from_numpy(_decades(rng, (size, size)))
        model[0].bias.zero_()
    yield Row("1e-12 to 1e12", model, _decades(rng, (samples, size)), False)


def _decades(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    signs = rng.choice([-1.0, 1.0], shape)
    return (signs * 10.0 ** rng.uniform(-12.0, 12.0, shape)).astype(np.float32)


def _classifier(name: str, features: NDArray, labels: NDArray) -> Row:
    """Trained on standardised features; the scaler is folded into the first layer."""
    mean, spread = features.mean(axis=0), features.std(axis=0)
    torch.manual_seed(0)
    classes = int(labels.max()) + 1
    model = torch.nn.Sequential(
        torch.nn.Linear(features.shape[1], HIDDEN),
        torch.nn.ReLU(),
        torch.nn.Linear(HIDDEN, classes),
    )
    x = torch.from_numpy(((features - mean) / spread).astype(np.float32))
    y = torch.from_numpy(labels.astype(np.int64))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    with torch.no_grad():
        weight = model[0].weight.double().numpy() / spread
        bias = model[0].bias.double().numpy() - weight @ mean
        model[0].weight[:] = torch.from_numpy(weight.astype(np.float32))
        model[0].bias[:] = torch.from_numpy(bias.astype(np.float32))
    return Row(name, model.eval(), features.astype(np.float32), True)


def exact(model: torch.nn.Sequential, x: NDArray) -> tuple[NDArray, NDArray]:
    """Outputs in extended precision, and the bound of rounding of each.

    The bound is `n u` times the magnitudes of the terms of each sum, carried through the layers.
    """
    value, bound = x.astype(np.longdouble), np.zeros(x.shape)
    for layer in model:
        if isinstance(layer, torch.nn.Linear):
            weight = layer.weight.detach().numpy().astype(np.longdouble)
            bias = layer.bias.detach().numpy().astype(np.longdouble)
            sizes = np.abs(value) @ np.abs(weight).T + np.abs(bias)
            bound = bound @ np.abs(weight).T + (weight.shape[1] + 2) * UNIT * sizes
            value = value @ weight.T + bias
        else:
            value = np.maximum(value, 0.0)
    return value, bound


def measured(row: Row) -> list[str]:
    """A row of the table."""
    wanted, bound = exact(row.model, row.x)
    with torch.no_grad():
        theirs = row.model(torch.from_numpy(row.x)).numpy()
    conversion = sw.convert(row.model, example_input=row.x[:1])
    ours = conversion.run(row.x, steps=1, engine="native", progress=False).predict()
    errors = [np.abs(y - wanted) for y in (theirs, ours)]
    other = np.argmax(ours, axis=1) != np.argmax(wanted, axis=1)
    return [
        row.name,
        *(f"{float(np.max(error)):.1e}" for error in errors),
        *(f"{float(np.max(error / bound)):.1%}" for error in errors),
        str(int(other.sum())) if row.decides else "-",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=10_000)
    add_document(parser, "guarantees.md")
    arguments = parser.parse_args()
    lines = [measured(row) for row in rows(arguments.samples)]
    write_section("features", markdown_table(list(HEAD), lines), arguments.document)


if __name__ == "__main__":
    main()
