"""Budgets and the spikes sent under them: four networks, budgets, two starts, with and without cap.

    python -m benchmarks.budgets --mnist path/to/mnist.npz

Networks are the one that is shipped (handwritten digits of 8 x 8 pixels), the published one of
`benchmarks.published_curve`, a residual one with batch normalisation, and one with ReLU6, hard
swish and GELU, the last three trained on MNIST in a few minutes and cached outside the repository.
Calibrated on 256 images; printed is what is sent in 30 steps, as a share of the budget, on these
images and on 1000 others. The exit code says whether each is kept: within 5 % on the former and
10 % on the latter, or refused with the least possible.

The file `mnist.npz` holds x_train, y_train, x_test, y_test; with internet access
`keras.datasets.mnist.load_data(path)` fetches the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import spikewright as sw
from benchmarks import published_curve
from benchmarks.results import markdown_table
from benchmarks.workloads import CACHE
from spikewright import demo
from spikewright.errors import ConversionError

STEPS = 30
CALIBRATED, OTHERS = 256, 1000
STARTS, CAPS = ("half", "zero"), (None, 1)
WITHIN = {"calibration data": 0.05, "other data": 0.10}
_TRAINED, _EPOCHS, _BATCH = 12_000, 2, 100


def residual() -> nn.Module:
    """Two blocks with shortcuts and batch normalisation, a mean over the image."""
    return nn.Sequential(
        _conv(1, 16, 2),
        nn.ReLU(),
        _Block(16, 16, 1),
        _Block(16, 32, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def curved() -> nn.Module:
    """ReLU6, hard swish and GELU."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1),
        nn.ReLU6(),
        nn.Conv2d(16, 32, 3, 2, 1),
        nn.Hardswish(),
        nn.Flatten(),
        nn.Linear(32 * 49, 64),
        nn.GELU(),
        nn.Linear(64, 10),
    )


class _Block(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = _conv(inner, outer, stride), _conv(outer, outer, 1)
        same = stride == 1 and inner == outer
        self.shortcut = nn.Identity() if same else nn.Conv2d(inner, outer, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shortcut and two convolutions."""
        return torch.relu(self.shortcut(x) + self.second(torch.relu(self.first(x))))


def _conv(inner: int, outer: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inner, outer, 3, stride, 1), nn.BatchNorm2d(outer))


@dataclass(frozen=True)
class Case:
    """A network, the budgets to ask for, and images to calibrate on and others."""

    name: str
    budgets: tuple[int, ...]
    source: sw.Conversion
    calibration: NDArray
    others: NDArray


def cases(data: Mapping[str, NDArray], cache: Path) -> Iterator[Case]:
    """The four networks."""
    (x, _), (held, _) = demo.digits()
    yield _case("digits", (30, 100, 300, 1000), sw.convert(demo.MODEL), np.concatenate([x, held]))
    images = data["x_test"].astype(np.float32)
    budgets = (300, 1000, 3000, 10_000)
    published = published_curve.trained(dict(data), cache, 0)
    yield _case("published", budgets, sw.convert(published), images[..., None])
    for make in (residual, curved):
        model = trained(make, data, cache)
        x = images[:, None] / 255
        yield _case(make.__name__, budgets, sw.convert(model, example_input=x[:1]), x)


def _case(name: str, budgets: tuple[int, ...], source: sw.Conversion, images: NDArray) -> Case:
    """Images are drawn: files may have an order."""
    drawn = images[np.random.default_rng(0).permutation(len(images))]
    others = drawn[CALIBRATED : CALIBRATED + OTHERS]
    return Case(name, budgets, source, drawn[:CALIBRATED], others)


def trained(make: Callable[[], nn.Module], data: Mapping[str, NDArray], cache: Path) -> nn.Module:
    """A network after some minutes of Adam, from the cache where it is there."""
    torch.manual_seed(0)
    model, path = make(), cache / f"budgets_{make.__name__}.pt"
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    x = torch.from_numpy(data["x_train"][:_TRAINED, None].astype(np.float32) / 255)
    y = torch.from_numpy(data["y_train"][:_TRAINED].astype(np.int64))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(_EPOCHS):
        for batch in torch.randperm(len(x)).split(_BATCH):
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    cache.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), path)
    return model.eval()


def measured(case: Case, budget: float, **arguments: Any) -> dict[str, float] | str:
    """The spikes sent as a share of the budget, by the data; or the reason of a refusal."""
    rule = sw.EnergyBudget(STEPS, spikes=float(budget))
    try:
        conversion = case.source.replace(
            spiking=True, scale_firing_rates=rule, calibration=case.calibration, **arguments
        )
    except ConversionError as error:
        return str(error)
    return {
        what: _sent(conversion, x) / budget
        for what, x in zip(WITHIN, (case.calibration, case.others), strict=True)
    }


def _sent(conversion: sw.Conversion, x: NDArray) -> float:
    run = conversion.run(x, STEPS, progress=False)
    return float(sum(counts.mean() for counts in run.spike_counts().values()))


def is_kept(found: dict[str, float] | str) -> bool:
    """True for a budget that is kept, or refused with the least possible."""
    if isinstance(found, str):
        return "the least possible is" in found
    return all(abs(found[what] - 1) <= within for what, within in WITHIN.items())


def report(cases: Iterator[Case]) -> bool:
    """Print a row for each network and budget; returns whether all budgets are kept."""
    settings = [dict(zip(("initial_voltage", "max_spikes_per_step"), each, strict=True))
                for each in product(STARTS, CAPS)]  # fmt: skip
    kept, rows = True, []
    for case in cases:
        for budget in case.budgets:
            row = [f"{case.name}, {budget}"]
            for setting in settings:
                found = measured(case, budget, **setting)
                kept &= is_kept(found)
                row.append(found if isinstance(found, str) else _shares_text(found))
            rows.append(row)
            print(" | ".join(row), flush=True)
    head = [f"{s}, {'no cap' if cap is None else f'cap {cap}'}" for s, cap in product(STARTS, CAPS)]
    print(f"\n{markdown_table(['network, spikes', *head], rows)}")
    return kept


def _shares_text(found: Mapping[str, float]) -> str:
    return " / ".join(f"{share:.1%}" for share in found.values())


def main() -> None:
    """Train or load, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mnist", type=Path, required=True, help="mnist.npz")
    parser.add_argument("--cache", type=Path, default=CACHE)
    arguments = parser.parse_args()
    with np.load(arguments.mnist) as data:
        raise SystemExit(not report(cases({name: data[name] for name in data}, arguments.cache)))


if __name__ == "__main__":
    main()
