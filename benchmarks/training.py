"""Trains a PyTorch network on images: seeded, and resumed after the last whole epoch.

Stochastic gradient descent with Nesterov momentum, or AdamW, under cycles of the learning rate
(Smith 2018; the second is a warm restart, Loshchilov & Hutter 2017), label smoothing, random
shifts, mirror images and blanked squares. What an epoch draws depends on the seed and its number
alone, so a training that was killed and started again ends with the same weights.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.image_sets import ImageSet


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: cycles of `(epochs, highest learning rate)`; `shift` in pixels.

    After `blank_after` epochs a square of `blank` pixels a side is blanked in every image (DeVries
    & Taylor 2017): by then a network knows the images too well. What comes out is the mean of the
    weights at the ends of the last `averaged` cycles (Izmailov et al. 2018), with the statistics of
    batch normalisation measured anew.
    """

    cycles: tuple[tuple[int, float], ...]
    batch: int = 128
    weight_decay: float = 5e-4
    label_smoothing: float = 0.05
    shift: int = 0
    mirror: bool = False
    seed: int = 0
    blank: int = 0
    blank_after: int = 0
    averaged: int = 1

    @property
    def epochs(self) -> int:
        """Epochs of all cycles."""
        return sum(epochs for epochs, _ in self.cycles)

    @property
    def ends(self) -> list[int]:
        """Epochs that are done when each cycle is."""
        done: list[int] = np.cumsum([epochs for epochs, _ in self.cycles]).tolist()
        return done

    def begins(self) -> dict[int, tuple[int, float]]:
        """Each cycle by the epochs that are done when it begins."""
        return dict(zip([0, *self.ends], self.cycles, strict=False))

    def optimiser(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Stochastic gradient descent with Nesterov momentum, weights decayed."""
        return torch.optim.SGD(
            groups, lr=self.cycles[0][1], momentum=0.9, nesterov=True,
            weight_decay=self.weight_decay,
        )  # fmt: skip


@dataclass(frozen=True)
class AdamRecipe(Recipe):
    """The same with AdamW (Loshchilov & Hutter 2019), for attention and recurrence."""

    def optimiser(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """AdamW."""
        return torch.optim.AdamW(groups, lr=self.cycles[0][1], weight_decay=self.weight_decay)


@dataclass(frozen=True)
class Normalised:
    """Images as a network takes them: bytes, less their mean, over their deviation."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def by(cls, images: NDArray[np.uint8]) -> Normalised:
        """By the mean and the deviation of each channel of these images, to three digits."""
        mean, deviation = images.mean(axis=(0, 1, 2)), images.std(axis=(0, 1, 2))
        return cls(*(tuple(float(f"{v:.3g}") for v in values) for values in (mean, deviation)))

    def __call__(self, images: NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
        """`(n, height, width, channels)` bytes as `(n, channels, height, width)` numbers."""
        x = torch.as_tensor(images).float()
        return ((x - torch.tensor(self.mean)) / torch.tensor(self.deviation)).permute(0, 3, 1, 2)


def trained(
    module: nn.Module,
    data: ImageSet,
    recipe: Recipe,
    checkpoint: Path,
    *,
    until: int | None = None,
    bfloat16: bool = False,
) -> nn.Module:
    """Train from the checkpoint on, or from the start; `until` stops early, after that epoch.

    `bfloat16` computes in it, on processors that are fast in it; weights are kept in float32.
    Raises `ValueError` for a checkpoint of another recipe.
    """
    module = module.to(memory_format=torch.channels_last)
    normalised = Normalised.by(data.x_train)
    course = _Course(module, recipe, len(data.x_train))
    done = course.load(checkpoint)
    for epoch in range(done, recipe.epochs if until is None else until):
        start = time.perf_counter()
        loss = course.epoch(epoch, data, normalised, bfloat16)
        course.save(checkpoint, epoch + 1)
        seconds = time.perf_counter() - start
        line = f"epoch {epoch + 1:3d}: loss {loss:.4f}, {seconds:.0f} s"
        if epoch + 1 in recipe.ends:
            line += f", test {accuracy(module, normalised(data.x_test), data.y_test):.2%}"
        print(line, flush=True)
    if recipe.averaged > 1 and course.done == recipe.epochs:
        course.average(data, normalised)
    return module.eval()


def accuracy(module: nn.Module, x: torch.Tensor, y: NDArray) -> float:
    """The share of images whose largest output is their label."""
    return float((outputs(module, x).argmax(axis=1) == y).mean())


def outputs(module: nn.Module, x: torch.Tensor) -> NDArray[np.float32]:
    """The network's outputs `(n, classes)`."""
    module.eval()
    with torch.inference_mode():
        parts = [module(part.to(memory_format=torch.channels_last)) for part in x.split(500)]
    found: NDArray[np.float32] = torch.cat(parts).numpy()
    return found


class _Course:
    """A training under way."""

    def __init__(self, module: nn.Module, recipe: Recipe, images: int) -> None:
        self.module, self.recipe = module, recipe
        decayed = [p for p in module.parameters() if p.ndim > 1]
        others = [p for p in module.parameters() if p.ndim <= 1]
        self.optimiser = recipe.optimiser(
            [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
        )
        self.steps = -(-images // recipe.batch)
        self.rate = self._cycle(0)
        self.done = 0
        self.ends: list[dict[str, torch.Tensor]] = []
        self.loss = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)

    def _cycle(self, begin: int) -> torch.optim.lr_scheduler.OneCycleLR:
        """The course of the learning rate in the cycle that begins with an epoch."""
        epochs, highest = self.recipe.begins()[begin]
        for group in self.optimiser.param_groups:  # a cycle begins anew, whatever came before
            group.pop("initial_lr", None)
        return torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, highest, epochs=epochs, steps_per_epoch=self.steps
        )

    def epoch(self, number: int, data: ImageSet, normalised: Normalised, bfloat16: bool) -> float:
        """All images once, in an order of this epoch's own; returns the mean loss."""
        recipe = self.recipe
        if number in recipe.begins():
            self.rate = self._cycle(number)
        rng = np.random.default_rng((recipe.seed, number))
        self.module.train()
        total = 0.0
        for chosen in np.array_split(rng.permutation(len(data.x_train)), self.steps):
            images = varied(data.x_train[chosen], recipe.shift, recipe.mirror, rng)
            x = normalised(images).contiguous(memory_format=torch.channels_last)
            if recipe.blank and number >= recipe.blank_after:
                blank(x, recipe.blank, rng)
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                found = self.module(x)
            loss = self.loss(found.float(), torch.from_numpy(data.y_train[chosen]))
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            self.rate.step()
            total += float(loss.detach()) * len(chosen)
        return total / len(data.x_train)

    def save(self, path: Path, epoch: int) -> None:
        """Write all that the next epoch needs; a kill leaves the old file or the new one."""
        self.done = epoch
        if epoch in self.recipe.ends:
            self.ends = [*self.ends, _copy(self.module)][-self.recipe.averaged :]
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save({**self._parts(), "recipe": asdict(self.recipe), "epoch": epoch}, partial)
        partial.replace(path)

    def load(self, path: Path) -> int:
        """Go on from a checkpoint if there is one; returns how many epochs are done."""
        if not path.exists():
            return 0
        stored: dict[str, Any] = torch.load(path, weights_only=True)
        if stored["recipe"] != asdict(self.recipe):
            raise ValueError(f"{path} is of another training: {stored['recipe']}; remove it")
        self.module.load_state_dict(stored["module"])
        self.done = done = int(stored["epoch"])
        self.ends = stored["ends"]
        self.rate = self._cycle(max(begin for begin in self.recipe.begins() if begin < done))
        self.rate.load_state_dict(stored["rate"])
        self.optimiser.load_state_dict(stored["optimiser"])  # last: a cycle sets rates of its own
        return done

    def _parts(self) -> dict[str, Any]:
        return {
            "module": self.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rate": self.rate.state_dict(),
            "ends": self.ends,
        }

    def average(self, data: ImageSet, normalised: Normalised) -> None:
        """Take the mean of the weights at the ends of cycles; measure what batches are like."""
        mean = {
            name: torch.stack([end[name] for end in self.ends]).mean(dim=0)
            for name, value in self.module.state_dict().items()
            if value.is_floating_point()
        }
        self.module.load_state_dict(mean, strict=False)
        norms = [m for m in self.module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches, each as much as the others
        rng = np.random.default_rng(self.recipe.seed)
        self.module.train()
        with torch.inference_mode():
            for chosen in np.array_split(rng.permutation(len(data.x_train))[:20_000], 80):
                images = varied(data.x_train[chosen], self.recipe.shift, self.recipe.mirror, rng)
                self.module(normalised(images).contiguous(memory_format=torch.channels_last))


def _copy(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def varied(
    images: NDArray[np.uint8], shift: int, mirror: bool, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Each image shifted by up to `shift` pixels either way, zeros behind it, half of them turned
    left to right.
    """
    n, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)))
    down, right = rng.integers(0, 2 * shift + 1, (2, n))
    rows = down[:, None] + np.arange(height)
    columns = right[:, None] + np.arange(width)
    if mirror:
        columns = np.where(rng.random((n, 1)) < 0.5, columns, columns[:, ::-1])
    return padded[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def blank(images: torch.Tensor, side: int, rng: np.random.Generator) -> None:
    """Set a square of every image `(n, channels, height, width)` to the mean, 0, in place.

    Its middle is anywhere in the image, so that a part of it may lie outside.
    """
    n, _, height, width = images.shape
    inside = []
    for size in (height, width):
        middle = rng.integers(0, size, (n, 1))
        offset = np.arange(size) - middle + side // 2
        inside.append((offset >= 0) & (offset < side))
    square = torch.from_numpy(inside[0][:, :, None] & inside[1][:, None, :])
    images.masked_fill_(square[:, None], 0.0)
