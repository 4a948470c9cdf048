"""Keras layers whose weights `quantize` changed: read as the numbers that they compute with."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import quantizers as Q
from keras.src.dtype_policies import QUANTIZATION_MODES
from numpy.typing import NDArray

import spikewright as sw
from spikewright.errors import ConversionWarning
from spikewright.frontends import read
from spikewright.frontends.keras import READERS
from spikewright.frontends.keras.parameters import MODES, kernel_of
from spikewright.frontends.keras.safe_deserialization import _QUANTIZERS

Make = Callable[[], keras.Model]


def _sequential(shape: tuple[int, ...], *parts: Any, dtype: str = "float32") -> keras.Model:
    return keras.Sequential([keras.Input(shape, dtype=dtype), *parts])


def _reversible(tie: bool) -> keras.Model:
    x = keras.Input((4,), dtype="int32")
    table = L.ReversibleEmbedding(11, 5, tie_weights=tie)
    return keras.Model(x, table(table(x), reverse=True))


def _attention() -> keras.Model:
    x = keras.Input((4, 6))
    return keras.Model(x, L.MultiHeadAttention(2, 3)(x, x))


def _dense() -> Any:
    return L.Dense(5, bias_initializer="normal")


MODELS: dict[str, Make] = {
    "Dense": lambda: _sequential((7,), _dense()),  # of odd extents, which packing pads
    "Dense on a sequence": lambda: _sequential((3, 7), _dense()),
    "EinsumDense": lambda: _sequential(
        (4, 6), L.EinsumDense("abc,cd->abd", (4, 5), bias_axes="d", bias_initializer="normal")
    ),
    "EinsumDense apart": lambda: _sequential((4, 6), L.EinsumDense("abc,cde->abde", (4, 3, 5))),
    "EinsumDense together": lambda: _sequential(
        (4, 3, 5), L.EinsumDense("abde,dec->abc", (4, 7), bias_axes="c")
    ),
    "Embedding": lambda: _sequential((4,), L.Embedding(11, 5), dtype="int32"),
    "ReversibleEmbedding": lambda: _reversible(True),
    "ReversibleEmbedding untied": lambda: _reversible(False),
    "MultiHeadAttention": _attention,
}
MODE: dict[str, tuple[str, Any]] = {
    "int8": ("int8", lambda: None),
    "int8, of weights alone": ("int8", lambda: Q.Int8QuantizationConfig(None, None)),
    "int4": ("int4", lambda: None),
    "int4 and inputs": (
        "int4", lambda: Q.Int4QuantizationConfig(
            activation_quantizer=Q.AbsMaxQuantizer(axis=-1), block_size=-1
        )
    ),
    "int4 in blocks": ("int4", lambda: Q.Int4QuantizationConfig(block_size=2)),
    "float8": ("float8", lambda: None),
}  # fmt: skip


def _quantised(make: Make, mode: str, config: Any = None) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers that have no weights
        model.quantize(mode, config=config)
    return model


def _inputs(model: keras.Model, samples: int = 6) -> NDArray:
    (tensor,) = model.inputs
    rng, shape = np.random.default_rng(1), (samples, *tensor.shape[1:])
    if "int" in tensor.dtype:
        return rng.integers(0, 11, shape).astype(np.int32)
    return rng.normal(size=shape).astype(np.float32)


def _called(model: keras.Model, x: NDArray) -> NDArray:
    """The call of the source, which leaves the rounding of inputs out."""
    source = read(model)
    (name,) = source.graph.inputs
    (found,) = source.call({name: x}).values()
    return found


def _own(model: keras.Model, x: NDArray) -> NDArray:
    return np.asarray(keras.ops.convert_to_numpy(model(x, training=False)))


@pytest.mark.parametrize(
    ("name", "mode"), list(zip(cycle(MODELS), [*MODE, *MODE, *MODE], strict=False))
)
def test_a_quantised_layer_is_read_as_it_computes(name: str, mode: str) -> None:
    """Every layer with every mode: its own call but for rounding, or for that of its inputs.

    Of a layer that rounds its inputs the trace says so, and its call with inputs as they are is
    what is compared; the user's own call differs by no more than such rounding explains.
    """
    kind, config = MODE[mode]
    model = _quantised(MODELS[name], kind, config())
    x = _inputs(model)
    own = _own(model, x)
    source = read(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        conversion = sw.convert(model)
    conversion.verify(x)
    found = _called(model, x)
    off = np.abs(own - found).max() / np.abs(found).max()

    if source.notes:
        assert all("input quantisation left out" in note.text for note in source.notes)
        assert conversion.trace.guarantee == "approximated"
        assert off < (0.2 if kind == "float8" else 0.02)
        assert off > 1e-4 or "Reversible" in name  # whose inputs are rows on the grid already
    else:
        assert conversion.trace.guarantee == "exact"
        assert off < 1e-6
    rounds = mode in ("int8", "float8", "int4 and inputs") and name != "Embedding"
    rounds = rounds and not (mode == "float8" and "Reversible" in name)  # Keras leaves it alone
    assert bool(source.notes) == rounds
    np.testing.assert_array_equal(_own(model, x), own)  # the model is as it was


@pytest.mark.parametrize("mode", ["int8", "float8"])
def test_what_is_left_out_is_within_its_bound(mode: str) -> None:
    """A rounding of each input by half a level, or by half a unit of a mantissa of three bits."""
    model = _quantised(MODELS["Dense"], mode)
    x = 3 * _inputs(model, 200)
    kernel = np.abs(kernel_of(model.layers[0], (7,)))
    found = _called(model, x)
    step = np.abs(x).max(axis=1, keepdims=True) / 254 if mode == "int8" else np.abs(x) / 16 + 2e-3
    bound = np.broadcast_to(step, x.shape) @ kernel

    assert np.all(np.abs(_own(model, x) - found) <= bound + 1e-5)


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_a_file_of_a_quantised_model_is_the_live_model(mode: str, tmp_path: Path) -> None:
    """Its parts hold numbers alone, so that a file may name them."""
    config = {"int4": Q.Int4QuantizationConfig(block_size=2)}.get(mode)
    model = _quantised(lambda: _sequential((7,), L.Dense(9, "relu"), _dense()), mode, config)
    path, x = tmp_path / "model.keras", _inputs(model)
    model.save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        found = [sw.convert(m).run(x, 1, progress=False).predict() for m in (path, model)]

    np.testing.assert_array_equal(*found)
    assert all(isinstance(getattr(Q, name), type) for name in _QUANTIZERS)


@pytest.mark.parametrize("mode", ["int8"])
def test_activations_of_a_quantised_model_spike(mode: str) -> None:
    """Its ReLUs are neurons, and the mean tends to the source's."""
    parts = (L.Dense(9, "relu"), L.Dense(8, "relu"), _dense())
    model = _quantised(lambda: _sequential((7,), *parts), mode)
    x = _inputs(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        conversion = sw.convert(model, spiking=True, scale_firing_rates=100.0)
    found = conversion.run(x, 1000, progress=False).predict()
    wanted = _called(model, x)

    assert [e.n_neurons for e in conversion.populations().values()] == [9, 8]
    assert not [w for w in caught if "activations spike" in str(w.message)]
    assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()


class Own(keras.Model):  # type: ignore[misc]
    """A model of the user's, whose call is code."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = L.Dense(9, "relu", name="first"), L.Dense(5, name="last")

    def call(self, x: Any) -> Any:
        """Two layers, one after the other."""
        return self.last(self.first(x))


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_quantised_layers_in_code_are_read_alike(mode: str) -> None:
    """They are traced with their inputs as they are, and the trace says what was left out."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(6, 7)).astype(np.float32)
    model = Own()
    model(x)
    own = _sequential((7,), L.Dense(9, "relu"), L.Dense(5))
    own.set_weights(model.get_weights())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.quantize(mode)
        own.quantize(mode)
        conversion = sw.convert(model, example_input=x[:1])
    before = _own(model, x)

    conversion.verify(x)
    assert {note.layer for note in conversion.source.notes} == (
        set() if mode == "int4" else {"first", "last"}
    )
    np.testing.assert_allclose(
        conversion.run(x, 1, progress=False).predict(), _called(own, x), atol=1e-6
    )
    np.testing.assert_array_equal(_own(model, x), before)


def _calibrated(layer: Any, mode: str) -> None:
    """Numbers in the place of those that calibration on a data set would find."""
    rng = np.random.default_rng(2)
    held, scale = layer.quantized_kernel, layer.kernel_scale
    held.assign(rng.integers(0, 255, held.shape).astype(np.uint8))
    scale.assign(rng.uniform(0.01, 0.1, scale.shape).astype(np.float32))
    layer.kernel_zero.assign(rng.integers(0, 15, scale.shape).astype(np.uint8))
    layer.g_idx.assign((np.arange(layer.g_idx.shape[0]) // 2).astype(np.float32))
    if mode == "awq":
        layer.awq_scales.assign(rng.uniform(0.5, 2.0, layer.awq_scales.shape).astype(np.float32))
    setattr(layer, f"is_{mode}_calibrated", True)


@pytest.mark.parametrize(
    ("name", "mode", "bits"),
    [("Dense", "gptq", 8), ("EinsumDense apart", "gptq", 4), ("EinsumDense together", "awq", 4)],
)
def test_weights_in_groups_are_read(name: str, mode: str, bits: int) -> None:
    """GPTQ and AWQ round weights alone: exact, before calibration and after it."""
    kinds = {"gptq": Q.GPTQConfig, "awq": Q.AWQConfig}
    config = kinds[mode](dataset=None, tokenizer=None, weight_bits=bits, group_size=2)
    keras.utils.set_random_seed(0)
    model = MODELS[name]()
    (layer,) = model.layers[-1:]
    layer.quantize(mode, config=config)
    x = _inputs(model)
    for calibrated in (False, True):
        if calibrated:
            _calibrated(layer, mode)
        source, found = read(model), _called(model, x)
        graph = sw.convert(model).run(x, 1, progress=False).predict()

        assert source.notes == ()
        np.testing.assert_allclose(found, _own(model, x), rtol=1e-6)
        np.testing.assert_allclose(graph, found, atol=1e-5 * np.abs(found).max())


def test_low_rank_adaptation_is_part_of_the_weights() -> None:
    """LoRA on a quantised layer adds its product to what the layer computes with."""
    for mode in ("int8", "int4"):
        model = _quantised(MODELS["Dense"], mode, MODE["int8, of weights alone"][1]()
                           if mode == "int8" else None)  # fmt: skip
        layer = model.layers[0]
        layer.enable_lora(2)
        layer.lora_kernel_b.assign(np.random.default_rng(3).normal(size=(2, 5)))
        x = _inputs(model)
        found = sw.convert(model).run(x, 1, progress=False).predict()
        np.testing.assert_allclose(found, _own(model, x), atol=1e-5)


def test_a_training_leaves_quantised_weights_alone() -> None:
    """They are made of several arrays, so that none can be written: biases train."""
    parts = (L.Dense(9, "relu"), _dense())
    model = _quantised(lambda: _sequential((7,), *parts), "int4")
    widths = ((7,), (9,))
    kernels = [kernel_of(*pair) for pair in zip(model.layers, widths, strict=True)]
    conversion = sw.convert(model, spiking=True, scale_firing_rates=100.0)
    training = conversion.train(_inputs(model, 64), steps=4, epochs=1, progress=False)
    training.write_back(model)

    for layer, width, kernel in zip(model.layers, widths, kernels, strict=True):
        np.testing.assert_array_equal(kernel_of(layer, width), kernel)


def test_every_mode_and_every_layer_of_keras_is_known() -> None:
    """Law of the registry: what this Keras can quantise is read in each of its modes."""
    assert set(MODES) == set(QUANTIZATION_MODES)
    calls = [f"_{mode}_call" for mode in QUANTIZATION_MODES]
    own = {
        kind.__name__
        for kind in vars(L).values()
        if inspect.isclass(kind) and kind is not L.Layer and any(c in vars(kind) for c in calls)
    }
    assert own <= set(READERS)
    assert own <= {name.split()[0] for name in MODELS}


class Squashed(L.Layer):  # type: ignore[misc]
    """A layer of the user's, which no reader knows: its ReLU is code."""

    def call(self, x: Any) -> Any:
        """The ReLU of each sample by itself, by looking at its values."""
        if isinstance(x, keras.KerasTensor):
            return x
        rows = [keras.ops.relu(row) if float(keras.ops.min(row)) < 0 else row for row in x]
        return keras.ops.stack(rows)


def test_a_fallback_that_holds_the_activations_is_told() -> None:
    """A spiking network without a spike: counted, and with the layers that stay analog."""
    model = _sequential((7,), L.Dense(9), Squashed(name="squashed"))
    with pytest.warns(ConversionWarning) as caught:
        conversion = sw.convert(model, spiking=True, fallback="python")

    (text,) = [str(w.message) for w in caught if "activations spike" in str(w.message)]
    assert conversion.network.n_neurons == 0
    assert "0 of 1 activations spike" in text
    assert "these layers hold those that stay analog: squashed" in text
    assert 'fallback="python" calls hold their activations' in text
