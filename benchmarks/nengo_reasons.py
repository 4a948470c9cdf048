"""Why some of Nengo's tests do not pass, by the name of the test."""

from __future__ import annotations

from types import MappingProxyType

_INSIDE = "looks at Nengo's own signals and operators, which are not what runs"
_MODEL = "gives the simulator operators that Nengo's own builder has made"
_WORKS = "expects an error; it works here"
_FINE = 'holds results to 64 bits, weights have 24; passes with `precision="float64"`'

REASONS = MappingProxyType(
    {
        "test_bad_learning_rule_modifies": "a learning rule that only Nengo's builder knows",
        "test_cache_not_used_without_seed": _MODEL,
        "test_cache_works": _MODEL,
        "test_convolution": _FINE,
        "test_convolution_groups": _FINE,
        "test_convolution_nef": _WORKS,
        "test_custom_type": "a learning rule that only Nengo's builder knows",
        "test_dtype": _INSIDE,
        "test_entry_point": "is there once Spikewright is installed, not when run from its sources",
        "test_learning_transform_shape_error": _WORKS,
        "test_non_compositional_solver_transform_error": _WORKS,
        "test_pes_adv_idx": _WORKS,
        "test_pickle_model": "copies what Nengo's own builder has made",
        "test_pickle_sim": "expects a progress bar of Nengo's own in the copy",
        "test_rls_multidim": _INSIDE,
        "test_rls_scalar_rate": _INSIDE,
        "test_rls_scalar_spiking": _INSIDE,
        "test_signal_init_values": _MODEL,
        "test_sparse": "expects a warning that SciPy is missing; it is not needed here",
        "test_sparse_nef": _WORKS,
        "test_x_copy": "a process returns NaN, which is an error here",
    }
)
