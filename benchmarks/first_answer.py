"""The first answer that ten networks of users get: what the one-line default loses.

    python -m benchmarks.first_answer --fashion-mnist fashion_mnist.npz [--seconds 60] [--steps 8]

Ten networks, each trained here for so many seconds, are converted by `sw.convert(model,
example_input=..., spiking=True, calibration=x, steps=8)` and nothing else. Printed: points lost on
test samples, or of networks that answer values their distance from the source's (root mean square,
in deviations of the source's outputs) and how many warnings came, then both of `spiking=True` alone
in 32 steps; steps of the network, spikes, and the code that was chosen.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer
from torch import nn

import spikewright as sw
from benchmarks.image_sets import load
from benchmarks.results import markdown_table
from benchmarks.timing import with_threads
from spikewright.errors import ConversionWarning

SEEN = 256
TESTED = 1000
BATCH = 64


class Residual(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers = [nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)]
        self.layers = nn.Sequential(
            *layers,
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum of both paths, rectified."""
        return torch.relu(x + self.layers(x))


class Recurrent(nn.Module):
    """A recurrent layer over the rows of an image, and a dense one behind its last step."""

    def __init__(self, kind: type[nn.GRU] | type[nn.LSTM]) -> None:
        super().__init__()
        self.rows, self.out = kind(28, 64, batch_first=True), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of classes."""
        scores: torch.Tensor = self.out(self.rows(x[:, 0])[0][:, -1])
        return scores


class Transformer(nn.Module):
    """Attention between the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.place = nn.Linear(28, 48), nn.Parameter(torch.zeros(28, 48))
        layer = nn.TransformerEncoderLayer(48, 4, 96, 0.0, "gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(48, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of classes."""
        scores: torch.Tensor = self.out(self.layers(self.embed(x[:, 0]) + self.place).mean(1))
        return scores


class UNet(nn.Module):
    """Down, up and a bridge: it takes the noise out of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU())
        self.low = nn.Sequential(
            nn.MaxPool2d(2), nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(24, 12, 2, stride=2), nn.ReLU(),
        )  # fmt: skip
        self.last = nn.Conv2d(24, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The image."""
        first = self.first(x)
        image: torch.Tensor = self.last(torch.cat([first, self.low(first)], 1))
        return image


def _mlp(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for before, behind in pairwise(sizes[:-1]):
        layers += [nn.Linear(before, behind), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))


def _cnn() -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, behind in ((1, 16), (16, 32)):
        layers += [nn.Conv2d(before, behind, 3, padding=1), nn.BatchNorm2d(behind), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 49, 10))


def _separable() -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU6()]
    for before, behind in ((16, 32), (32, 64)):
        layers += [nn.Conv2d(before, before, 3, 1, 1, groups=before), nn.BatchNorm2d(before)]
        layers += [nn.ReLU6(), nn.Conv2d(before, behind, 1), nn.BatchNorm2d(behind), nn.ReLU6()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def _residual() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), Residual(16), Residual(16),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "MLP": lambda: _mlp(784, 256, 128, 10),
    "CNN, max pooling, batch norm": _cnn,
    "separable": _separable,
    "residual": _residual,
    "GRU": lambda: Recurrent(nn.GRU),
    "LSTM": lambda: Recurrent(nn.LSTM),
    "transformer": Transformer,
    "U-Net": UNet,
    "autoencoder": lambda: _mlp(784, 128, 32, 128, 784),
    "tabular": lambda: _mlp(30, 64, 32, 2),
}
VALUES = {"U-Net", "autoencoder"}
"""Networks that answer values."""


@dataclass(frozen=True)
class Task:
    """Samples and what is wanted of them; labels, or values."""

    x: torch.Tensor
    y: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor


def task(name: str, images: Path) -> Task:
    """The samples of a network."""
    rng = np.random.default_rng(0)
    if name == "tabular":
        x, y = load_breast_cancer(return_X_y=True)
        x, order = (x - x.mean(0)) / x.std(0), rng.permutation(len(x))
        parts = (x[order[:400]], y[order[:400]], x[order[400:]], y[order[400:]])
    else:
        data = load(images)
        x, x_test = (a[:, None, :, :, 0] / 255.0 for a in (data.x_train, data.x_test[:TESTED]))
        parts = (x, data.y_train, x_test, data.y_test[:TESTED])
    found = Task(*(torch.from_numpy(np.asarray(a, np.float32)) for a in parts))
    if name not in VALUES:
        return Task(found.x, found.y.long(), found.x_test, found.y_test.long())
    noise = 0.2 if name == "U-Net" else 0.0
    given, tested = (a + noise * torch.randn(a.shape) for a in (found.x, found.x_test))
    shaped = (a if name == "U-Net" else a.flatten(1) for a in (found.x, found.x_test))
    wanted, right = shaped
    return Task(given, wanted, tested, right)


def train(model: nn.Module, given: Task, seconds: float) -> None:
    """Train for so many seconds, by Adam; the learning rate falls to nothing."""
    values = given.y.is_floating_point()
    loss = nn.MSELoss() if values else nn.CrossEntropyLoss()
    optimiser, begin = torch.optim.Adam(model.parameters(), 2e-3), time.monotonic()
    model.train()
    for batch in _batches(len(given.x)):
        left = 1.0 - (time.monotonic() - begin) / seconds
        if left <= 0.0:
            break
        optimiser.param_groups[0]["lr"] = 2e-3 * left
        optimiser.zero_grad()
        loss(model(given.x[batch]), given.y[batch]).backward()
        optimiser.step()
    model.eval()


def _batches(count: int) -> Iterator[torch.Tensor]:
    while True:
        yield from torch.randperm(count).split(BATCH)


def answered(name: str, images: Path, seconds: float, steps: int) -> list[str]:
    """The row of a network."""
    torch.manual_seed(0)
    given, model = task(name, images), NETWORKS[name]()
    train(model, given, seconds)
    seen, x = given.x[:SEEN].numpy(), given.x_test.numpy()
    with torch.no_grad():
        source = model(given.x_test).numpy()
    begin = time.process_time()
    with _counted() as warned:
        conversion = sw.convert(
            model, example_input=seen[:1], spiking=True, calibration=seen, steps=steps
        )
        took = time.process_time() - begin
        run = conversion.run(x, progress=False)
    with _counted() as warned_of_naive:
        naive = sw.convert(model, example_input=seen[:1], spiking=True)
        answers = naive.run(x, steps=32, progress=False).predict()
    spikes = sum(float(n.sum()) for n in run.spike_counts().values()) / len(x)
    return [
        name,
        *_lost(name, source, run.predict(), given.y_test.numpy()),
        str(len(warned)),
        _lost(name, source, answers, given.y_test.numpy())[1],
        str(len(warned_of_naive)),
        f"{run.network_steps}",
        f"{spikes:,.0f}",
        type(conversion.coding).__name__,
        f"{took:.0f}",
    ]


@contextmanager
def _counted() -> Iterator[list[warnings.WarningMessage]]:
    """The warnings of conversions that a user sees."""
    found: list[warnings.WarningMessage] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield found
    found += [one for one in caught if issubclass(one.category, ConversionWarning)]


def _lost(name: str, source: NDArray, found: NDArray, wanted: NDArray) -> tuple[str, str]:
    """The source's accuracy and the points lost; of values its error, and a distance."""
    if name in VALUES:
        apart = np.sqrt(np.square(found - source).mean()) / source.std()
        return f"{np.sqrt(np.square(source - wanted).mean()):.3f} off", f"{apart:.3f} deviations"
    before, after = (100 * float((x.argmax(1) == wanted).mean()) for x in (source, found))
    return f"{before:.1f} %", f"{before - after:.2f} points"


HEAD = (
    "network", "source", "lost", "warnings", "lost, naive", "warnings", "steps of the network",
    "spikes", "code", "seconds to convert",
)  # fmt: skip


def main() -> None:
    """Train and convert all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fashion-mnist", type=Path, required=True, help="its images, .npz")
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--seconds", type=float, default=60.0, help="of training each")
    parser.add_argument("--steps", type=int, default=8)
    how: Any = parser.parse_args()
    with_threads(1)
    lines = []
    for name in how.networks:
        lines.append(answered(name, how.fashion_mnist, how.seconds, how.steps))
        print(*lines[-1], sep="  ", flush=True)
    print(markdown_table(HEAD, lines))


if __name__ == "__main__":
    main()
