"""Keras files damaged in ways that their format allows: read, or refused, within limits."""

from __future__ import annotations

import random
import zipfile
from functools import cache
from pathlib import Path

import h5py
import keras_more_cases  # noqa: F401  (it registers its cases)
import numpy as np
import pytest
from keras_cases import CASES
from keras_damage import READING, USE, changed, dense_file, described, redescribed
from keras_helpers import keras, randomise
from test_keras_file_layers import UNSAVED

from hostile import verdicts
from mutations import mutated

pytestmark = pytest.mark.filterwarnings("ignore")  # Keras's own, about formats it calls legacy


@cache
def whole(kind: str, suffix: str, folder: Path) -> bytes:
    """A file of one layer of a kind."""
    layer, shapes = CASES[kind][0 if kind in UNSAVED else -1]
    several = [keras.Input(shape) for shape in shapes]
    model = keras.Model(several, layer(several if len(several) > 1 else several[0]))
    randomise(model).save(path := folder / f"whole{suffix}")
    return path.read_bytes()


def suffix_for(kind: str, rng: random.Random) -> str:
    """A format that can hold the kind: Keras writes no operations to legacy files.

    Nor some of its random layers.
    """
    legacy = not kind.startswith(("ops.", "Random")) and rng.random() < 0.4
    return ".h5" if legacy else ".keras"


def mutate_weights(path: Path, rng: random.Random) -> None:
    """Take a group or a dataset away, or put another dataset in its place."""
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        if not names:
            return
        item = file[rng.choice(names)]
        group, name, shape = item.parent, item.name.rpartition("/")[2], getattr(item, "shape", None)
        del group[name]
        if shape is not None:
            wrong = [np.zeros(0), np.full(shape, np.nan), np.full(shape, b"text"), np.zeros((7, 7))]
            group[name] = rng.choice(wrong)


def mutant(kind: str, suffix: str, rng: random.Random, folder: Path, number: int) -> Path:
    """A file of a layer of that kind, damaged in a way that its format allows."""
    (path := folder / f"mutant_{number}{suffix}").write_bytes(whole(kind, suffix, folder))
    if rng.random() < 0.85:
        return redescribed(path, mutated(described(path), rng))
    if suffix != ".keras":
        mutate_weights(path, rng)
        return path
    with zipfile.ZipFile(path) as archive:
        weights = Path(archive.extract("model.weights.h5", folder))
    mutate_weights(weights, rng)
    return changed(path, {"model.weights.h5": weights.read_bytes()})


@pytest.mark.slow
def test_whatever_a_file_says_it_is_read_or_refused_in_time(tmp_path: Path) -> None:
    """No mutation of a description or of weights hangs, takes all memory, or escapes our errors."""
    rng, number = random.Random(40), 32
    kinds = sorted(set(CASES) - {"RandomShear"})
    made = [
        mutant(kind, suffix_for(kind, rng), rng, tmp_path, count)
        for count, kind in enumerate(rng.choices(kinds, k=number))
    ]
    found = verdicts(READING, USE, made)
    assert len(found) == number
    bad = [(path.name, *told) for path, told in zip(made, found, strict=True) if not told.good]
    assert not bad
    assert {"used", "DamagedFileError"} <= {told.kind for told in found}


@pytest.mark.slow
def test_no_byte_of_an_hdf5_file_escapes(tmp_path: Path) -> None:
    """Single bytes of a legacy file, and of the weights of an archive with its checksum renewed."""
    rng = random.Random(0)
    legacy = dense_file(tmp_path, ".h5").read_bytes()
    with zipfile.ZipFile(archive := dense_file(tmp_path)) as opened:
        weights = opened.read("model.weights.h5")
    made = []
    for count in range(16):
        content = bytearray(legacy if count % 2 else weights)
        alive = [place for place, byte in enumerate(content) if byte]
        content[rng.choice(alive)] = rng.randrange(256)
        path = tmp_path / f"byte_{count}{'.h5' if count % 2 else '.keras'}"
        path.write_bytes(content if count % 2 else archive.read_bytes())
        made.append(path if count % 2 else changed(path, {"model.weights.h5": bytes(content)}))
    quick = f"{READING}from spikewright._base import hdf5 as _hdf5\n_hdf5.SECONDS = 6.0"
    found = verdicts(quick, USE, made)
    assert len(found) == len(made)
    assert not [told for told in found if not told.good]
