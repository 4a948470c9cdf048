"""Placements that others publish, reproduced: sinabs', nengo-loihi's and Rockpool's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from building import dense, given, population, reads

import spikewright as sw
from spikewright import chips

torch = pytest.importorskip("torch")
nn = torch.nn


def _n_mnist() -> Any:
    """The network of sinabs' quick start with N-MNIST, of 2 x 34 x 34 events."""
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1, bias=False), nn.ReLU(), nn.AvgPool2d(2, 2),
        nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.ReLU(), nn.AvgPool2d(2, 2),
        nn.Conv2d(16, 16, 3, padding=1, stride=2, bias=False), nn.ReLU(),
        nn.Flatten(), nn.Linear(256, 10, bias=False), nn.ReLU(),
    )  # fmt: skip


def _basics() -> Any:
    """The network of sinabs' page "The basics", of 1 x 28 x 28 pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 5, bias=False), nn.ReLU(), nn.AvgPool2d(2, 2),
        nn.Conv2d(20, 32, 5, bias=False), nn.ReLU(), nn.AvgPool2d(2, 2),
        nn.Conv2d(32, 128, 3, bias=False), nn.ReLU(), nn.AvgPool2d(2, 2),
        nn.Flatten(), nn.Linear(128, 500, bias=False), nn.ReLU(),
        nn.Linear(500, 10, bias=False), nn.ReLU(),
    )  # fmt: skip


SPECK = [
    # the cores that the page prints; words of memory as sinabs 3.1.3 counts them
    (_n_mnist, (2, 34, 34), [0, 1, 2, 3], [256, 2048, 4096, 4096], [32768, 16384, 256, 10]),
    # cores and words as sinabs 3.1.3 chooses and counts them
    (_basics, (1, 28, 28), [0, 3, 5, 6, 1], [1024, 20480, 65536, 65536, 8000],
     [20480, 2048, 512, 500, 10]),
]  # fmt: skip


@pytest.mark.parametrize(("model", "shape", "cores", "kernels", "neurons"), SPECK)
def test_sinabs_examples(
    model: Any, shape: Any, cores: list[int], kernels: list[int], neurons: list[int]
) -> None:
    """Both networks of sinabs' documentation: the same cores, and the same words of memory."""
    torch.manual_seed(0)
    conversion = sw.convert(
        model(),
        example_input=torch.zeros(1, *shape),
        spiking={"relu": sw.IntegrateAndFire(voltage_floor=1)},
    )
    fit = conversion.fits("speck")
    limits = chips.profile("speck").limits

    assert fit.verdict == "fits"
    assert [layer.numbers for layer in fit.layers] == [(core,) for core in cores]
    for layer, core, kernel, neuron in zip(fit.layers, cores, kernels, neurons, strict=True):
        assert layer.shares["core_kernel_words"] * limits.core_kernel_words[core] == kernel
        assert layer.shares["core_neuron_words"] * limits.core_neuron_words[core] == neuron


def test_sinabs_layer_that_cannot_be_deployed() -> None:
    """The layer of sinabs' overview: 8 Ki words of weights, 128 Ki of neurons: no core has them."""
    with sw.Network() as network:
        weights = np.random.default_rng(0).normal(size=(32, 16, 3, 3))
        layer = population((32, 64, 64), label="conv")
        reads(layer, given((16, 64, 64)), sw.Convolution(weights, padding=((1, 1), (1, 1))))
    fit = chips.fits(network, "speck")

    assert [broken.rule for broken in fit.broken] == ["limits.core_neuron_words"]
    assert "its neurons take 131,072 words, of at most 65,536" in str(fit.broken[0])
    assert fit.layers[0].shares["core_kernel_words"] in (8192 / 16384, 8192 / 32768, 8192 / 65536)


@pytest.mark.parametrize(("rows", "verdict"), [(16, "fits"), (17, "does not fit")])
def test_layer_that_no_core_has_both_memories_for(rows: int, verdict: str) -> None:
    """Cores with 64 Ki words of weights have 16 Ki of neurons: 16 rows of 16 x 64 fill both."""
    with sw.Network() as network:
        weights = np.random.default_rng(0).normal(size=(64, 64, 3, 3))
        layer = population((64, rows, 16), label="conv")
        kernel = sw.Convolution(weights, padding=((1, 1), (1, 1)))
        reads(layer, given((64, rows, 16)), kernel)
    fit = chips.fits(network, "speck")

    assert fit.verdict == verdict
    if rows == 17:
        (broken,) = fit.broken
        assert broken.rule == "limits.cores" and broken.layer == "conv"
        both = "has both 65,536 words of weights and 32,768 of neurons. fewer channels"
        assert f"no core of 9 {both}" in str(broken)


@pytest.mark.parametrize(
    ("shape", "cores", "share"),
    [((4, 32, 32), 4, 1.0), (1025, 2, 513 / 1024), (2048, 2, 1.0)],
)
def test_nengo_loihi_splits(shape: Any, cores: int, share: float) -> None:
    """Populations that nengo-loihi's pages split.

    The image of 32 x 32 x 4 neurons of its tips takes four blocks of 1024. Its developers say that
    1025 neurons take two cores, about half used, and 2048 two that are full; a block takes a core.
    """
    with sw.Network() as network:
        population(shape)
    (layer,) = chips.fits(network, "loihi1").layers

    assert layer.cores == cores
    assert layer.shares["core_neurons"] == pytest.approx(share)


ROCKPOOL = [
    # what Rockpool 3.1.0's mappers say of networks of these sizes
    ("xylo_audio2", (16, 63, 8), True),
    ("xylo_audio2", (16, 40, 30, 8), True),
    ("xylo_audio2", (16, 1000, 8), True),
    ("xylo_audio2", (16, 1001, 8), False),
    ("xylo_audio2", (16, 63, 9), False),
    ("xylo_audio3", (16, 40, 30, 8), True),
    ("xylo_audio3", (16, 63, 9), True),
    ("xylo_audio3", (16, 1000, 8), False),
    ("xylo_audio3", (16, 63, 33), False),
]


@pytest.mark.parametrize(("chip", "sizes", "mapped"), ROCKPOOL)
def test_rockpool_maps(chip: str, sizes: tuple[int, ...], mapped: bool) -> None:
    """All hidden layers share the chip's hidden neurons; what Rockpool maps fits, and no more."""
    with sw.Network() as network:
        before: Any = given(sizes[0])
        for size in sizes[1:]:
            layer = population(size)
            dense(layer, before)
            before = layer
    fit = chips.fits(network, chip)
    room = chips.profile(chip).limits.hidden

    assert fit.fits is mapped
    taken = sum(layer.shares.get("hidden", 0) for layer in fit.layers) * room
    assert taken == pytest.approx(sum(sizes[1:-1]))
    assert fit.bottleneck is not None
    assert fit.bottleneck.layer == ""
    assert (fit.bottleneck.share <= 1) is mapped
