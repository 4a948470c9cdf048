"""Importing Keras, layers from files, and damaged files."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import keras_more_cases  # noqa: F401  (it registers its cases)  # noqa: F401  (it registers its cases)
import keras_operation_cases  # noqa: F401
import numpy as np
import pytest
from keras_cases import CASES
from keras_damage import READING, USE, changed, dense_file, described, redescribed
from keras_helpers import assert_close, inputs_of, keras, randomise

from hostile import verdicts
from mutations import mutated
from spikewright.errors import MissingExtraError, ReadError
from spikewright.frontends.keras import loading, read
from spikewright.graph import evaluate, to_text

pytestmark = pytest.mark.filterwarnings("ignore")  # Keras's own, about formats it calls legacy


UNSAVED = {
    "RandomShear": "Keras 3.15 writes a range that it does not accept",
    "ops.Clip": "Keras cannot save bounds that are arrays",
    "ops.Repeat": "Keras cannot save counts that are arrays",
    "Activation": "Keras cannot save a functools.partial",
}
"""Kinds whose last case no file can hold; those with an earlier one are saved with their first."""

NAMELESS = {"ops.ExtractPatches"}
"""Kinds whose names Keras 3.15 does not save: a loaded model has another."""

KINDS = [
    kind
    for kind, cases in CASES.items()
    if kind != "RandomShear" and kind not in NAMELESS
    if not isinstance(cases[0 if kind in UNSAVED else -1][0], keras.layers.Lambda)  # that is code
]
TOGETHER = 12


@pytest.mark.parametrize("start", range(0, len(KINDS), TOGETHER))
def test_layers_are_read_from_a_keras_file(start: int, tmp_path: Path) -> None:
    """The same graph as from the live model, of several kinds of layers side by side."""
    inputs, outputs = [], []
    for kind in KINDS[start : start + TOGETHER]:
        layer, shapes = CASES[kind][0 if kind in UNSAVED else -1]
        several = [keras.Input(shape) for shape in shapes]
        made = layer(several if len(several) > 1 else several[0])
        inputs += several
        outputs += made if isinstance(made, list | tuple) else [made]
    model = randomise(keras.Model(inputs, outputs))
    assert_same_from_file(model, tmp_path / "model.keras")


def assert_same_from_file(model: Any, path: Path) -> None:
    """The graphs of a live model and of its file have the same layers and compute the same."""
    model.save(path)
    live, source = read(model), read(path)
    assert to_text(source.graph) == to_text(live.graph)
    values = list(inputs_of(live).values())
    found, wanted = (
        evaluate(one.graph, dict(zip(one.graph.inputs, values, strict=True)))
        for one in (source, live)
    )
    for a, b in zip(found.values(), wanted.values(), strict=True):
        assert_close(a, b)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_the_own_layers_of_keras_applications_are_read_from_files(
    suffix: str, tmp_path: Path
) -> None:
    """Keras does not find them by name in an HDF5 file; they are handed to it."""
    from keras.src.applications.convnext import LayerScale
    from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

    x = keras.Input((4, 3), name="x")
    y = LayerScale(0.5, 3, name="scale")(x)
    model = keras.Model(x, CustomScaleLayer(0.3, name="residual")([x, y]))
    assert_same_from_file(model, tmp_path / f"model{suffix}")


def installed(monkeypatch: pytest.MonkeyPatch, home: Path, *names: str) -> None:
    """Pretend that these modules are installed and nothing has been chosen."""
    monkeypatch.setattr(loading, "find_spec", lambda name: name if name in names else None)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(home))


@pytest.mark.parametrize("names", [("torch", "jax"), ("jax", "tensorflow"), ("tensorflow",)])
def test_an_installed_backend_is_taken(
    names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no choice made, the first that is installed."""
    installed(monkeypatch, tmp_path, *names)
    assert loading.choose_backend() == names[0]


def test_the_environment_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KERAS_BACKEND goes before everything else."""
    installed(monkeypatch, tmp_path, "torch", "jax")
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert loading.choose_backend() == "jax"


def test_the_configuration_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """keras.json goes before our own choice."""
    installed(monkeypatch, tmp_path, "torch", "jax")
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    assert loading.choose_backend() == "jax"


@pytest.mark.parametrize("text", ['{"backend": "tensorflow"}', "{", "[]", '{"backend": 3}'])
def test_a_configuration_that_cannot_be_followed_is_passed_over(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras writes keras.json unasked, naming a backend that may not be installed."""
    installed(monkeypatch, tmp_path, "jax")
    (tmp_path / "keras.json").write_text(text)
    assert loading.choose_backend() == "jax"


def test_no_backend_is_a_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message installs one."""
    installed(monkeypatch, tmp_path)
    with pytest.raises(MissingExtraError, match=r"pip install 'spikewright\[keras\]'"):
        loading.choose_backend()


def test_an_absent_backend_that_was_asked_for_is_a_missing_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's word is not overruled in silence."""
    installed(monkeypatch, tmp_path, "torch")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(MissingExtraError, match="KERAS_BACKEND is 'jax'"):
        loading.choose_backend()


def test_keras_2_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names both versions."""
    keras = loading.import_keras()
    monkeypatch.setattr(keras, "__version__", "2.15.0")
    with pytest.raises(ReadError, match=r"2\.15\.0 is installed and Keras 3 is needed"):
        loading.import_keras()


@pytest.mark.slow  # a second process imports Keras and its backend
def test_importing_leaves_the_environment_alone(tmp_path: Path) -> None:
    """In a fresh process Keras is imported by reading only, and KERAS_BACKEND stays unset."""
    code = (
        "import os, sys\n"
        "from spikewright.frontends import keras as front\n"
        "assert 'keras' not in sys.modules\n"
        "from spikewright.frontends.keras.loading import import_keras\n"
        "print(import_keras().backend.backend(), os.environ.get('KERAS_BACKEND'))\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    environment["KERAS_HOME"] = str(tmp_path)
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    backend, variable = done.stdout.split()
    assert backend in loading.BACKENDS and variable == "None"


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
