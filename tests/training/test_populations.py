"""A population through all steps: the native kernel computes the equation of the type."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import spikewright as sw
from slowly import in_turn
from spikewright.engines.native import integrate_sequence
from spikewright.engines.native._kernels import instruction_sets
from spikewright.network.neurons import NeuronType
from spikewright.testing.modelling import neuron_type_examples
from spikewright.training.gradients.spiking import _natively, _step_by_step, through

STEPS, BATCH, SHAPE = 7, 3, (5, 4, 11)
EXAMPLES = [
    *(e.neuron_type for e in neuron_type_examples()),
    sw.IntegrateAndFire(max_spikes_per_step=1),
    sw.BipolarIntegrateAndFire(max_spikes_per_step=1),
    sw.BipolarIntegrateAndFire(max_spikes_per_step=3),
    sw.BipolarIntegrateAndFire.in_steps(3, 3),
    sw.BipolarIntegrateAndFire(1.0, 2, (2, 1)),
    sw.BipolarIntegrateAndFire(1.0, 1, (3, 2, 2)),
]
KERNELS = list(
    dict.fromkeys(kind for kind in EXAMPLES if integrate_sequence.integrator_of(kind) is not None)
)
LAYOUTS = {
    "rows": lambda x: x,
    "channels last": lambda x: x.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3),
    "the same at all steps": lambda x: x[:1].expand_as(x),
    "steps apart": lambda x: torch.stack([x, x], 1)[:, 0],
}


def test_types_with_a_kernel() -> None:
    """All integrators that read a sum of charge."""
    types = {sw.IntegrateAndFire, sw.BipolarIntegrateAndFire, sw.SpikingRectifiedLinear}
    assert {type(kind) for kind in KERNELS} == types


def drawn(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Currents of either sign, thresholds and starts a channel, of few bits: sums are exact."""
    rng = np.random.default_rng(0)
    currents = rng.integers(-96, 128, (STEPS, BATCH, *SHAPE)) / 32.0
    thresholds = rng.integers(20, 60, (SHAPE[0], 1, 1)) / 32.0
    starts = rng.integers(0, 2, thresholds.shape) / 2.0
    return tuple(torch.tensor(x, dtype=dtype) for x in (currents, thresholds, starts))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("kind", "layout", "dtype"),
    in_turn(KERNELS, LAYOUTS, [torch.float32, torch.float64]),
)
def test_the_kernel_computes_the_equation(
    kind: NeuronType, layout: str, dtype: torch.dtype
) -> None:
    """Values, net sums and all spikes, in every order of axes, to the bit."""
    currents, thresholds, starts = drawn(dtype)
    currents = LAYOUTS[layout](currents)
    made = _natively(kind, currents, thresholds, starts, True)
    wanted = _step_by_step(kind, currents, thresholds, starts, True)
    assert made is not None and made.all is not None and wanted.all is not None
    assert torch.equal(made.values, wanted.values)
    assert torch.equal(made.net, wanted.net) and torch.equal(made.all, wanted.all)
    assert made.all.sum() > made.net.numel() / 8
    assert made.values.stride() == wanted.values.stride()  # convolutions are fast behind both
    if kind.negative and layout != "the same at all steps":
        assert not torch.equal(made.all, made.net)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("kind", [sw.IntegrateAndFire(), sw.BipolarIntegrateAndFire()], ids=str)
def test_instruction_sets_agree(isa: str, kind: NeuronType) -> None:
    """To the bit, also on numbers that round."""
    rng = np.random.default_rng(1)
    currents = rng.normal(0.3, 1.0, (STEPS, BATCH, 137)).astype(np.float32)
    found = []
    for name in (isa, "baseline"):
        values, net = np.empty_like(currents), np.empty_like(currents[0])
        integrate_sequence.integrate_sequence(
            model=integrate_sequence.integrator_of(kind), currents=currents, values=values, net=net,
            thresholds=np.full(137, 0.7, np.float32), starts=np.full(137, 0.3, np.float32),
            all=None, isa=name,
        )  # fmt: skip
        found.append((values, net))
    assert np.array_equal(found[0][0], found[1][0]) and np.array_equal(found[0][1], found[1][1])
    assert np.any(found[0][1])


@pytest.mark.parametrize("kind", [sw.IntegrateAndFire(), sw.BipolarIntegrateAndFire()], ids=str)
def test_a_current_that_is_nan_is_not_lost(kind: NeuronType) -> None:
    """What follows from it is NaN, so that the loss says so."""
    currents, thresholds, starts = drawn()
    currents[2, 1, 0, 0, 0] = math.nan
    made = through(kind, currents, thresholds, starts, every=True)
    assert bool(made.net[1, 0, 0, 0].isnan()) and int(made.net.isnan().sum()) == 1


def test_what_the_kernel_lacks_is_left_to_the_equation() -> None:
    """Floors of the voltage, types that are subclasses, and arrays with gaps."""
    currents, thresholds, starts = drawn()

    class Mine(sw.IntegrateAndFire):
        pass

    floored = sw.IntegrateAndFire(voltage_floor=0.5)
    assert (
        integrate_sequence.integrator_of(floored) is None
        and integrate_sequence.integrator_of(Mine()) is None
    )
    gaps = torch.stack([currents, currents], -1)[..., 0]
    assert _natively(sw.IntegrateAndFire(), gaps, thresholds, starts, True) is None
    made = through(sw.IntegrateAndFire(), gaps, thresholds, starts, every=False)
    wanted = through(sw.IntegrateAndFire(), currents, thresholds, starts, every=False)
    assert torch.equal(made.values, wanted.values) and made.all is None
