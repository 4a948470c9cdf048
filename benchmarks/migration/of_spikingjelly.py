"""Rows about SpikingJelly 2."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from benchmarks.migration.driving import currents, driven, images, network, slopes, stepped
from benchmarks.migration.rows import row

PAGE, STEPS = "from_pytorch.md", 32


@lru_cache
def _samples() -> NDArray:
    (x, _), _ = sw.demo.digits()
    return (x[:256] / 16).astype(np.float32)


def _loader() -> list[Any]:
    import torch

    return [(torch.tensor(_samples()), torch.zeros(256))]


def _theirs(mode: str) -> tuple[NDArray, list[float]]:
    """Outputs of the converted network after so many steps, and the spikes of its layers."""
    import torch
    from spikingjelly.activation_based import ann2snn, functional, neuron

    recipe = ann2snn.RateCodingRecipe(_loader(), mode=mode)
    net = ann2snn.FXConverter(recipe).convert(copy.deepcopy(network())).eval()
    x, _ = images()
    nodes = [module for module in net.modules() if isinstance(module, neuron.IFNode)]
    counts = [0.0] * len(nodes)
    for place, node in enumerate(nodes):
        node.register_forward_hook(
            lambda _, __, sent, place=place: counts.__setitem__(place, counts[place] + sent.sum())
        )
    functional.reset_net(net)
    with torch.no_grad():
        sums = sum(net(torch.tensor(x)) for _ in range(STEPS))
    return np.asarray(sums) / STEPS, [float(count) / len(x) for count in counts]


def _ours(percentile: float) -> sw.Conversion:
    x, _ = images()
    rule = sw.Percentile(percentile)
    return sw.convert(network(), spiking=True, scale_firing_rates=rule, calibration=_loader(),
                      example_input=x[:1], max_spikes_per_step=1,
                      initial_voltage="zero")  # fmt: skip


def _compared(mode: str, percentile: float, within: float) -> str:
    x, y = images()
    outputs, counts = _theirs(mode)
    run = _ours(percentile).run(x, STEPS, progress=False)
    ours = [float(layer.mean()) for layer in run.spike_counts().values()]
    np.testing.assert_allclose(ours, counts, rtol=within)
    assert np.abs(run.predict() - outputs).max() <= (20 * within + 1e-5) * np.abs(outputs).max()
    right = [(found.argmax(axis=1) == y).mean() for found in (run.predict(), outputs)]
    assert abs(right[0] - right[1]) <= 0.01
    return f"{sum(ours):.0f} and {sum(counts):.0f} spikes an image, {right[0]:.1%} both"


@row(PAGE, '`ann2snn.FXConverter(ann2snn.RateCodingRecipe(loader, mode="Max")).convert(model)`',
     "spikingjelly")  # fmt: skip
def largest() -> str:
    """The same thresholds, and the same spikes once neurons start empty and send one a step."""
    return _compared("Max", 100, 1e-6)


@row(PAGE, '`RateCodingRecipe(loader, mode="99.9%")`', "spikingjelly")
def percentile() -> str:
    """The same percentile, of values in bins here."""
    return _compared("99.9%", 99.9, 0.004)


@row(PAGE, "one spike per step at most", "spikingjelly")
def one_spike() -> str:
    """A current of three thresholds is one spike a step there, and so here."""
    import torch
    from spikingjelly.activation_based import neuron

    strong = np.full((5, 3), 3.0)
    theirs = stepped(neuron.IFNode(v_reset=None), torch.tensor(strong))
    assert theirs.max() == 1
    limited = driven(sw.IntegrateAndFire(max_spikes_per_step=1), strong, 1000)
    np.testing.assert_array_equal(limited, theirs)
    assert driven(sw.IntegrateAndFire(), strong, 1000).max() == 3
    return "1 and 1; without the cap 3"


@row(PAGE, "`for t in range(T): out += net(x)`, `functional.reset_net(net)`", "spikingjelly")
def reset() -> str:
    """Every run begins anew; a network there goes on until it is reset."""
    import torch
    from spikingjelly.activation_based import functional, neuron

    node, given = neuron.IFNode(v_reset=None), np.full((3, 1), 0.3)
    first, second = (stepped(node, torch.tensor(given)).sum() for _ in range(2))
    functional.reset_net(node)
    third = stepped(node, torch.tensor(given)).sum()
    assert first == third != second
    x, _ = images()
    conversion = _ours(100)
    runs = [conversion.run(x[:20], 5, progress=False).predict("mean") for _ in range(2)]
    np.testing.assert_array_equal(*runs)
    return "two runs are equal"


@row(PAGE, "`neuron.IFNode(v_reset=None)`", "spikingjelly")
def integrate_and_fire() -> str:
    """The same spikes on random currents of either sign."""
    from spikingjelly.activation_based import neuron

    given = currents()
    theirs = stepped(neuron.IFNode(v_reset=None), given)
    ours = driven(sw.IntegrateAndFire(max_spikes_per_step=1), given, 1000)
    np.testing.assert_array_equal(ours, theirs)
    return f"{theirs.sum():.0f} spikes, all equal"


@row(PAGE, "`neuron.LIFNode(tau=2.0)`", "spikingjelly")
def leaky() -> str:
    """The same spikes with half of the current."""
    from spikingjelly.activation_based import neuron

    given = currents(0.6, 1.0, grid=None)
    theirs = stepped(neuron.LIFNode(tau=2.0), given)
    ours = driven(sw.DiscreteLIF(decay=np.array(0.5)), given / 2)
    np.testing.assert_array_equal(ours, theirs)
    return f"{theirs.sum():.0f} spikes, all equal"


@row(PAGE, "`surrogate.ATan()`", "spikingjelly")
def arctangent() -> str:
    """The same slopes."""
    from spikingjelly.activation_based import surrogate

    theirs, ours = slopes(surrogate.ATan(), sw.surrogates.Arctan())
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    return f"{theirs.max():.2f} at the threshold"


@row(PAGE, "`encoding.PoissonEncoder()`", "spikingjelly")
def poisson() -> str:
    """As many spikes on average; here a step may have several."""
    import torch
    from spikingjelly.activation_based import encoding

    torch.manual_seed(0)
    theirs = encoding.PoissonEncoder()(torch.full((200_000,), 0.3)).mean().item()
    assert abs(theirs - 0.3) < 0.005
    assert sw.encoders.Poisson() == sw.encoders.Poisson(rate=1000.0)
    return f"{theirs:.2f} spikes a step for 0.3"


@row(PAGE, "SpikingJelly", "spikingjelly", "nir")
def writes_nir() -> str:
    """Its NIR file is read here, with the same spikes."""
    import torch
    from spikingjelly.activation_based import layer, neuron
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    from benchmarks.migration.exchange import read_back

    torch.manual_seed(0)
    net = torch.nn.Sequential(layer.Linear(6, 20), neuron.IFNode(v_reset=0.0))
    return read_back(lambda x, path: export_to_nir(net, x, path), net, "zero", 1e-4)
