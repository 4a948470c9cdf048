"""Functions that nodes apply to their input at every step, vectorised over samples.

A node may also hold any Python callable; these are the ones that the converter needs, known to
files and to engines.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import MappingProxyType

from spikewright._windows import Windows, join_shape, split_shape
from spikewright.errors import NetworkError
from spikewright.network.geometry import check_windows
from spikewright.network.shapes import Shape


class NodeFunction(ABC):
    """A function of a node's input; `accumulates` functions keep running sums."""

    @abstractmethod
    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the value for an input of `shape`; raises `NetworkError` if it does not fit."""


@dataclass(frozen=True)
class MaxPool(NodeFunction):
    """Maximum over sliding windows.

    With `accumulate` it passes on `max_i X_i(t) - max_i X_i(t-1)`, `X` the running sums of its
    inputs: what it has sent until `t` is the maximum of the sums, so its time mean is exactly the
    maximum of its inputs' time means.
    """

    windows: Windows
    channels_last: bool = False
    accumulate: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "windows", check_windows("MaxPool", self.windows))

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != len(self.windows.size) + 1:
            raise NetworkError(
                f"MaxPool: {len(self.windows.size)}-D windows do not fit an input of shape {shape}"
            )
        spatial, channels = split_shape(shape, self.channels_last)
        extent = self.windows.output_extent(spatial)
        if min(extent) <= 0:
            raise NetworkError(f"MaxPool: the window is larger than its padded input {shape}")
        if not self.windows.all_see_input(spatial):
            raise NetworkError(f"MaxPool: some windows over {shape} see padding alone")
        return join_shape(extent, channels, self.channels_last)


FUNCTIONS = MappingProxyType({c.__name__: c for c in (MaxPool,)})
"""Every node function by name."""
