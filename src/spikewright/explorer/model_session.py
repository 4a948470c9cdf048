"""The state of an explorer: a network, its data, and the results that are already known."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikewright._base.image_axes import as_images, image_shape
from spikewright.choosing import Statistics
from spikewright.choosing.statistics.channels import channel_axis
from spikewright.conversion import Conversion
from spikewright.errors import SimulationError
from spikewright.explorer.message import ExplorerSettings
from spikewright.measure.targets import Targets
from spikewright.running.recording import only_targets

_Made = TypeVar("_Made")

_NETWORKS = 8  # that are kept
_RESULTS = 1000

DROPPED = ("bias_correction", "calibration")
"""Arguments of a conversion that a page does not take over."""

# no option of a command sets these to None
_STAYING = ("synapse", "max_spikes_per_step", "bias_correction", "initial_voltage")

_PAD = 64  # lines and columns of a pad to draw on, at most

SHOWN = 60
"""Samples that a page lists, at most."""


@dataclass(frozen=True, eq=False)
class ModelSession:
    """A network, data to choose samples from and to measure on, and how both are named.

    `x` is `{input: (samples, *shape)}`, `y` labels or targets `(samples, ...)`, or None. `lines`
    are lines of Python before the call, `model` the text of its first argument. `command` is the
    beginning of a command of `spikewright` that measures the network, and `title` its name.
    `given` are the arguments that its network was made with; with `again` the model is the text of
    a `Conversion` made with them. `class_names` are those of labels, none for
    numbers. `first` is what a page begins with, `known` the results for the
    latest settings, and `kept` the latest networks.
    """

    base: Conversion
    x: Mapping[str, NDArray]
    y: Any
    title: str
    model: str = "model"
    lines: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    first: ExplorerSettings = field(default_factory=ExplorerSettings)
    given: Mapping[str, Any] = field(default_factory=dict)
    again: bool = False
    class_names: tuple[str, ...] = ()
    known: dict[Any, dict[str, Any]] = field(default_factory=dict)
    kept: dict[ExplorerSettings, Conversion] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.x.values())))

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value of the first input: black and white of an image."""
        values = next(iter(self.x.values()))
        return float(values.min()), float(values.max())

    @property
    def image(self) -> tuple[int, int, int] | None:
        """Rows, columns and channels of the input, where it is one image."""
        only = len(self.x) == 1
        return image_shape(next(iter(self.x.values())).shape[1:]) if only else None

    @property
    def drawable(self) -> bool:
        """True for one input that is a grey image of at most 64 x 64 pixels."""
        return self.image is not None and self.image[2] == 1 and max(self.image) <= _PAD

    @cached_property
    def truth(self) -> Targets | None:
        """Labels or targets; None where there are none, and of several outputs."""
        return only_targets(self.base.lowered, self.y, len(self))

    def part(self, samples: int) -> tuple[dict[str, NDArray], NDArray | None]:
        """The first samples, and their labels or targets."""
        y = None if self.truth is None else self.truth.values[:samples]
        return {name: array[:samples] for name, array in self.x.items()}, y

    def label(self, sample: int) -> int | None:
        """The label of a sample, where it has one."""
        truth = self.truth
        known = truth is not None and truth.kind == "labels"
        return int(truth.values[sample]) if known and truth is not None else None

    def channels(self, layer: str) -> int | None:
        """The axis of a layer's value that channels lie on."""
        return channel_axis(self.base.canonical, layer)

    def chosen(self, settings: ExplorerSettings) -> dict[str, NDArray]:
        """The sample of the settings, `{input: (1, *shape)}`.

        Raises `SimulationError` for a number that the data does not have, and for a drawing of
        another size than the input.
        """
        if settings.drawn is not None:
            return self._from_drawing(settings.levels)
        if settings.sample >= len(self):
            raise SimulationError(f"sample is below {len(self)}, got {settings.sample}")
        return {
            name: array[settings.sample : settings.sample + 1] for name, array in self.x.items()
        }

    def _from_drawing(self, levels: bytes) -> dict[str, NDArray]:
        ((name, values), *others) = self.x.items()
        shape = values.shape[1:]
        if others or self.image is None or len(levels) != np.prod(shape):
            takes = "no drawings" if others or self.image is None else f"{np.prod(shape)} values"
            raise SimulationError(f"drawn: the input takes {takes}, got {len(levels)}")
        low, high = self.bounds
        parts = np.frombuffer(levels, np.uint8).astype(np.float32) / 255
        return {name: (low + (high - low) * parts).reshape(1, *shape)}

    def thumbnails(self) -> NDArray:
        """The first samples: images `(n, rows, columns, channels)`, or traces `(n, values)`."""
        values = next(iter(self.x.values()))[:SHOWN]
        if self.image is not None:
            return as_images(values, self.bounds)
        low, high = self.bounds
        flat = values.reshape(len(values), -1)
        step = max(1, flat.shape[1] // 64)
        return ((flat[:, ::step] - low) / ((high - low) or 1.0)).astype(np.float32)

    def arguments(self, settings: ExplorerSettings) -> dict[str, Any]:
        """The arguments of `Conversion.replace` for the settings."""
        chosen = settings.arguments(self.base.populations())
        needed = {"calibration": self.statistics} if settings.looks_at_data else {}
        return {**chosen, **needed}

    @cached_property
    def statistics(self) -> Statistics:
        """Statistics of the data, for rules."""
        return self.base.calibrate(dict(self.x), progress=False)

    def converted(self, settings: ExplorerSettings) -> Conversion:
        """The network of the settings; the latest few are kept.

        Raises as `Conversion.replace` does.
        """
        return cached(
            self.kept,
            settings.anywhere,
            _NETWORKS,
            lambda: self.base.replace(**self.arguments(settings)),
        )

    def result(
        self, settings: ExplorerSettings, kind: Any, make: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """A result of that kind for the settings, made once for all samples and pages."""
        return cached(self.known, (settings.anywhere, kind), _RESULTS, make)

    def command_of(self, settings: ExplorerSettings) -> str:
        """The command that measures these settings; empty where data has no file.

        It is empty for what looks at data, too, where the file holds more than is looked at here,
        and where no option takes back what the network was made with.
        """
        limited = any(part.startswith("--limit") for part in self.command)
        wanted = settings.arguments(self.base.populations())
        lost = (self.given.get(name) for name in _STAYING if wanted.get(name) is None)
        stays = any(value is not None and str(value) != "half" for value in lost)
        if not self.command or stays or (limited and settings.looks_at_data):
            return ""
        file = next(part for part in self.command if part.startswith("--data="))
        beside = file.replace("--data=", "--calibration=", 1)
        calibration = [beside] if settings.looks_at_data else []
        options = settings.options(self.base.populations(), self.given)
        return shlex.join([*self.command, *options, *calibration])


def cached(known: dict[Any, _Made], key: Any, most: int, make: Callable[[], _Made]) -> _Made:
    """An entry of a cache, made where it is missing; of more than `most` the oldest is dropped."""
    found = known.get(key)
    if found is None:
        found = make()
        while len(known) >= most:
            known.pop(next(iter(known)), None)
        known[key] = found
    return found
