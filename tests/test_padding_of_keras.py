"""Padding of Keras models counts in nothing: masks of `Embedding` and `Masking`, layer by layer.

Their samples are given to a network for sequences of their length, and to one with more padding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from spikewright.graph.masks import masks_of
from spikewright.records import Record

keras = pytest.importorskip("keras")
L = keras.layers

SAMPLES, LENGTH, LONGER, ROWS, STEPS = 8, 3, 5, 20, 16
NETWORK_ITSELF = ("weight memory", "state memory")  # a longer network has more of them

Layer = Callable[[Any], Any]


def _hidden(x: Any) -> Any:
    return L.Dense(6, activation="relu")(x)


def _pooled(*layers: Layer) -> tuple[Layer, ...]:
    return (*layers, _hidden, lambda x: L.GlobalAveragePooling1D()(x))


KINDS: dict[str, tuple[Layer, ...]] = {
    "SimpleRNN": (lambda x: L.SimpleRNN(4, activation="relu")(x),),
    "LSTM": (lambda x: L.LSTM(4)(x),),
    "GRU": (lambda x: L.GRU(4)(x),),
    "GRU, sequences": _pooled(lambda x: L.GRU(4, return_sequences=True)(x)),
    "Bidirectional": (lambda x: L.Bidirectional(L.SimpleRNN(3, activation="relu"))(x),),
    "pooling": _pooled(),
    "attention": _pooled(lambda x: L.MultiHeadAttention(2, 3)(x, x)),
    "attention, each step": (lambda x: L.MultiHeadAttention(2, 3)(x, x), _hidden),
}
STARTS = ("Embedding", "Masking")


def _data(start: str, length: int) -> NDArray:
    rng = np.random.default_rng(0)
    real = (
        np.arange(length) < np.array([LENGTH, *rng.integers(1, LENGTH + 1, SAMPLES - 1)])[:, None]
    )
    more = ((0, 0), (0, length - LENGTH))
    if start == "Embedding":
        return np.where(real, np.pad(rng.integers(1, ROWS, (SAMPLES, LENGTH)), more), 0)
    values = np.pad(rng.normal(size=(SAMPLES, LENGTH, 3)), (*more, (0, 0)))
    return np.where(real[..., None], values, 0).astype(np.float32)


@cache
def _converted(start: str, kind: str, length: int) -> sw.Conversion:
    """The model, its firing rates chosen on its data; verified on a sample of padding alone too."""
    keras.backend.clear_session()  # so that layers have the same names
    keras.utils.set_random_seed(0)
    if start == "Embedding":
        x = keras.Input((length,), dtype="int32", name="x")
        y = L.Embedding(ROWS, 5, mask_zero=True)(x)
    else:
        x = keras.Input((length, 3), name="x")
        y = L.Masking()(x)
    for layer in KINDS[kind]:
        y = layer(y)
    model, data = keras.Model(x, L.Dense(3)(y)), _data(start, length)
    rule = sw.MinimumError(STEPS, spikes_per_step=1)
    made = sw.convert(model, spiking=True, scale_firing_rates=rule, calibration=data)
    if kind not in ("pooling", "GRU, sequences", "attention"):  # their mean is of nothing there
        made.verify(np.concatenate([data, np.zeros_like(data[:1])]))
    return made


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
@pytest.mark.parametrize(("kind", "start"), list(zip(KINDS, cycle(STARTS), strict=False)))
def test_more_padding_changes_nothing(kind: str, start: str) -> None:
    """Thresholds, statistics, spikes and figures are those without it, and one mask is known."""
    first, second = (_converted(start, kind, length) for length in (LENGTH, LONGER))
    (mask,) = masks_of(second.canonical).found
    assert (mask.hides, mask.reached) == (0.0, ())
    scales = [{n: e.rate_scale for n, e in c.populations().items()} for c in (first, second)]
    same = scales[0].keys() & scales[1].keys()
    assert len(same) >= len(scales[0]) - 1  # a step that was the first has no state to keep
    for name in same:
        np.testing.assert_allclose(scales[1][name], scales[0][name], rtol=1e-6, err_msg=name)

    data = [_data(start, length) for length in (LENGTH, LONGER)]
    values = [
        {n: layer.values for n, layer in c.calibrate(x, progress=False).layers.items()}
        for c, x in zip((first, second), data, strict=True)
    ]
    assert all(values[0][name] == values[1][name] for name in same & values[0].keys())
    assert any(name in same for name in values[0])

    spikes = [
        {n: int(s.sum()) for n, s in c.run(x, STEPS, progress=False).spike_counts().items()}
        for c, x in zip((first, second), data, strict=True)
    ]
    assert {n: spikes[1][n] for n in same} == {n: spikes[0][n] for n in same}
    assert sum(spikes[1].values()) == sum(spikes[0].values()) > 0


def _settings(record: Record) -> list[str]:
    """What a record holds for, without the list of nodes that have no price."""
    return [f"{name}={value}" for name, value in record.how.items() if name != "not counted"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
@pytest.mark.parametrize(
    ("start", "kind", "operations"),
    [("Masking", "pooling", True), ("Embedding", "attention", False)],
)
def test_figures_do_not_depend_on_padding(start: str, kind: str, operations: bool) -> None:
    """Errors, rates, operations and joules of the whole network are those without it."""
    y = np.arange(SAMPLES) % 3
    found = []
    for length in (LENGTH, LONGER):
        conversion, x = _converted(start, kind, length), _data(start, length)
        records = conversion.evaluate(x, y, STEPS, operations=operations, progress=False).records
        whole = [r for r in records if "layer" not in r.how and r.name not in NETWORK_ITSELF]
        found.append({(r.name, *_settings(r)): r.value for r in whole})
    assert found[0].keys() == found[1].keys() and len(found[0]) > 5
    wrong = {n: (v, found[1][n]) for n, v in found[0].items() if not np.isclose(v, found[1][n])}
    assert not wrong


@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
def test_steps_that_no_sample_reaches_are_as_the_nearest_one() -> None:
    """Statistics hold nothing of them, and rules give them the threshold of the last with data."""
    conversion, x = _converted("Embedding", "SimpleRNN", LONGER), _data("Embedding", LONGER)
    layers = conversion.calibrate(x, progress=False).layers
    sizes = [len(layers[f"simple_rnn/step_{i}/output"].values.code) for i in range(LONGER)]
    assert [size > 0 for size in sizes] == [i < LENGTH for i in range(LONGER)]
    scales = [
        conversion.populations()[f"simple_rnn/step_{i}/output"].rate_scale for i in range(LONGER)
    ]
    np.testing.assert_array_equal(scales[LENGTH], scales[LENGTH - 1])
    np.testing.assert_array_equal(scales[LENGTH + 1], scales[LENGTH - 1])
    again = conversion.replace(calibration=conversion.calibrate(x, progress=False))
    np.testing.assert_array_equal(
        again.populations()[f"simple_rnn/step_{LENGTH}/output"].rate_scale, scales[LENGTH - 1]
    )
