"""Look-alikes of published networks: read, converted, and run with spikes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch_helpers import check
from pytorch_networks import NETWORKS, network
from torch import nn

import spikewright as sw
from slowly import slow_but


@pytest.mark.parametrize("name", list(NETWORKS))
def test_reading_computes_what_the_network_computes(name: str) -> None:
    """Every node has PyTorch's value, and every module without submodules is a node."""
    model = network(name)
    graph = check(model, (2, 4, 4))
    leaves = {path for path, part in model.named_modules() if not list(part.children())}
    missing = {path for path in leaves - {node.name for node in graph} if "drop" not in path}
    assert missing == set()


@pytest.mark.parametrize("name", slow_but(list(NETWORKS)[:3], NETWORKS))
def test_spiking_form_converges(name: str) -> None:
    """The rate network equals the source; the spiking one's error falls with the steps."""
    model = network(name)
    x = np.random.default_rng(3).normal(size=(2, 2, 4, 4)).astype(np.float32)
    exact = sw.convert(model, example_input=x, spiking=False)
    assert max(exact.verify(x, rtol=1e-5).values()) < 1e-5
    with torch.no_grad():
        wanted = model(torch.from_numpy(x)).numpy()
    conversion = sw.convert(model, example_input=x, spiking=True, scale_firing_rates=500)
    errors = []
    for steps in (32, 512):
        found = conversion.run(x, steps=steps).predict()
        errors.append(np.abs(found - wanted).max() / np.abs(wanted).max())
    assert errors[1] < 0.03
    assert errors[1] < errors[0] / 3


def test_names_of_a_transformer() -> None:
    """What a module's code does around its layers is named after the module."""
    graph = check(network("transformer"), (2, 4, 4))
    names = [node.name for node in graph]
    attention = "encoder.layers.0.self_attn"
    assert f"{attention}/scaled_dot_product_attention" in names
    assert f"{attention}.out_proj" in names  # whose weights the attention uses itself
    assert f"{attention}/scaled_dot_product_attention/weights" in names
    assert {"patches", "encoder.layers.0.norm1", "norm", "head"} <= set(names)
    source = {node.source for node in graph if node.name.startswith(attention)}
    assert source == {attention, f"{attention}.out_proj"}


def test_stochastic_depth_and_dropout_are_identities() -> None:
    """In evaluation mode nothing is dropped."""
    torchvision = pytest.importorskip("torchvision")
    drop = torchvision.ops.StochasticDepth(0.5, "row")
    graph = check(nn.Sequential(nn.Linear(4, 4), drop, nn.Dropout(0.5, inplace=True)), (4,))
    assert [type(node.layer).__name__ for node in graph] == ["Input", "Affine", "Identity"]
