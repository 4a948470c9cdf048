"""Weights that benchmarks have trained, kept beside them: nobody trains the same network twice.

`weights/NAME.safetensors` holds the arrays of a trained network by name. Its metadata hold the
recipe, the SHA-256 of the training images and labels, and the accuracy on the test images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from benchmarks.image_sets import ImageSet

FOLDER = Path(__file__).parent / "weights"
LARGEST = 1_200_000
"""Bytes of a file, at most."""


@dataclass(frozen=True)
class Origin:
    """The origin of a network's weights: a recipe in words, and the SHA-256 of the training data.

    `name` is the network's, with the seed.
    """

    name: str
    recipe: str
    data: str

    @classmethod
    def of(cls, name: str, recipe: object, data: ImageSet) -> Origin:
        """A recipe on the training images and labels of a set."""
        digest = hashlib.sha256()
        for array in (data.x_train, data.y_train.astype(np.int64)):
            digest.update(np.ascontiguousarray(array).data)
        return cls(name, str(recipe), digest.hexdigest())

    @property
    def path(self) -> Path:
        """The file that the weights are kept in."""
        return FOLDER / f"{self.name}.safetensors"


def load(origin: Origin) -> dict[str, NDArray] | None:
    """The arrays of a network; None where none of this origin are kept."""
    if not origin.path.exists():
        return None
    with safe_open(origin.path, "numpy") as file:
        found = file.metadata()
        if (found["recipe"], found["data"]) != (origin.recipe, origin.data):
            return None
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def save(arrays: Mapping[str, NDArray], origin: Origin, accuracy: float) -> Path:
    """Keep the arrays of a network; raises `ValueError` where the file would be too large."""
    size = sum(array.nbytes for array in arrays.values())
    if size > LARGEST - 10_000:
        raise ValueError(
            f"{origin.name}: {size:,} bytes of weights, of which {LARGEST:,} may be kept"
        )
    FOLDER.mkdir(exist_ok=True)
    metadata = {"recipe": origin.recipe, "data": origin.data, "accuracy": f"{accuracy:.4f}"}
    save_file({n: np.ascontiguousarray(a) for n, a in arrays.items()}, origin.path, metadata)
    return origin.path
