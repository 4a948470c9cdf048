"""Imitation of the mean over views: the source's answers for a sample and its mirror image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from trainings import trained

import spikewright as sw
from spikewright.errors import TrainingError
from spikewright.graph import evaluate_all


def mirrored(x: Any) -> Any:
    """Images, left and right exchanged."""
    return x[..., ::-1]


def same(x: Any) -> Any:
    """As they are."""
    return x


def weights(training: Any) -> list[Any]:
    """All arrays of the trained network."""
    return [a for node in training.conversion.graph for a in node.layer.arrays().values()]


def outputs(conversion: sw.Conversion, x: Any) -> Any:
    """The source's logits."""
    (name,), (output,) = conversion.graph.inputs, conversion.graph.outputs.values()
    return evaluate_all(conversion.canonical, {name: x})[output]


@pytest.mark.parametrize("batches", [False, True], ids=["samples", "batches"])
@pytest.mark.parametrize("layers", [0.0, 1.0])
def test_the_mean_of_the_outputs_is_imitated(
    conversion: sw.Conversion, digits: tuple[Any, Any], batches: bool, layers: float
) -> None:
    """A loss is given the mean of the source's outputs for the samples and for every view."""
    x, given = digits[0][:64], []

    def loss(made: Any, wanted: Any) -> Any:
        given.append(wanted)
        return nn.functional.mse_loss(made, wanted)

    trained(
        conversion, [x] if batches else x, loss=loss, views=(mirrored, lambda x: 0.5 * x),
        epochs=1, batch_size=64, validation=0.0, layers=layers,
    )  # fmt: skip
    seen = (x, mirrored(x), 0.5 * x)
    wanted = np.mean([outputs(conversion, view.astype(np.float64)) for view in seen], axis=0)
    found = given[0].numpy()
    order = [int(np.abs(wanted - row).sum(axis=1).argmin()) for row in found]
    assert sorted(order) == list(range(64))
    np.testing.assert_allclose(found, wanted[order], rtol=1e-4, atol=1e-4)


def test_a_view_that_changes_nothing(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """Gives the same weights to the last bit; a mirror image gives others."""
    x = digits[0][:200]
    plain, one, other = (trained(conversion, x, views=v) for v in ((), same, mirrored))
    for a, b in zip(weights(plain), weights(one), strict=True):
        np.testing.assert_array_equal(a, b)
    changed = zip(weights(plain), weights(other), strict=True)
    assert any(not np.array_equal(a, b) for a, b in changed)


def test_what_a_source_learned_of_one_view_is_learned_of_the_other(
    digits: tuple[Any, Any],
) -> None:
    """A source that knows nothing of mirror images teaches what it says of the images themselves.

    So a network that imitates both views is nearer to the source's mean of both than one that
    imitates the images alone.
    """
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)).eval()
    made = sw.convert(
        model, spiking={"relu": sw.BipolarIntegrateAndFire()}, example_input=digits[0][:1]
    )
    x, unseen = digits[0][:600], digits[0][700:]
    wanted = (outputs(made, unseen) + outputs(made, mirrored(unseen))) / 2
    apart = []
    for views in ((), (mirrored,)):
        found = trained(made, x, views=views, epochs=10).conversion
        said = found.run(unseen, steps=2, progress=False).predict()
        apart.append(np.square(said - wanted).mean())
    assert apart[1] < 0.7 * apart[0]


def test_two_inputs_are_given_by_name() -> None:
    """A function of a network with several inputs has and gives all of them."""

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.act = nn.Linear(3, 8), nn.Linear(4, 8), nn.ReLU()
            self.out = nn.Linear(8, 2)

        def forward(self, a: Any, b: Any) -> Any:
            return self.out(self.act(self.a(a) + self.b(b)))

    rng = np.random.default_rng(0)
    x = {n: rng.normal(size=(40, k)).astype(np.float32) for n, k in (("a", 3), ("b", 4))}
    made = sw.convert(
        Sum().eval(), spiking={"relu": sw.BipolarIntegrateAndFire()},
        example_input=tuple(torch.from_numpy(v[:1]) for v in x.values()),
    )  # fmt: skip
    seen = []

    def halved(given: Any) -> Any:
        seen.append({name: values.shape[1:] for name, values in given.items()})
        return {name: 0.5 * values for name, values in given.items()}

    trained(made, x, views=halved, epochs=1)
    assert seen and all(shapes == {"a": (3,), "b": (4,)} for shapes in seen)
    with pytest.raises(TrainingError, match=r"views: the function must give .* for 'a', 'b'"):
        trained(made, x, views=lambda given: {"a": given["a"]}, epochs=1)


@pytest.mark.parametrize(
    ("views", "message"),
    [
        ("mirrored", "views must be a function of a batch, or several, got 'mirrored'"),
        ([mirrored, None], "views must be a function of a batch, or several"),
        (lambda x: x[:, :, 1:], r"views: input .* has shape \(100, 1, 8, 8\), .* \(100, 1, 7, 8\)"),
        (lambda x: x * np.nan, "views: the function gave NaN or infinite values for input"),
    ],
)
def test_views_that_are_none(
    conversion: sw.Conversion, digits: tuple[Any, Any], views: Any, message: str
) -> None:
    """Others than functions, and views that have another shape or are not finite, are named."""
    with pytest.raises(TrainingError, match=message):
        trained(conversion, digits[0][:100], views=views, batch_size=100, validation=0.0)


def test_views_are_for_imitation(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """Where truth alone is learned they would do nothing."""
    x, y = (values[:100] for values in digits)
    with pytest.raises(TrainingError, match=r'views are for imitating .*"truth" does not'):
        trained(conversion, x, y, loss="truth", views=mirrored)


def test_a_checkpoint_knows_its_views(
    conversion: sw.Conversion, digits: tuple[Any, Any], tmp_path: Path
) -> None:
    """The same views go on; other views are another call."""
    path, x = tmp_path / "training", digits[0][:100]
    first = trained(conversion, x, views=mirrored, epochs=1, checkpoint=path)
    again = trained(conversion, x, views=[mirrored], epochs=1, checkpoint=path)
    assert again.history == first.history
    with pytest.raises(TrainingError, match="differs in views"):
        trained(conversion, x, views=same, epochs=1, checkpoint=path)
