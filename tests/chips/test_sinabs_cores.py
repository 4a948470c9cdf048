"""Speck's verdicts beside those of sinabs, which runs in an environment of its own.

    python -m venv FOLDER/sinabs && FOLDER/sinabs/bin/pip install sinabs
    SPIKEWRIGHT_EMULATORS=FOLDER pytest -m emulators

sinabs counts memories and finds cores by itself. What the chip's driver checks of a finished
configuration (kernels, strides, destinations) is not asked here.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from test_published_placements import _basics, _n_mnist

import spikewright as sw
from vendors import made_by

torch = pytest.importorskip("torch")
nn = torch.nn
CHILD = Path(__file__).with_name("cores_in_sinabs.py")


def convolutions(*channels: int) -> Any:
    """Kernels of 3 x 3 that keep the size."""
    layers = []
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.ReLU()]
    return nn.Sequential(*layers)


FIT: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "N-MNIST of sinabs' quick start": (_n_mnist, (2, 34, 34)),
    "MNIST of sinabs' basics": (_basics, (1, 28, 28)),
    # 64 x 2^(4 + 6) words of weights and 64 x 16 x 16 of neurons: all that cores 5 and 6 have
    "two layers that fill a core": (lambda: convolutions(2, 64, 64, 64), (2, 16, 16)),
    "nine layers": (lambda: convolutions(2, *[4] * 9), (2, 8, 8)),
}
NOT: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "three layers that fill a core": (lambda: convolutions(2, 64, 64, 64, 64), (2, 16, 16)),
    "one channel more": (lambda: convolutions(2, 65, 64, 64), (2, 16, 16)),
    "one row more": (lambda: convolutions(2, 64, 64, 64), (2, 17, 16)),
    "ten layers": (lambda: convolutions(2, *[4] * 10), (2, 8, 8)),
    "the layer of sinabs' overview": (lambda: convolutions(16, 32), (16, 64, 64)),
}


def asked(make: Callable[[], Any], shape: tuple[int, ...], folder: Path) -> tuple[Any, Any]:
    """Our verdict, and what sinabs answers."""
    torch.manual_seed(0)
    torch.save(model := make(), folder / "model.pt")
    fit = sw.convert(
        model,
        example_input=torch.zeros(1, *shape),
        spiking={"relu": sw.IntegrateAndFire(voltage_floor=1)},
    ).fits("speck")
    return fit, made_by("sinabs", CHILD, folder, model=str(folder / "model.pt"), shape=shape)


@pytest.mark.emulators
@pytest.mark.parametrize("name", FIT)
def test_what_fits_has_cores_in_sinabs(name: str, tmp_path: Path) -> None:
    """sinabs finds a core for every layer: the one that we find."""
    fit, found = asked(*FIT[name], tmp_path)
    assert fit.verdict == "fits"
    assert [(core,) for core in found["cores"]] == [layer.numbers for layer in fit.layers]


@pytest.mark.emulators
@pytest.mark.parametrize("name", NOT)
def test_what_does_not_fit_has_none(name: str, tmp_path: Path) -> None:
    """sinabs finds no cores for what we refuse."""
    fit, found = asked(*NOT[name], tmp_path)
    assert fit.verdict == "does not fit"
    assert "could not be mapped to any core" in str(found["refusal"])
