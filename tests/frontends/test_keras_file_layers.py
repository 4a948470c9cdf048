"""Every layer that can be read live can be read from a file too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras_more_cases  # noqa: F401  (it registers its cases)
import keras_operation_cases  # noqa: F401
import pytest
from keras_cases import CASES
from keras_helpers import assert_close, inputs_of, keras, randomise

from spikewright.frontends.keras import read
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
