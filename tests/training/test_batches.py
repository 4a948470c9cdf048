"""Data as users have it: batches of an iterable, samples held back, and what was computed once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset
from trainings import moved_arrays, trained

import spikewright as sw
from spikewright.errors import TrainingError
from spikewright.training.data import SampleStream, data_of
from spikewright.training.gradients import validation


class Batches:
    """An iterable that is no sequence; nobody knows how many batches it gives."""

    def __init__(self, *arrays: Any) -> None:
        self.arrays = arrays

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self.arrays[0]), 32):
            parts = tuple(array[start : start + 32] for array in self.arrays)
            yield parts if len(parts) > 1 else parts[0]


FORMS: dict[str, Any] = {
    "a loader of x": lambda x, y: DataLoader(torch.from_numpy(x), batch_size=32),
    "a loader of [x]": lambda x, y: DataLoader(TensorDataset(torch.from_numpy(x)), batch_size=32),
    "a loader of pairs": lambda x, y: DataLoader(
        TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), batch_size=32
    ),
    "values of a dictionary of pairs": lambda x, y: dict(enumerate(Batches(x, y))).values(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_batches_trains_alike(
    conversion: sw.Conversion, digits: tuple[Any, Any], form: str
) -> None:
    """The same batches in the same order give the same weights, whatever holds them."""
    x, y = (values[:128] for values in digits)
    listed = [(x[i : i + 32], y[i : i + 32]) for i in range(0, len(x), 32)]
    same = listed if "pairs" in form else [batch for batch, _ in listed]
    found = [trained(conversion, data, epochs=2) for data in (FORMS[form](x, y), same)]
    assert not moved_arrays(*(result.conversion.graph for result in found))
    assert found[0].history[0].held_back is None
    assert found[0].kept == 2


def test_an_iterable_without_a_length(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """It is gone through once an epoch, and the loss falls."""
    history = trained(conversion, Batches(*(values[:256] for values in digits)), epochs=3).history
    assert history[2].loss < history[0].loss


def test_batches_are_judged_by_given_samples(
    conversion: sw.Conversion, digits: tuple[Any, Any]
) -> None:
    """Of an iterable the best epoch is kept, and budgets are met, on samples that were given."""
    x, y = digits
    batches = FORMS["a loader of pairs"](x[:256], y[:256])
    free = trained(conversion, batches, validation=(x[800:], y[800:]), epochs=2)
    accuracies = [epoch.held_back.accuracy for epoch in free.history]
    assert None not in accuracies
    budget = 0.5 * free.history[-1].held_back.spikes
    held = FORMS["a loader of pairs"](x[800:], y[800:])
    made = trained(conversion, batches, validation=held, spikes=budget, epochs=2).conversion
    sent = made.run(x[800:], steps=2, progress=False).spike_counts()
    assert 0.9 * budget <= sum(counts.mean() for counts in sent.values()) <= budget


def test_thresholds_see_many_samples_however_small_the_batches(
    conversion: sw.Conversion, digits: tuple[Any, Any]
) -> None:
    """Batches are gathered before a training; of a generator only the first is, for no other is."""
    x, y = digits
    gone = iter([x[:7], x[7:20]])
    once = data_of(conversion, gone, None)
    assert isinstance(once, SampleStream) and len(once.first(500, 0)) == 7 and len(next(gone)) == 13
    assert len(next(iter(once.shuffled(500, 0, 0)))) == 7  # and it is trained on all the same
    batches = data_of(conversion, [(x[i : i + 7], y[i : i + 7]) for i in range(0, 700, 7)], None)
    assert isinstance(batches, SampleStream)
    found = batches.first(500, 0)
    np.testing.assert_array_equal(next(iter(found.x.values())), x[:504])
    np.testing.assert_array_equal(next(iter(found.y.values())).values, y[:504])


def weights(training: Any) -> list[Any]:
    """All arrays of a trained network, and its thresholds."""
    graph = training.conversion.graph
    arrays = [array for node in graph for array in node.layer.arrays().values()]
    return [*arrays, *training.conversion.resolved["scale_firing_rates"].values()]


@pytest.mark.parametrize("own", [False, True], ids=["of torch", "its own"])
def test_a_loader_that_shuffles_many_samples(
    conversion: sw.Conversion, digits: tuple[Any, Any], own: bool
) -> None:
    """The seed decides on its order, of thresholds as well, whatever torch has drawn before."""
    x = torch.from_numpy(digits[0][:700])
    found = []
    for drawn in (1, 2):
        torch.manual_seed(drawn)
        generator = torch.Generator().manual_seed(drawn) if own else None
        loader = DataLoader(TensorDataset(x), batch_size=64, shuffle=True, generator=generator)
        found.append(weights(trained(conversion, loader, epochs=1, thresholds="chosen")))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_the_loss_is_that_of_samples_and_not_of_batches(
    conversion: sw.Conversion, digits: tuple[Any, Any]
) -> None:
    """The loss of samples held back is the same for all sizes of batches, of one sample too.

    So it is for an array that is given by the input's name.
    """
    x = digits[0]
    how = {"validation": x[200:233], "epochs": 1, "learning_rate": 1e-12, "keep": "last"}
    named = {conversion.graph.inputs[0]: x[:33]}
    found = [
        trained(conversion, named, batch_size=size, **how).history[0].held_back.loss
        for size in (33, 1, 7, 32, 400)
    ]
    assert found == pytest.approx(5 * found[:1], rel=1e-4)


def test_a_generator_at_its_end(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """A generator has nothing for a second epoch, and a budget needs samples to judge by.

    It is said before anything is trained; only a time that ends first may make it right.
    """
    x = digits[0]
    with pytest.raises(TrainingError, match=r"epochs=2: x is an iterator.* Give epochs=1"):
        trained(conversion, (batch for batch in [x[:50], x[50:100]]), epochs=2)
    with pytest.raises(TrainingError, match="epoch 2: x gave no batch"):
        trained(conversion, (batch for batch in [x[:50], x[50:100]]), epochs=2, timeout=60)
    with pytest.raises(TrainingError, match=r"spikes: is measured .*validation=\(x, y\)"):
        trained(conversion, Batches(x[:100]), spikes=5.0)


def test_what_the_source_answers_is_computed_once(
    conversion: sw.Conversion,
    digits: tuple[Any, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With several epochs every sample goes through the source once, if outputs fit into memory.

    Outputs that are computed anew in every batch lead to the same network, but for rounding.
    """
    seen = []
    ask = validation.Teacher.outputs

    def counted(self: Any, batch: Any) -> Any:
        if not batch.samples.aside:
            seen.append(len(batch))
        return ask(self, batch)

    monkeypatch.setattr(validation.Teacher, "outputs", counted)
    x = digits[0][:200]
    found = [trained(conversion, x)]
    first = 0.9 * len(x)  # those that are trained on, for the units of squares
    assert sum(seen) == first + len(x)
    seen.clear()
    monkeypatch.setattr(validation, "TARGET_MEMORY", 0)
    found.append(trained(conversion, x))
    assert sum(seen) >= 3 * len(x)
    losses = [[epoch.loss for epoch in result.history] for result in found]
    np.testing.assert_allclose(*losses, rtol=1e-3)
