"""What tests of the native engine share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from spikewright.engines.native.region_kernel import RegionKernel


@pytest.fixture
def exceeding(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[RegionKernel]]:
    """Gives the regions in which some count was beyond its byte, of all that were made so far."""
    from spikewright.engines.native.region_kernel import RegionKernel  # late: needs a compiler

    made: list[RegionKernel] = []
    begin = RegionKernel.__init__

    def noted(self: RegionKernel, **given: Any) -> None:
        begin(self, **given)
        made.append(self)

    monkeypatch.setattr(RegionKernel, "__init__", noted)
    return lambda: [kernel for kernel in made if kernel._state.exceeded()]
