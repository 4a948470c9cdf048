"""Labelled images from files that the user has: bytes and whole numbers, training and test.

A file is an `.npz` of `x_train`, `y_train`, `x_test`, `y_test`. With internet access:

    import keras, numpy as np
    (x, y), (u, v) = keras.datasets.cifar10.load_data()       # or fashion_mnist, or mnist
    np.savez_compressed("cifar10.npz", x_train=x, y_train=y, x_test=u, y_test=v)

Small photographs may also be stored as JPEG: `head` (what all JPEG streams begin with) and `body`
(the rest of each, one behind the other), both bytes, `size` (bytes of each rest), `y` (labels) and
`test` (which of them are test images). Reading that needs Pillow.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
CODED = ("head", "body", "size", "y", "test")


@dataclass(frozen=True)
class ImageSet:
    """Images `(n, height, width, channels)` as bytes, labels `(n,)`."""

    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]

    def some(self, train: int, test: int) -> ImageSet:
        """So many of each, evenly spaced (files may be sorted by label), for a try."""
        seen = _spaced(len(self.y_train), train)
        tested = _spaced(len(self.y_test), test)
        return ImageSet(
            self.x_train[seen], self.y_train[seen], self.x_test[tested], self.y_test[tested]
        )


def _spaced(n: int, count: int) -> NDArray[np.int64]:
    return np.arange(count) * n // count


def load(path: Path) -> ImageSet:
    """Read a file of either form; raises `ValueError` that names the arrays it should hold."""
    with np.load(path) as file:
        names = set(file.files)
        if names.issuperset(ARRAYS):
            x_train, y_train, x_test, y_test = (file[name] for name in ARRAYS)
        elif names.issuperset(CODED):
            x_train, y_train, x_test, y_test = _decoded(*(file[name] for name in CODED))
        else:
            raise ValueError(
                f"{path} holds {', '.join(sorted(names)) or 'nothing'}; images are "
                f"{', '.join(ARRAYS)}, or JPEG streams as {', '.join(CODED)}"
            )
    return ImageSet(_images(x_train), _labels(y_train), _images(x_test), _labels(y_test))


def _decoded(
    head: NDArray, body: NDArray, size: NDArray, y: NDArray, test: NDArray
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    from PIL import Image

    start, rest = head.tobytes(), body.tobytes()
    ends = np.cumsum(size, dtype=np.int64)
    streams = (start + rest[end - n : end] for end, n in zip(ends, size.astype(int), strict=True))
    images = np.stack([np.asarray(Image.open(io.BytesIO(s)).convert("RGB")) for s in streams])
    test = test.astype(bool)
    return images[~test], y[~test], images[test], y[test]


def _images(x: NDArray) -> NDArray[np.uint8]:
    if x.dtype != np.uint8 or x.ndim not in (3, 4):
        raise ValueError(
            f"images are bytes (n, height, width[, channels]), got {x.dtype} {x.shape}"
        )
    return x if x.ndim == 4 else x[..., None]


def _labels(y: NDArray) -> NDArray[np.int64]:
    return np.asarray(y, dtype=np.int64).reshape(-1)
