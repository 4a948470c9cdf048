"""Products in bfloat16 while a network is trained, and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from test_rounded import converted, tensors
from trainings import trained

import spikewright as sw
from spikewright.errors import TrainingError
from spikewright.graph.whole_weights import WEIGHTED
from spikewright.testing.layers import example_inputs, layer_examples
from spikewright.training.gradients.layers import in_bfloat16, value_of
from spikewright.training.gradients.rounded import RoundedNetwork, before_neurons
from spikewright.training.gradients.spiking import sent
from spikewright.training.sites import sites_of, trained_graph

STEPS = 4
EXAMPLES = {type(e.layer): e for e in layer_examples() if isinstance(e.layer, WEIGHTED)}


@pytest.mark.parametrize("layer", WEIGHTED)
def test_a_product_is_that_of_rounded_numbers(layer: type) -> None:
    """Every layer with weights: off by less than the rounding of each of its terms can be."""
    example = EXAMPLES[layer]
    arrays = {n: torch.from_numpy(a).float() for n, a in example.layer.arrays().items()}
    (x,) = (torch.from_numpy(x).float() for x in example_inputs(example.shapes))
    exact, found = (of(example.layer, arrays, x) for of in (value_of, in_bfloat16))
    sizes = value_of(example.layer, {n: a.abs() for n, a in arrays.items()}, x.abs())
    assert found.dtype == torch.float32
    assert ((found - exact).abs() <= 2.0**-6 * sizes + 1e-6).all()


@pytest.fixture(scope="module")
def averaging() -> tuple[sw.Conversion, RoundedNetwork, dict[str, Any]]:
    """A network of convolutions, its rounded network and its input, float32."""
    conversion, x = converted("averages", 0, STEPS)
    network = RoundedNetwork(trained_graph(conversion), sites_of(conversion, 0.001), STEPS)
    return conversion, network, {n: values.float() for n, values in tensors(conversion, x).items()}


def test_neurons_send_nearly_the_same(averaging: Any) -> None:
    """Values near the edge of a rounding fall to its other side, and few others."""
    conversion, network, inputs = averaging
    with torch.no_grad():
        at_once = [network(inputs, quickly=quickly)[1] for quickly in (False, True)]
    through = [sent(network, inputs, quickly=quickly).net for quickly in (False, True)]
    for exact, quick in (at_once, through):
        for name in conversion.populations():
            assert float((exact[name] - quick[name]).abs().mean()) < 0.05


def test_what_is_behind_the_last_neurons_is_exact(averaging: Any) -> None:
    """Of the same spikes outputs are the same, to the bit; so is a source without neurons."""
    conversion, network, inputs = averaging
    (output,) = conversion.graph.outputs.values()
    with torch.no_grad():
        counts = sent(network, inputs).net
        values = [network(inputs, counts, quickly)[0][output] for quickly in (False, True)]
    assert torch.equal(*values)
    chosen = before_neurons(network.graph, conversion.populations())
    assert chosen
    assert output not in chosen
    assert not before_neurons(conversion.graph, ())


@pytest.mark.slow
def test_a_training_comes_as_near(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """The loss on what is held back comes within a quarter of float32's; weights are float32."""
    capped = conversion.again(max_spikes_per_step=1)
    how = {"method": "time", "epochs": 2, "steps": STEPS}
    exact, quick = (
        trained(capped, digits[0][:500], **how, precision=precision)
        for precision in ("float32", "bfloat16")
    )
    last = [made.history[-1].held_back.loss for made in (exact, quick)]
    assert last[0] != last[1]
    assert last[1] == pytest.approx(last[0], rel=0.25)
    arrays = [a for node in quick.conversion.graph for a in node.layer.arrays().values()]
    assert any(not np.array_equal(a, a.astype(np.float16)) for a in arrays)


@pytest.mark.slow
def test_what_is_measured_is_in_float32(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """An epoch that learns next to nothing is measured the same, and had another loss."""
    capped = conversion.again(max_spikes_per_step=1)
    how = {"epochs": 1, "steps": STEPS, "method": "time", "learning_rate": 1e-12}
    exact, quick = (
        trained(capped, digits[0][:300], **how, precision=precision).history[0]
        for precision in ("float32", "bfloat16")
    )
    assert exact.loss != quick.loss
    assert exact.held_back == quick.held_back


def test_other_types_are_refused(conversion: sw.Conversion, digits: tuple[Any, Any]) -> None:
    """By name, with the types that there are."""
    with pytest.raises(TrainingError, match=r"precision must be one of .*'bfloat16'.*'float16'"):
        trained(conversion, digits[0][:100], precision="float16")
