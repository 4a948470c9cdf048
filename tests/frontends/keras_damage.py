"""Keras files changed from inside: other members, another description, other weights."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
from keras_helpers import keras, layers

READING = """
from pathlib import Path
from spikewright.frontends.keras import loading, read
loading.import_keras()
import h5py, torch
"""
USE = "read(Path(path))"


def changed(path: Path, members: dict[str, bytes]) -> Path:
    """A `.keras` archive with other members in the place of its own."""
    with zipfile.ZipFile(path) as archive:
        members = {**{name: archive.read(name) for name in archive.namelist()}, **members}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def dense_file(folder: Path, suffix: str = ".keras", **config: Any) -> Path:
    """A file of a dense layer with 15 weights, whose configuration says something else."""
    model = keras.Sequential([keras.Input((4,), name="x"), layers.Dense(3, name="dense")])
    model.save(path := folder / f"model{suffix}")
    description = described(path)
    description["config"]["layers"][1]["config"].update(config)
    return redescribed(path, description)


def described(path: Path) -> Any:
    """The description of the model in a file."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    with h5py.File(path, "r") as file:
        return json.loads(file.attrs["model_config"])


def redescribed(path: Path, description: Any) -> Path:
    """The file with another description of its model."""
    text = json.dumps(description)
    if path.suffix == ".keras":
        return changed(path, {"config.json": text.encode()})
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = text
    return path
