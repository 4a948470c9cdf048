"""Products in bfloat16 while a network is trained, and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from test_rounded import FAMILIES, converted
from test_rounded import tensors as inputs_of
from trainings import trained

import spikewright as sw
from spikewright.errors import TrainingError
from spikewright.graph.layers import LAYERS
from spikewright.testing.layers import LayerExample, example_inputs, layer_examples
from spikewright.training.gradients.layers import value_of
from spikewright.training.gradients.products import WEIGHTED, before_neurons, in_bfloat16
from spikewright.training.gradients.rounded import RoundedNetwork
from spikewright.training.gradients.spiking import sent
from spikewright.training.sites import sites_of, trained_graph

STEPS = 4
EXAMPLES = [e for e in layer_examples() if isinstance(e.layer, WEIGHTED)]


def network_of(conversion: sw.Conversion) -> RoundedNetwork:
    """The rounded network of a conversion, float32."""
    return RoundedNetwork(trained_graph(conversion), sites_of(conversion, 0.001), STEPS)


def tensors(conversion: sw.Conversion, x: Any) -> dict[str, Any]:
    """The input of a network, float32."""
    return {name: values.float() for name, values in inputs_of(conversion, x).items()}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.id)
def test_a_product_is_that_of_rounded_numbers(example: LayerExample) -> None:
    """Every layer with weights: off by less than the rounding of each of its terms can be."""
    arrays = {n: torch.from_numpy(a).float() for n, a in example.layer.arrays().items()}
    (x,) = (torch.from_numpy(x).float() for x in example_inputs(example.shapes))
    exact, found = (of(example.layer, arrays, x) for of in (value_of, in_bfloat16))
    sizes = value_of(example.layer, {n: a.abs() for n, a in arrays.items()}, x.abs())
    assert found.dtype == torch.float32
    assert ((found - exact).abs() <= 2.0**-6 * sizes + 1e-6).all()


def test_every_weighted_layer_has_an_example() -> None:
    """So that the law above is one of all of them."""
    assert {type(e.layer) for e in EXAMPLES} == set(WEIGHTED)
    assert set(WEIGHTED) <= set(LAYERS.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_neurons_send_nearly_the_same(family: str) -> None:
    """Values near the edge of a rounding fall to its other side, and few others."""
    conversion, x = converted(family, 0, STEPS)
    network, inputs = network_of(conversion), tensors(conversion, x)
    with torch.no_grad():
        _, exact = network(inputs)
        _, quick = network(inputs, quickly=True)
    through = [sent(network, inputs, quickly=quickly).net for quickly in (False, True)]
    for found in ((exact, quick), through):
        for name in conversion.populations():
            apart = (found[0][name] - found[1][name]).abs()
            assert float(apart.mean()) < 0.05


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_behind_the_last_neurons_is_exact(family: str) -> None:
    """Of the same spikes outputs are the same, to the bit."""
    conversion, x = converted(family, 0, STEPS)
    network, inputs = network_of(conversion), tensors(conversion, x)
    (output,) = conversion.graph.outputs.values()
    with torch.no_grad():
        counts = sent(network, inputs).net
        values = [network(inputs, counts, quickly)[0][output] for quickly in (False, True)]
    assert torch.equal(*values)
    chosen = before_neurons(network.graph, conversion.populations())
    assert chosen
    assert output not in chosen


def test_a_source_without_neurons_is_exact() -> None:
    """The network that is imitated has no sites, so that nothing of it is rounded."""
    conversion, _ = converted("dense", 0, STEPS)
    assert not before_neurons(conversion.graph, ())


@pytest.mark.parametrize("method", ["rounding", "time"])
def test_a_training_comes_as_near(
    conversion: sw.Conversion, digits: tuple[Any, Any], method: str
) -> None:
    """The loss on what is held back comes within a quarter of float32's, and the same every time.

    Weights are float32 all the same.
    """
    capped = conversion.again(max_spikes_per_step=1)
    how = {"method": method, "epochs": 4, "steps": STEPS}
    exact, quick, again = (
        trained(capped, digits[0], **how, precision=precision)
        for precision in ("float32", "bfloat16", "bfloat16")
    )
    last = [made.history[-1].held_back.loss for made in (exact, quick, again)]
    assert last[1] == last[2]
    assert last[0] != last[1]
    assert last[1] == pytest.approx(last[0], rel=0.25)
    arrays = [a for node in quick.conversion.graph for a in node.layer.arrays().values()]
    assert any(not np.array_equal(a, a.astype(np.float16)) for a in arrays)


def test_what_is_measured_is_in_float32(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """An epoch that learns next to nothing is measured the same, and had another loss."""
    capped = conversion.again(max_spikes_per_step=1)
    how = {"epochs": 1, "steps": STEPS, "method": "time", "learning_rate": 1e-12}
    exact, quick = (
        trained(capped, digits[0], **how, precision=precision).history[0]
        for precision in ("float32", "bfloat16")
    )
    assert exact.loss != quick.loss
    assert exact.held_back == quick.held_back


def test_other_types_are_refused(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """By name, with the types that there are."""
    with pytest.raises(TrainingError, match=r"precision must be one of .*'bfloat16'.*'float16'"):
        trained(conversion, digits[0][:100], precision="float16")
