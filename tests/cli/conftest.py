"""What tests of commands share: digits in a file, which nothing writes to."""

from __future__ import annotations

import numpy as np
import pytest

from spikewright import demo


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data file of forty held-out digits with labels."""
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    x, y = demo.held_out(40)
    np.savez(path, x=x, y=y)
    return str(path)
