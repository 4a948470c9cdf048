"""Small sets of bright and dark images, on which benchmarks train in a moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks import kept, sources


def small_images(folder: Path, patch: pytest.MonkeyPatch, train: int, test: int) -> Path:
    """A file of images like Fashion-MNIST's; its network is trained for an epoch, and kept here."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, train + test)
    x = (rng.integers(0, 128, (len(y), 28, 28)) + 127 * y[:, None, None]).astype(np.uint8)
    path = folder / "images.npz"
    np.savez(path, x_train=x[:train], y_train=y[:train], x_test=x[train:], y_test=y[train:])
    quick = replace(sources.FASHION, cycles=((1, 0.1),), batch=32)
    network = (sources.fashion_network, quick)
    patch.setitem(sources.NETWORKS, "fashion_mnist", network)  # type: ignore[arg-type]
    patch.setattr(kept, "FOLDER", folder / "weights")
    return path
