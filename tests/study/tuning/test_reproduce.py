"""A conversion as the call that makes it again."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import spikewright as sw
from spikewright.study.programs import ProgramWriter

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, max_side=4)


@given(value=arrays.arrays(np.float64, SHAPES, elements=FINITE))
@example(value=np.array([3.0, 4.0]))  # whole numbers are no integers
@example(value=np.array([-0.0, 1.5]))
@example(value=np.zeros((2, 1)))
def test_an_array_as_text_is_the_same_array(value) -> None:
    """Evaluated, every number is the same to the last bit, in the same shape."""
    again = eval(ProgramWriter().text(value), {"np": np})

    assert (again.shape, again.dtype) == (value.shape, value.dtype)
    assert again.tobytes() == value.tobytes()


def test_short_numbers_are_written_short() -> None:
    """What four digits give exactly is not written with seventeen."""
    assert ProgramWriter().text(np.array([0.25, 12.0, 0.1])) == "np.array([0.25, 12, 0.1])"


def test_defaults_are_left_out() -> None:
    """The call names what differs from `sw.convert(model)`."""
    arguments = {"spiking": True, "synapse": None, "max_pool": "gate", "scale_firing_rates": 2.0}

    assert (
        ProgramWriter().call("model", arguments)
        == "sw.convert(model, spiking=True, scale_firing_rates=2.0)"
    )


def test_neuron_types_are_written_as_calls() -> None:
    """They are made again from the package's own names."""
    neurons = sw.BipolarIntegrateAndFire(max_spikes_per_step=1)

    assert eval(ProgramWriter().text({"relu": neurons}), {"sw": sw}) == {"relu": neurons}
