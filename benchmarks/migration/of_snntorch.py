"""Rows about snnTorch 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from benchmarks.migration.driving import currents, driven, slopes
from benchmarks.migration.rows import row

PAGE = "from_pytorch.md"


def _spikes(given: NDArray, **options: Any) -> NDArray:
    """Spikes of leaky neurons, `(steps, neurons)`."""
    import snntorch
    import torch

    leaky = snntorch.Leaky(beta=0.9, **options)
    voltage, found = leaky.init_leaky(), []
    for now in given:
        spikes, voltage = leaky(torch.tensor(now), voltage)
        found.append(spikes.detach().numpy())
    return np.stack(found)


@row(PAGE, '`snn.Leaky(beta=0.9, reset_mechanism="zero")`', "snntorch")
def to_zero() -> str:
    """The same spikes, whenever the reset comes."""
    given = currents()
    ours = driven(sw.DiscreteLIF(decay=np.array(0.9)), given)
    for delay in (True, False):
        theirs = _spikes(given, reset_mechanism="zero", reset_delay=delay)
        np.testing.assert_array_equal(ours, theirs)
    return f"{ours.sum():.0f} spikes, all equal"


@row(PAGE, "`snn.Leaky(beta=0.9, reset_delay=False)`", "snntorch")
def subtracted() -> str:
    """The same spikes while voltages stay below two thresholds; with the default delay, fewer."""
    given = np.minimum(currents(0.15, 0.25), 0.9)
    neuron = sw.DiscreteLIF(decay=np.array(0.9), reset="subtract", max_spikes_per_step=1)
    ours = driven(neuron, given)
    np.testing.assert_array_equal(ours, _spikes(given, reset_delay=False))
    late = _spikes(given)  # subtracts, one step late, what no longer decays
    assert late.sum() < 0.97 * ours.sum()
    return f"{ours.sum():.0f} spikes, all equal; {late.sum():.0f} with reset_delay=True"


@row(PAGE, "`surrogate.fast_sigmoid(slope=25)`", "snntorch")
def fast_sigmoid() -> str:
    """The same slopes."""
    from snntorch import surrogate

    theirs, ours = slopes(surrogate.fast_sigmoid(slope=25), sw.surrogates.FastSigmoid(width=0.04))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert sw.surrogates.FastSigmoid() == sw.surrogates.FastSigmoid(width=0.04)
    return f"{theirs.max():.2f} at the threshold"


@row(PAGE, "`functional.ce_count_loss()`", "snntorch")
def loss_of_the_sum() -> str:
    """The loss of the sum over steps; `ce_rate_loss` is the mean of every step's."""
    import torch
    from snntorch import functional

    torch.manual_seed(0)
    outputs, labels = torch.rand(5, 3, 4), torch.tensor([0, 1, 2])
    loss = torch.nn.functional.cross_entropy
    count, rate = functional.ce_count_loss(), functional.ce_rate_loss()
    assert torch.isclose(count(outputs, labels), loss(outputs.sum(0), labels))
    each = torch.stack([loss(step, labels) for step in outputs]).mean()
    assert torch.isclose(rate(outputs, labels), each)
    assert not torch.isclose(each, loss(outputs.mean(0), labels), rtol=1e-3)
    return "of the sum, and of each step"


@row(PAGE, "`spikegen.rate(x, num_steps=T)`", "snntorch")
def rate() -> str:
    """One spike with probability x a step there; as many on average here."""
    import torch
    from snntorch import spikegen

    torch.manual_seed(0)
    theirs = spikegen.rate(torch.full((200_000,), 0.3), num_steps=2)
    assert theirs.shape == (2, 200_000) and set(theirs.unique().tolist()) == {0.0, 1.0}
    x = np.full((1, 400), 0.3)
    graph = _identity(400)
    run = graph.run(x, 500, encoder=sw.encoders.Poisson(), progress=False)
    mean = float(np.mean(run.output))
    assert abs(theirs.mean().item() - 0.3) < 0.005 and abs(mean - 0.3) < 0.005
    return f"{theirs.mean():.2f} and {mean:.2f} for 0.3"


def _identity(size: int) -> sw.Conversion:
    """A network that answers with its input."""
    import torch

    model = torch.nn.Linear(size, size, bias=False)
    torch.nn.init.eye_(model.weight)
    return sw.convert(model, example_input=np.zeros((1, size), np.float32))


@row(PAGE, "snnTorch", "snntorch", "nir")
def writes_nir() -> str:
    """Its NIR file is read here; its values differ, since it steps by Euler's rule."""
    import nir
    import snntorch
    import torch
    from snntorch.export_nir import export_to_nir

    from benchmarks.migration.exchange import read_back

    torch.manual_seed(0)
    each = {"beta": torch.full((20,), 0.9), "threshold": torch.ones(20)}  # one for each neuron
    leaky = snntorch.Leaky(init_hidden=True, reset_mechanism="zero", **each)
    net = torch.nn.Sequential(torch.nn.Linear(6, 20), leaky)

    def write(x: Any, path: Any) -> None:
        nir.write(str(path), export_to_nir(net, x[0]))

    return read_back(write, None, "zero", 1e-4)
