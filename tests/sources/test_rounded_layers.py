"""`RoundedReLU` in both frameworks: its values, its gradients, and the spikes that it becomes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import spikewright as sw
from slowly import in_turn
from spikewright.errors import MissingExtraError, TrainingError
from spikewright.lower.trace import exact_after

FRAMEWORKS = ("keras", "torch")
THETA, START = 0.8, 0.5


def _layer(framework: str, levels: int = 4, start: float = START) -> Any:
    return getattr(sw, framework).RoundedReLU(levels, THETA, start=start)


def _called(layer: Any, x: torch.Tensor, training: bool = True) -> torch.Tensor:
    if isinstance(layer, keras.Layer):
        return layer(x, training=training)
    return layer.train(training)(x)


def _parameter(layer: Any) -> torch.Tensor:
    """The threshold that is learned."""
    return layer.threshold.value if isinstance(layer, keras.Layer) else layer.threshold


def _data(seed: int, *shape: int) -> NDArray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("levels", "start", "framework", "training"),
    in_turn(2 * [1, 2, 5, 16], [0.0, 0.3, 0.5], FRAMEWORKS, [True, False]),
)
def test_its_values_are_those_of_the_formula(
    framework: str, levels: int, start: float, training: bool
) -> None:
    """`theta/L clip(floor(L x / theta + start), 0, L)`, in training and in use."""
    x = _data(levels, 50, 7)
    made = _called(_layer(framework, levels, start), torch.tensor(x), training).detach().numpy()
    step = THETA / levels
    wanted = step * np.clip(np.floor(x.astype(float) / step + start), 0, levels)

    np.testing.assert_allclose(made, wanted, atol=1e-6)
    assert (wanted == 0).any() and (wanted == THETA).any()
    assert len(np.unique(wanted)) == levels + 1


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_its_gradients_are_those_of_learned_step_sizes(framework: str) -> None:
    """To x: 1 from 0 to theta, else 0. To theta: y/theta - x/theta within, 1 above, weighted.

    The weight is 1 / sqrt(values a sample x levels).
    """
    levels, values = 4, 6
    layer = _layer(framework, levels)
    x = torch.tensor(_data(1, 40, values), requires_grad=True)
    weights = torch.tensor(_data(2, 40, values))
    y = _called(layer, x)
    to_x, to_theta = torch.autograd.grad((y * weights).sum(), [x, _parameter(layer)])
    inside, above = (x > 0) & (x < THETA), x >= THETA
    by_theta = torch.where(inside, (y - x) / THETA, above.float())
    wanted = (weights * by_theta).sum() / np.sqrt(values * levels)

    torch.testing.assert_close(to_x, weights * inside)
    torch.testing.assert_close(to_theta, wanted.detach(), rtol=1e-4, atol=1e-6)
    assert inside.any() and above.any() and (x < 0).any()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_threshold_is_learned(framework: str) -> None:
    """From far too high it falls towards the size of what it has to pass on."""
    layer = getattr(sw, framework).RoundedReLU(3, 5.0)
    x = torch.tensor(np.abs(_data(3, 200, 4)) / 2)
    _called(layer, x)
    optimiser = torch.optim.Adam([_parameter(layer)], 0.05)
    losses = []
    for _ in range(100):
        optimiser.zero_grad()
        loss = (_called(layer, x) - x).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))

    assert float(_parameter(layer)) < 2.5
    assert losses[-1] < 0.2 * losses[0]


def _keras_model(levels: int, start: float) -> keras.Model:
    keras.utils.set_random_seed(levels)
    image = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3)(image)
    x = sw.keras.RoundedReLU(levels, 0.9, start)(keras.layers.BatchNormalization()(x))
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(2)(x))
    x = sw.keras.RoundedReLU(levels, 0.6, start)(keras.layers.Dense(12)(x))
    return keras.Model(image, keras.layers.Dense(3)(x))


def _torch_model(levels: int, start: float) -> nn.Module:
    torch.manual_seed(levels)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), sw.torch.RoundedReLU(levels, 0.5, start), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(16, 12), sw.torch.RoundedReLU(levels, 0.2, start), nn.Linear(12, 3),
    )  # fmt: skip


def _same(made: NDArray, wanted: NDArray) -> None:
    """Equal but for samples with a value at an edge, where float32 decides: one in fifty."""
    apart = np.abs(made - wanted).max(axis=1) > 1e-5
    assert apart.sum() <= len(wanted) / 50
    assert np.ptp(wanted, axis=0).min() > 0.02


@pytest.mark.parametrize(("levels", "start"), in_turn([1, 2, 3, 8], [0.0, 0.5]))
def test_a_keras_model_is_its_spiking_network(levels: int, start: float) -> None:
    """After `levels` steps outputs are those of the model; convolution, pools and dense layers."""
    model, x = _keras_model(levels, start), _data(levels, 100, 6, 6, 2)
    conversion = sw.convert(model, spiking=True)
    run = conversion.run(x, steps=levels, progress=False)

    _same(run.predict(), model.predict(x, verbose=0))
    assert conversion.trace.guarantee == exact_after(levels * 1e-3)


@pytest.mark.parametrize(("levels", "start"), in_turn([1, 2, 3, 8], [0.0, 0.5]))
def test_a_torch_module_is_its_spiking_network(levels: int, start: float) -> None:
    """The same, read from the operations that it is traced as."""
    module, x = _torch_model(levels, start), 2 * _data(levels, 100, 2, 6, 6)
    conversion = sw.convert(module, example_input=x[:1], spiking=True)
    run = conversion.run(x, steps=levels, progress=False)

    _same(run.predict(), module.eval()(torch.tensor(x)).detach().numpy())
    assert conversion.trace.guarantee == exact_after(levels * 1e-3)


@pytest.mark.parametrize("engine", ["native", "reference", "torch"])
def test_every_engine_sends_the_rounded_values(engine: str) -> None:
    """Threshold and start are the network's, so that no engine needs to know the layer."""
    module, x = _torch_model(4, 0.5), _data(5, 40, 2, 6, 6)
    conversion = sw.convert(module, example_input=x[:1], spiking=True)
    run = conversion.run(x, steps=4, engine=engine, progress=False)

    _same(run.predict(), module.eval()(torch.tensor(x)).detach().numpy())


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_file_of_a_keras_model_is_read(suffix: str, tmp_path: Path) -> None:
    """The layer is registered; a regulariser of ours in the file runs no code either."""
    model, x = _keras_model(3, 0.5), _data(6, 30, 6, 6, 2)
    model.layers[1].activity_regularizer = sw.keras.RateRange((1, 2))
    path = tmp_path / f"model{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    wanted = model.predict(x, verbose=0)

    run = sw.convert(path, spiking=True).run(x, steps=3, progress=False)
    _same(run.predict(), wanted)
    np.testing.assert_array_equal(keras.saving.load_model(path).predict(x, verbose=0), wanted)


def test_a_learned_threshold_stands_in_the_state_of_a_module() -> None:
    """`state_dict` has it, and a new module takes it."""
    first, second = _torch_model(4, 0.5), _torch_model(4, 0.5)
    with torch.no_grad():
        first[1].threshold.fill_(0.25)
    second.load_state_dict(first.state_dict())

    assert float(second[1].threshold) == 0.25


@pytest.mark.parametrize("kind", ["keras", "pt2"])
def test_exported_models_are_read_as_live_ones(kind: str, tmp_path: Path) -> None:
    """ONNX as Keras exports it, and a `torch.export` program, hold operations alone."""
    x = _data(7, 30, *((6, 6, 2) if kind == "keras" else (2, 6, 6)))
    if kind == "keras":
        model, path = _keras_model(4, 0.5), tmp_path / "model.onnx"
        wanted = model.predict(x, verbose=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.export(path, format="onnx", verbose=False)
    else:
        module, path = _torch_model(4, 0.5).eval(), tmp_path / "model.pt2"
        batch = ({0: torch.export.Dim("batch")},)
        torch.export.save(
            torch.export.export(module, (torch.tensor(x[:2]),), dynamic_shapes=batch), path
        )
        wanted = module(torch.tensor(x)).detach().numpy()

    _same(sw.convert(path, spiking=True).run(x, steps=4, progress=False).predict(), wanted)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"levels": 0}, "levels must be a whole number from 1, got 0"),
        ({"levels": 2.5}, "levels must be a whole number from 1, got 2.5"),
        ({"levels": 4, "threshold": 0.0}, "threshold must be a number above 0, got 0.0"),
        ({"levels": 4, "threshold": float("nan")}, "threshold must be a number above 0"),
        ({"levels": 4, "start": 1.0}, "start must be from 0, below 1, got 1.0"),
    ],
)
def test_impossible_arguments_are_refused(
    framework: str, arguments: dict[str, Any], words: str
) -> None:
    """By name and value, when the layer is made."""
    with pytest.raises(TrainingError, match=words):
        getattr(sw, framework).RoundedReLU(**arguments)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_missing_framework_is_one_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which says how to install it; the names are no part of `import *`."""
    import importlib
    import sys

    for module in [m for m in sys.modules if m.startswith(f"spikewright.sources.{name}")]:
        monkeypatch.delitem(sys.modules, module)
    found: Callable[..., Any] = importlib.import_module

    def missing(wanted: str, *rest: Any) -> Any:
        if wanted == name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return found(wanted, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(MissingExtraError, match=rf"spikewright\[{name}\]"):
        found(f"spikewright.sources.{name}")
    assert name not in sw.__all__


def test_other_numbers_of_steps_tend_to_what_is_rounded() -> None:
    """The mean over many steps is the clipped current: rounding was that of few spikes."""
    module, x = nn.Sequential(nn.Linear(3, 8), sw.torch.RoundedReLU(2, 0.9)), _data(8, 50, 3)
    conversion = sw.convert(module, example_input=x[:1], spiking=True)
    clipped = module[0](torch.tensor(x)).clamp(0, 0.9).detach().numpy()
    coarse, fine = (conversion.run(x, steps=n, progress=False).predict() for n in (2, 400))

    assert np.abs(coarse - clipped).max() > 0.1
    np.testing.assert_allclose(fine, clipped, atol=0.9 / 400)


def test_choices_of_the_user_are_kept_and_told() -> None:
    """A scale of one's own is no longer the layer's, and the trace says so."""
    module, x = _torch_model(4, 0.0), _data(9, 5, 2, 6, 6)
    own = sw.convert(module, example_input=x[:1], spiking=True)
    other = own.replace(scale_firing_rates=500.0)
    half = own.replace(scale_firing_rates={"1": None, "5": 100.0}, initial_voltage="half")

    scales = [[float(e.rate_scale) for e in c.populations().values()] for c in (own, other, half)]
    np.testing.assert_allclose(scales[0], [1 / 0.0005, 1 / 0.0002], rtol=1e-5)
    assert scales[1] == [500.0, 500.0]
    assert scales[2] == [scales[0][0], 100.0]
    starts = [[e.initial_voltage for e in c.populations().values()] for c in (own, half)]
    assert starts == [[0.0, 0.0], ["half", "half"]]
    assert own.trace.guarantee == "exact after 4 steps"
    numbers = "(16, 40)"  # levels / (scale x threshold) seconds, in milliseconds
    assert other.trace.guarantee == f"exact after different numbers of steps {numbers}"
    assert half.trace.guarantee == "approximated"
    assert "before they are rounded" in str(half.trace)


def test_a_saved_conversion_keeps_what_layers_brought_along(tmp_path: Path) -> None:
    """In numbers: it comes back with the same scales and starts, and spikes alike."""
    module, x = _torch_model(3, 0.0), _data(10, 20, 2, 6, 6)
    conversion = sw.convert(module, example_input=x[:1], spiking=True)
    conversion.save(tmp_path / "network.sw")
    loaded = sw.load(tmp_path / "network.sw")

    assert set(conversion.resolved["scale_firing_rates"]) == {"1 RoundedReLU", "5 RoundedReLU"}
    for one in (loaded, loaded.replace(), conversion.replace(**conversion.resolved)):
        np.testing.assert_array_equal(
            one.run(x, steps=3, progress=False).predict(),
            conversion.run(x, steps=3, progress=False).predict(),
        )


def test_training_goes_on_with_what_is_rounded() -> None:
    """`train` fits such a source to fewer steps than levels: neurons round anew."""
    module, x = _torch_model(8, 0.5), _data(11, 300, 2, 6, 6)
    conversion = sw.convert(module, example_input=x[:1], spiking=True)
    trained = conversion.train(x, steps=2, epochs=3, progress=False)

    losses = [epoch.held_back.loss for epoch in trained.history if epoch.held_back]
    assert len(losses) == 3 and np.isfinite(losses).all()
    found = trained.write_back(module)
    again = sw.convert(found, example_input=x[:1], **trained.conversion.resolved)
    np.testing.assert_allclose(
        again.run(x[:20], steps=2, progress=False).predict(),
        trained.conversion.run(x[:20], steps=2, progress=False).predict(),
        atol=1e-5,
    )
