"""Layers that are exact after a number of steps say so, and runs of another length warn."""

from __future__ import annotations

import html
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from torch import nn

import spikewright as sw
from slowly import of_each_type
from spikewright.cli import main
from spikewright.conversion import watch
from spikewright.errors import ConversionWarning
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input
from spikewright.lower.trace import exact_after, kind_of, weakest
from spikewright.network.neurons import NeuronType
from spikewright.report.page import write_html
from spikewright.showing.inspection import inspect
from spikewright.testing.modelling import neuron_type_examples

LEVELS, THRESHOLD = 4, 2.0
NEURONS = {e.id: e.neuron_type for e in of_each_type(neuron_type_examples())}


def _module(*levels: int) -> nn.Sequential:
    torch.manual_seed(0)
    parts = [[nn.Linear(8, 8), sw.torch.RoundedReLU(n, THRESHOLD)] for n in levels]
    return nn.Sequential(*(part for pair in parts for part in pair), nn.Linear(8, 3)).eval()


def _data(samples: int = 40) -> NDArray:
    return np.random.default_rng(1).normal(0, 2, (samples, 8)).astype(np.float32)


def _conversion(*levels: int, **choices: Any) -> sw.Conversion:
    choices = {"spiking": True, **choices}
    return sw.convert(_module(*(levels or (LEVELS, LEVELS))), example_input=_data()[:1], **choices)


def _warned(does: Callable[[], object]) -> list[str]:
    """What is said of lengths."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        does()
    texts = [str(w.message) for w in caught if issubclass(w.category, ConversionWarning)]
    return [text for text in texts if "exact after" in text or "comes at once" in text]


def _error(conversion: sw.Conversion, steps: int, dt: float = 1e-3) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        found = conversion.run(_data(), steps, dt, progress=False).predict()
    wanted = _module(LEVELS, LEVELS)(torch.tensor(_data())).detach().numpy()
    return float(np.abs(found - wanted).max())


def test_the_status_names_the_steps_after_which_a_layer_is_exact(tmp_path: Path) -> None:
    """In traces, guarantees, tables, reports and files: the source's values are there, once."""
    conversion = _conversion()
    conversion.save(tmp_path / "rounded.sw")
    loaded = sw.load(tmp_path / "rounded.sw")

    assert _error(conversion, LEVELS) < 1e-5 < 0.05 < _error(conversion, LEVELS + 1)
    for one in (conversion, loaded):
        assert one.trace.guarantee == "exact after 4 steps"
        assert [e.status for e in one.trace if e.layer.startswith("1 ")] == ["exact after 4 steps"]
        assert str(one.trace).count("exact after 4 steps") == 2
        assert one._repr_html_().count("exact after 4 steps") == 3  # the network and two layers
    assert inspect(_module(4), example_input=_data()[:1]).guarantee == "exact after 4 steps"
    write_html(tmp_path / "report.html", (), trace=conversion.trace)
    page = html.unescape((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "2 exact after 4 steps (has the source's values at that number of steps alone)" in page


WAYS: Mapping[str, Callable[[sw.Conversion, int], object]] = {
    "run": lambda c, steps: c.run(_data(), steps, progress=False),
    "evaluate": lambda c, steps: c.evaluate(_data(), None, steps, progress=False),
    "evaluate with noise": lambda c, steps: c.evaluate(
        _data(), None, steps, noise=sw.DeviceNoise(weights=0.05, draws=2), progress=False
    ),
    "diagnose": lambda c, steps: c.diagnose(_data(), None, steps, progress=False),
    "watch": lambda c, steps: watch(c, _data(1), steps),
    "stream": lambda c, steps: _streamed(c, steps),
    "sweep": lambda c, steps: sw.sweep(c, _data(), scales=None, steps=steps, progress=False),
}


def _streamed(conversion: sw.Conversion, steps: int) -> object:
    with conversion.stream() as stream:
        for _ in range(steps):
            stream.step(_data(1)[0])
        return stream.predict()


@pytest.mark.parametrize("way", WAYS)
def test_a_run_of_another_length_warns(way: str) -> None:
    """Whatever measures: with the layers, the length that is right and the one that was run."""
    conversion = _conversion()
    assert _warned(lambda: WAYS[way](conversion, LEVELS)) == []
    (text,) = _warned(lambda: WAYS[way](conversion, LEVELS + 1))

    assert "(1 RoundedReLU, 3 RoundedReLU) are exact after 4 steps and at no other length" in text
    assert "5 steps of 1 ms: outputs are not the source's. Run 4 steps" in text


def test_commands_warn_of_another_length(tmp_path: Path) -> None:
    """As the library does: a network in a file knows its length."""
    _conversion().save(tmp_path / "rounded.sw")
    np.savez(tmp_path / "data.npz", x=_data())
    words = ["run", str(tmp_path / "rounded.sw"), "--data", str(tmp_path / "data.npz"), "--steps"]
    right, other = (CliRunner().invoke(main, [*words, n]) for n in ("4", "5"))

    assert (right.exit_code, other.exit_code) == (0, 0)
    assert "exact after 4 steps" not in right.output
    assert "exact after 4 steps and at no other length" in other.output


def test_a_length_is_told_once() -> None:
    """For each conversion and length; of batches, and of the same run again, nothing is said."""
    conversion = _conversion()
    found = [
        _warned(lambda steps=steps: conversion.run(_data(), steps, progress=False, batch_size=8))
        for steps in (5, 5, 4, 6)
    ]

    assert [len(texts) for texts in found] == [1, 0, 0, 1]


def test_it_is_a_time_that_makes_it_exact() -> None:
    """Twice the steps of half the length; and the firing-rate scale sets which time it is."""
    conversion, fast = _conversion(), _conversion(scale_firing_rates=2000.0 / THRESHOLD)

    assert _error(conversion, 8, 5e-4) < 1e-5
    assert _warned(lambda: conversion.run(_data(), 8, 5e-4, progress=False)) == []
    assert len(_warned(lambda: conversion.run(_data(), 4, 5e-4, progress=False))) == 1
    assert fast.trace.guarantee == "exact after 2 steps"
    assert _error(fast, 2) < 1e-5 < 0.05 < _error(fast, 4)


def test_layers_of_different_levels_are_exact_at_no_number_of_steps() -> None:
    """The guarantee and every run say so; the scale that the warning names makes them agree."""
    conversion, x = _conversion(2, 4), _data()
    (text,) = _warned(lambda: conversion.run(x, 4, progress=False))
    scales = {"1": 2 / (THRESHOLD * 0.004), "3": 4 / (THRESHOLD * 0.004)}
    together = conversion.replace(scale_firing_rates=scales)
    wanted = _module(2, 4)(torch.tensor(x)).detach().numpy()

    assert conversion.trace.guarantee == "exact after different numbers of steps (2, 4)"
    assert "(1 RoundedReLU after 2 steps, 3 RoundedReLU after 4 steps)" in text
    assert "levels / (threshold x 0.004)" in text
    assert together.trace.guarantee == "exact after 4 steps"
    np.testing.assert_allclose(together.run(x, 4, progress=False).predict(), wanted, atol=1e-5)


def test_a_step_of_a_sequence_is_a_run() -> None:
    """With `sequence_step` that number is the length: another one warns, however long the run."""

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(3, 8, nonlinearity="relu", batch_first=True)
            self.rounded = sw.torch.RoundedReLU(LEVELS, THRESHOLD)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.rounded(self.rnn(x)[0])

    torch.manual_seed(0)
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    found = {
        step: _warned(
            lambda step=step: sw.convert(
                Network().eval(), example_input=x[:1], spiking=True, sequence_step=step
            ).run(x, progress=False)
        )
        for step in (LEVELS, LEVELS + 1)
    }

    assert found[LEVELS] == []
    assert "a step of the sequence has 5 steps" in found[LEVELS + 1][0]


def test_a_run_shorter_than_what_comes_at_once_warns() -> None:
    """Input of the steps whose spikes have heights comes in the first: less of them have too much.

    Their values are that many times too large, in every run but one that is long enough.
    """
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    kind = sw.BipolarIntegrateAndFire(spike_heights=(4, 2, 1, 1))
    conversion = sw.convert(
        module, example_input=_data()[:1], spiking={"relu": kind}, scale_firing_rates=400.0
    )
    wanted = module(torch.tensor(_data())).detach().numpy()
    errors = [
        np.abs(conversion.run(_data(), n, progress=False).predict() - wanted).max() for n in (4, 2)
    ]

    (text,) = _warned(lambda: conversion.replace().run(_data(), 2, progress=False))
    assert "the input of 4 comes at once" in text
    assert "2 times too large" in text
    assert _warned(lambda: conversion.run(_data(), 4, progress=False)) == []
    assert errors[1] > 2 * errors[0]


POINTS = np.linspace(-3.0, 2.0, 61) + 0.01  # below the threshold, between the edges of levels


def _graph(size: int) -> Graph:
    """A layer that rounds; its input is clipped, so that unclipped responses may agree with it."""
    rounds = {"levels": LEVELS, "threshold": THRESHOLD, "start": 0.5}
    return Graph(
        (
            GraphNode("x", Input((size,))),
            GraphNode("into", Affine(np.eye(size)), ("x",)),
            GraphNode("layer", Activation("rounded_relu", rounds), ("into",), "layer", "Layer"),
            GraphNode("end", Affine(np.eye(size)), ("layer",)),
        ),
        {"y": "end"},
    )


def _with_neurons(kind: NeuronType) -> sw.Conversion:
    scale = 1000.0 / THRESHOLD if kind.spiking and kind.scaling != "refused" else 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        return sw.convert(_graph(len(POINTS)), spiking={"layer": kind}, scale_firing_rates=scale)


@pytest.mark.parametrize("name", NEURONS)
def test_what_a_neuron_type_promises_of_a_layer_that_rounds_is_measured(name: str) -> None:
    """Law of the registry: one that is called exact after N steps has the values after N."""
    conversion = _with_neurons(NEURONS[name])
    status = conversion.trace.status("layer")
    if kind_of(status) == "exact after":
        assert status == exact_after(LEVELS * 1e-3)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConversionWarning)
            found = conversion.run(POINTS[None], LEVELS, progress=False).predict()[0]
        wanted = conversion.graph["layer"].layer.evaluate(POINTS)
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    else:
        assert status in ("approximated", "exact")
        assert status == "approximated" or not NEURONS[name].spiking


def test_the_default_neurons_of_a_layer_that_rounds_are_exact_after_its_levels() -> None:
    """So that the law above has a case; a cap, a delay and a start of one's own take it away."""
    plain = sw.convert(_graph(4), spiking=True)
    others: tuple[dict[str, Any], ...] = (
        {"max_spikes_per_step": 1}, {"synapse": 0.005}, {"initial_voltage": "zero"},
        {"scale_firing_rates": 3000.0},  # exact after 2/3 of a step
    )  # fmt: skip

    assert plain.trace.status("layer") == "exact after 4 steps"
    for choices in others:
        assert plain.replace(**choices).trace.status("layer") == "approximated"


def test_neurons_whose_spikes_depend_on_their_order_are_not_called_exact() -> None:
    """On values that the threshold does not reach, integrate-and-fire answers the same mean."""
    nodes = list(_graph(4))
    nodes[1] = GraphNode("into", Activation("clip", {"minimum": 0.0, "maximum": 1.5}), ("x",))
    graph = Graph(tuple(nodes), {"y": "end"})
    kinds = {"clip": sw.RunningMeanSpiking(sw.ClippedReLU(1.5)), "layer": sw.IntegrateAndFire()}
    status = sw.convert(graph, spiking=kinds).trace.status("layer")

    assert status == "approximated"


def test_a_synapse_takes_the_word_exact_from_rate_neurons_too() -> None:
    """What it delays is not there at every step: the mean tends to it."""
    module = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    late = sw.convert(module, example_input=_data()[:1], synapse=0.005)
    errors = [
        np.abs(
            late.run(_data(), n, progress=False).predict("mean")
            - module(torch.tensor(_data())).detach().numpy()
        ).max()
        for n in (10, 1000)
    ]

    assert late.trace.guarantee == "convergent"
    assert errors[0] > 20 * errors[1] > 0


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        (["exact", "exact after 4 steps", "exact after 4 steps"], "exact after 4 steps"),
        (["exact after 12 steps", "exact after 1 step"],
         "exact after different numbers of steps (1, 12)"),
        (["convergent", "exact after 4 steps"], "approximated"),
        (["convergent", "exact"], "convergent"),
        (["exact after 4 steps", "approximated"], "approximated"),
    ],
)  # fmt: skip
def test_the_guarantee_of_a_whole_is_the_weakest(parts: list[str], whole: str) -> None:
    """Beside a layer that needs ever more steps one that is exact after a number is not exact."""
    assert weakest(parts) == whole
    assert weakest([whole]) == whole
