"""Rows about sinabs 3."""

from __future__ import annotations

import copy
import subprocess
from typing import Any

import numpy as np

import spikewright as sw
from benchmarks.migration.driving import currents, driven, images, network
from benchmarks.migration.rows import NotTriedError, row
from spikewright.records import select

PAGE, STEPS = "from_pytorch.md", 32


def _theirs() -> tuple[Any, Any, dict[str, float]]:
    """The converted network, its input over time, and what its analyzer counts an image."""
    import sinabs
    import torch

    x, _ = images()
    made = sinabs.from_torch.from_model(
        copy.deepcopy(network()), input_shape=(1, 8, 8), batch_size=len(x)
    )
    net = made.spiking_model
    analyzer = sinabs.SNNAnalyzer(net)
    sinabs.reset_states(net)  # conversion ran it once
    given = torch.tensor(x)[:, None].expand(-1, STEPS, -1, -1, -1).flatten(0, 1)
    with torch.no_grad():
        outputs = net(given).unflatten(0, (-1, STEPS)).mean(1).numpy()
    layers = analyzer.get_layer_statistics(average=True)["parameter"]
    return net, outputs, {name: float(found["synops"]) for name, found in layers.items()}


def _ours() -> sw.Conversion:
    x, _ = images()
    neuron = sw.IntegrateAndFire(voltage_floor=1)
    return sw.convert(network(), example_input=x[:1], spiking={"relu": neuron},
                      scale_firing_rates=1000, initial_voltage="zero")  # fmt: skip


@row(PAGE, "`sinabs.from_torch.from_model(model, input_shape=...)`", "sinabs")
def from_model() -> str:
    """The same outputs, with the floor of voltages that it has unless it is told otherwise."""
    x, _ = images()
    _, outputs, _ = _theirs()
    ours = _ours().run(x, STEPS, progress=False).predict()
    share = np.abs(ours - outputs).max() / np.abs(outputs).max()
    assert share < 0.002  # a spike that rounding moves
    plain = sw.convert(network(), example_input=x[:1], spiking=True, scale_firing_rates=1000)
    apart = np.abs(plain.run(x, STEPS, progress=False).predict() - outputs).max()
    assert apart > 5 * share * np.abs(outputs).max()
    return f"outputs differ by at most {share:.2%} of the largest"


@row(PAGE, "`spike_threshold=1.0`", "sinabs")
def threshold() -> str:
    """A threshold of one is a scale of 1000 Hz at steps of 1 ms."""
    import inspect

    import sinabs

    default = inspect.signature(sinabs.from_torch.from_model).parameters["spike_threshold"].default
    assert float(default) == 1.0
    scales = {float(np.max(e.rate_scale)) for e in _ours().populations().values()}
    assert scales == {1000.0}
    return "1 and 1000 Hz"


@row(PAGE, "`sinabs.layers.IAF()`", "sinabs")
def integrate_and_fire() -> str:
    """The same spikes on random currents of either sign, several a step."""
    import torch
    from sinabs.layers import IAF

    given = currents(0.8, 1.5)
    theirs = IAF()(torch.tensor(given[None])).detach().numpy()[0]
    np.testing.assert_array_equal(driven(sw.IntegrateAndFire(), given, 1000), theirs)
    assert theirs.max() > 1
    return f"{theirs.sum():.0f} spikes, all equal"


@row(PAGE, "`sinabs.SNNAnalyzer`, `SynOpCounter`", "sinabs")
def synaptic_operations() -> str:
    """Operations of spikes are our accumulates; those of the analog input are multiplications."""
    from sinabs.synopcounter import SynOpCounter

    assert callable(SynOpCounter)
    x, y = images()
    _, *theirs = _theirs()[2].values()
    found = _ours().evaluate(x, y, steps=STEPS, progress=False)
    records = select(found.records, "accumulates")
    ours = sorted(r.value for r in records if "layer" in r.how and r.value)
    np.testing.assert_allclose(ours, sorted(theirs), rtol=1e-4)
    return f"{sum(ours):,.0f} and {sum(theirs):,.0f} an image behind the first layer"


@row(PAGE, "`DynapcnnNetwork(net, discretize=True)`", "sinabs", "samna")
def speck() -> str:
    """Cores and integers are compared by `pytest -m emulators`; here the names."""
    try:
        from sinabs.backend.dynapcnn import DynapcnnNetwork
    except subprocess.CalledProcessError as error:  # it installs the driver that it wants
        raise NotTriedError("sinabs cannot get its samna") from error

    assert callable(DynapcnnNetwork)
    assert "speck" in sw.chips.names()
    return "both are there"


@row(PAGE, "sinabs", "sinabs", "nir")
def writes_nir() -> str:
    """Its NIR file is read here, with the same spikes."""
    import nir
    import sinabs
    import sinabs.layers
    import torch

    from benchmarks.migration.exchange import read_back

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 20), sinabs.layers.IAFSqueeze(batch_size=1))

    def write(x: Any, path: Any) -> None:
        nir.write(str(path), sinabs.nir.to_nir(net, x))
        sinabs.reset_states(net)

    return read_back(write, net, "subtract", 1.0)
