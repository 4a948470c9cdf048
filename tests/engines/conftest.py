"""What tests of the native engine share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from spikewright.engines.native.running import RegionKernel


@pytest.fixture
def slow_starts(monkeypatch: pytest.MonkeyPatch) -> list[RegionKernel]:
    """Regions that went on to the reference because a count outgrew a byte."""
    from spikewright.engines.native.running import RegionKernel  # late: needs a compiler

    found: list[RegionKernel] = []
    start = RegionKernel._start_slowly

    def noted(self: RegionKernel, finished: NDArray) -> object:
        found.append(self)
        return start(self, finished)

    monkeypatch.setattr(RegionKernel, "_start_slowly", noted)
    return found
